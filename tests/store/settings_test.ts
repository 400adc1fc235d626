import assert from "node:assert/strict";
import { openStore } from "../../lib/store/store.ts";

Deno.test("`set()` keeps a JSON value until it is set again or removed", () => {
  const store = openStore({ folder: null });
  try {
    assert.equal(store.settings.get("authority"), undefined);
    for (const value of [{ pem: "ä\n" }, [1, 2], "text", 0, false]) {
      store.settings.set("authority", value);
      assert.deepEqual(store.settings.get("authority"), value);
    }
    assert.equal(store.settings.remove("authority"), true);
    assert.equal(store.settings.remove("authority"), false);
    assert.equal(store.settings.get("authority"), undefined);
  } finally {
    store.close();
  }
});
