import assert from "node:assert/strict";
import { test } from "node:test";
import { dataDifference } from "../src/data_diff.ts";
import type { Preview, Value } from "../src/model.ts";

const table = (names: string[], head: Value[][], rows = head.length): Preview => ({
  format: "csv",
  rows,
  columns: names.map((name, i) => ({
    name,
    type: typeof head[0]?.[i] === "number" ? "integer" : "text",
    missing: 0,
    most: Math.max(...head.map((row) => Number(row[i]))),
  })),
  head,
});

test("rows belong together by a key, wherever they are", () => {
  const found = dataDifference(
    table(
      ["id", "x"],
      [
        [1, 5],
        [2, 5],
        [3, 5],
      ],
    ),
    table(
      ["id", "x"],
      [
        [4, 5],
        [3, 5],
        [2, 6],
      ],
    ),
  );
  assert.equal(found.by, "id");
  assert.deepEqual(
    found.lines.map((line) => [line.change, line.before?.[0] ?? line.after?.[0]]),
    [
      ["changed", 2],
      ["removed", 1],
      ["added", 4],
    ],
  );
  assert.deepEqual(
    found.figures.map((one) => one.name),
    ["id", "x"],
  );
});

test("without a key the place of a row decides, and columns are said apart", () => {
  const found = dataDifference(
    table(["x"], [[5], [5]]),
    table(
      ["x", "y"],
      [
        [5, 1],
        [6, 1],
        [6, 1],
      ],
    ),
  );
  assert.deepEqual([found.by, found.added, found.removed, found.rows], [undefined, ["y"], [], [2, 3]]);
  assert.deepEqual(
    found.lines.map((line) => line.change),
    ["changed", "added"],
  );
});

test("a row beyond the first ones of a file may be in it", () => {
  const found = dataDifference(table(["id"], [[1], [2]], 100), table(["id"], [[1], [3]], 100));
  assert.deepEqual([found.lines, found.partly], [[], true]);
});

test("a type that changed is told", () => {
  const found = dataDifference(table(["x"], [[1]]), table(["x"], [["a"]]));
  assert.deepEqual(found.types, [{ name: "x", before: "integer", after: "text" }]);
});
