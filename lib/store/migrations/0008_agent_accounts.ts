/** What each agent signed in with last, so that a renamed one's account is told from that of its first name. */
export const agentAccounts = `
ALTER TABLE agents ADD COLUMN account TEXT;
`;
