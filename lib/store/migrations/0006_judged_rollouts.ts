/** What a rollout was judged by, once it is over; nothing is known of those before. */
export const judgedRollouts = `
ALTER TABLE rollout_history ADD COLUMN judged TEXT;
`;
