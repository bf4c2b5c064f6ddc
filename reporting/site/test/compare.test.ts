import assert from "node:assert/strict";
import { test } from "node:test";
import { align, quietText } from "../src/align.ts";
import { pieces } from "../src/ansi.ts";
import { criticalPath } from "../src/critical.ts";
import type { Cell, Task } from "../src/model.ts";
import { marks } from "../src/regress.ts";
import { parseCsv } from "../src/tables.ts";

const cell = (s: string, text?: string): Cell => ({
  t: "code",
  s,
  ...(text && { o: [{ t: "stream", name: "stdout", text }] }),
});

test("cells are aligned by source, then by likeness", () => {
  const before = [cell("import a"), cell("x = 1\ny = 2\nz = 3"), cell("gone()"), cell("print()", "1")];
  const after = [cell("import a"), cell("x = 1\ny = 5\nz = 3"), cell("print()", "2"), cell("added of late")];
  assert.deepEqual(
    align(before, after).map((pair) => pair.change),
    ["same", "source", "removed", "outputs", "added"],
  );
});

test("noise is no difference", () => {
  const noisy = (address: string, time: string) => quietText(`<M at 0x${address}> ${time} took 1.2 s`);
  assert.equal(noisy("7f00aa00bb", "2026-01-01 10:00:00"), noisy("7fffffffff", "2026-02-03 11:22:33.123"));
  assert.notEqual(quietText("auc 0.91"), quietText("auc 0.92"));
});

test("the critical path is the longest chain of what was executed", () => {
  const task = (name: string, took: number, up: number[] = []): Task => ({
    name,
    family: name,
    status: took ? "ran" : "up_to_date",
    detail: "",
    up,
    ...(took && {
      start: 0,
      end: took,
      attempts: [{ n: 1, outcome: "succeeded", start: 0, end: took, more: "" }],
    }),
  });
  const found = criticalPath([task("a", 0), task("b", 5, [0]), task("c", 3, [0]), task("d", 4, [1, 2])]);
  assert.deepEqual([[...found.tasks].sort(), [...found.edges], found.milliseconds], [[1, 3], ["1-3"], 9]);
});

test("a reused value is neither judged nor a baseline", () => {
  const values = [0.9, 0.9, 0.2, 0.91, 0.5].map((value, i) => ({ value, reused: i === 2 }));
  assert.deepEqual(marks(values, { direction: "higher", tolerance: 0.02 }), [
    undefined,
    undefined,
    undefined,
    undefined,
    "worse",
  ]);
});

test("colours are classes, and other control sequences are dropped", () => {
  assert.deepEqual(pieces("a\x1b[31;1mb\x1b[0m\x1b]8;;https://evil\x07c\x1b[2K"), [
    { text: "a", classes: "" },
    { text: "b", classes: "bold ansi-1" },
    { text: "c", classes: "" },
  ]);
});

test("comma-separated values are a table", () => {
  assert.deepEqual(parseCsv('a,b\r\n1,"x, ""y"""\n'), { head: ["a", "b"], body: [[1, 'x, "y"']] });
});
