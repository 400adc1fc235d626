/** The version of all three programs, from the one place that states it. */
import project from "../deno.json" with { type: "json" };

export const version: string = project.version;
