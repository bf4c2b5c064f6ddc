// Text becomes HTML, script or an address in these places only. Who adds one looks at what can reach it first.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

const SINK =
  /\b(?:innerHTML|outerHTML|insertAdjacentHTML|createContextualFragment|parseFromString|srcdoc|setAttribute|setAttributeNS|postMessage|eval|Function\(|importScripts)\b|document\.write|window\.open|\bopen\(|addEventListener\("message"|\.(?:href|src|action) = |location(?:\.\w+)? = |location\.(?:assign|replace)\(/g;

const ALLOWED: Record<string, string[]> = {
  // a property that is dropped
  "addresses.ts": ["srcdoc"],
  // the chunks of the site and its mathematics, through a policy; a stylesheet of the site
  "chunks.ts": [".href = ", ".src = ", ".src = "],
  // the sandbox: only its own frame is heard, and only as one without our origin
  "frame.tsx": ['addEventListener("message"', "postMessage"],
  // a hash that `href` made
  "route.ts": ["location.hash = "],
  // constants, on links that DOMPurify has let through; where a picture is, which it checks after that
  "safe.ts": ["setAttribute", "setAttribute", "setAttribute"],
  // events of the server that the page comes from: read as JSON
  "stream.ts": ['addEventListener("message"'],
  // a blob to be downloaded
  "ui.tsx": [".href = "],
};

const folder = new URL("../src/", import.meta.url);
const sources = readdirSync(folder).filter((name) => /\.tsx?$/.test(name));
const read = (name: string) => readFileSync(new URL(name, folder), "utf8");

test("text becomes HTML, script or an address where that was looked at", () => {
  const found = sources.flatMap((name) => {
    const sinks = [...read(name).matchAll(SINK)].map(([text]) => text);
    return sinks.length ? [[name, sinks.sort()]] : [];
  });
  assert.deepEqual(Object.fromEntries(found), ALLOWED);
});

test("a link is to a page of the site, made by `href`, or goes through `Outside`", () => {
  const MADE = /^\{(?:href|runHref|taskHref|judgementHref|liveHref|changed|to)\(/;
  const KNOWN = ['"#main"', '"NOTICES.txt"', "{point.href}", "{artifact.file}"];
  for (const name of sources.filter((one) => one.endsWith(".tsx"))) {
    for (const [, value] of read(name).matchAll(/\shref=("[^"]*"|\{[^\n]*)/g)) {
      const known = MADE.test(value!) || KNOWN.some((one) => value!.startsWith(one));
      assert.ok(known || (name === "ui.tsx" && value!.startsWith("{to}")), `${name}: href=${value}`);
    }
  }
});
