/** A bare HTTP server that echoes bodies. */
Deno.serve({
  ...{ hostname: "127.0.0.1", port: JSON.parse(Deno.args[0]).port },
  onListen: () => console.log("ready"),
}, async (request) => new Response(await request.bytes()));
