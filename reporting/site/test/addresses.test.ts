import assert from "node:assert/strict";
import { test } from "node:test";
import { h, options } from "preact";
import { changeAddress, guard, isHarmless, isWeb } from "../src/addresses.ts";

const HARMFUL = [
  "javascript:alert(1)",
  " java\tscript:alert(1)//github.com/",
  "JAVASCRIPT:alert(1)",
  "vbscript:x",
  "data:text/html,<script>alert(1)</script>",
  "blob:https://x/1",
  "file:///etc/passwd",
  "https://[",
];

test("an address under which something runs is harmful, however it is written", () => {
  for (const address of [...HARMFUL, "data:image/svg+xml,<svg/>"])
    assert.equal(isHarmless(address), false, address);
  for (const address of ["#/run/x", "blobs/ab/x.png", "https://x.org/a", "mailto:a@x.org", ""])
    assert.equal(isHarmless(address), true, address);
});

test("a picture may be in its address, a page may not", () => {
  assert.equal(isHarmless("data:image/svg+xml;charset=utf-8,%3Csvg", "img"), true);
  assert.equal(isHarmless("data:text/html,x", "img"), false);
  assert.equal(isHarmless("javascript:x", "img"), false);
});

test("only pages of the web are out of the site", () => {
  assert.deepEqual(["https://x.org", "http://x.org/a", "#/runs", "mailto:a@x", "//x.org"].map(isWeb), [
    true,
    true,
    false,
    false,
    false,
  ]);
  assert.deepEqual(HARMFUL.filter(isWeb), []);
});

test("whatever draws an element, its harmful addresses and HTML are dropped", () => {
  guard(options);
  for (const address of HARMFUL) assert.deepEqual(h("a", { href: address, class: "x" }).props, { class: "x" });
  assert.deepEqual(h("iframe", { src: "javascript:x", srcdoc: "<b>", title: "t" } as object).props, {
    title: "t",
  });
  assert.deepEqual(h("form", { action: "javascript:x" }).props, {});
  assert.deepEqual(h("p", { dangerouslySetInnerHTML: { __html: "<b>" } } as object).props, {});
  assert.deepEqual(h("a", { href: "#/runs" }).props, { href: "#/runs" });
});

test("a change has a page where its host is GitHub, also one's own", () => {
  const job = "https://git.corp/o/r/actions/runs/5";
  assert.equal(changeAddress("https://github.com/o/r", "7", null), "https://github.com/o/r/pull/7");
  assert.equal(changeAddress("https://git.corp/o/r", "7", job), "https://git.corp/o/r/pull/7");
  assert.equal(changeAddress("https://git.corp/o/r", "7", "https://ci.corp/actions/runs/5"), undefined);
  for (const repository of ["javascript:alert(1)//github.com/", "https://github.com.evil.org/o/r", "https://["])
    assert.equal(changeAddress(repository, "7", job), undefined, repository);
});
