/** The version of all three programs. Kept equal to deno.json's by a test, since a bundle can't read that file. */
export const version = "0.1.0";
