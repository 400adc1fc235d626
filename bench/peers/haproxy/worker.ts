/** A bare HTTP server that echoes. */
const { port } = JSON.parse(Deno.args[0]);

Deno.serve(
  { hostname: "127.0.0.1", port, onListen: () => console.log("ready") },
  async (request) => new Response(await request.bytes()),
);
