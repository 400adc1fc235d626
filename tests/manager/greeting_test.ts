import assert from "node:assert/strict";
import { type Greeting, greetingText } from "../../lib/manager/greeting.ts";

const greeting: Greeting = {
  ...{
    address: "attic.local:7443",
    password: "secret",
    fingerprint: "ab",
    agentToken: "A",
    clientToken: "C",
  },
  dataOptions: {},
};

Deno.test("the commands of the greeting name the same data folder, as the shell reads it", () => {
  const commands = (dataOptions: Greeting["dataOptions"]) =>
    greetingText({ ...greeting, dataOptions }).split("\n").slice(-4, -2).map((line) => line.trim());
  assert.deepEqual(commands({}), [
    "This is shown once. More tokens: ./manager token agent, ./manager token client --role operator",
    "New password: ./manager user passwd admin",
  ]);
  assert.match(commands({ data: "/srv/a b" })[0], /token agent --data '\/srv\/a b', .* --data '\/srv\/a b'$/);
  assert.equal(commands({ data: "it's" })[1], `New password: ./manager user passwd admin --data 'it'\\''s'`);
  assert.match(commands({ data: "./d", config: "c" })[1], /admin --data \.\/d$/, "the command line wins");
  assert.match(commands({ config: "cluster.jsonc" })[1], /admin --config cluster\.jsonc$/);
});
