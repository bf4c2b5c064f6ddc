import assert from "node:assert/strict";
import { test } from "node:test";

// the modules look at the page when they are loaded
Object.assign(globalThis, { document: { documentElement: { dataset: { version: "v1" } } } });
const { chunkPath, load, receive } = await import("../src/chunks.ts");

test("only chunks of the site are loaded as scripts", () => {
  for (const path of ["data/index.js?v1", "data/run/run-1.js?ab", "data/content/ab/abcd.js", "texts.js?v1"]) {
    assert.equal(chunkPath(path), path);
  }
  for (const path of [
    "https://evil.org/x.js",
    "data/../x.js",
    "data/x.js#y",
    "//evil.org/data/x.js",
    "data/https://x.js",
  ])
    assert.throws(() => chunkPath(path), path);
});

test("a chunk that is there needs no script, and names no prototype", async () => {
  receive("run/1", '{"__proto__": {"polluted": 1}, "a": 2}');
  assert.deepEqual(Object.keys(await load<object>("run/1")), ["__proto__", "a"]);
  assert.equal(({} as { polluted?: number }).polluted, undefined);
});

test("who asks before the index is there gets it when it comes", async () => {
  const asked = load("index");
  assert.equal(load("index"), asked);
  receive("index", "[1]");
  assert.deepEqual(await asked, [1]);
});
