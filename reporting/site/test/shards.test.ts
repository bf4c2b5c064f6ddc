import assert from "node:assert/strict";
import { test } from "node:test";
import { Index, type ShardRows, type StoredColumn, type StoredIndex } from "../src/model.ts";
import { joined, joinedLedgers, joinedMatrix } from "../src/shards.ts";
import { taskFacts } from "../src/task_facts.ts";
import { head } from "./stored.ts";

const column: Omit<StoredColumn, "at"> = {
  kind: "metrics",
  task: "a",
  name: "auc",
};
const rows = (...id: string[]): ShardRows["rows"] => ({ id, started: id.map((_, i) => i) });
const index: StoredIndex = {
  shards: [head(2, "a", "b"), head(2, "c", "d"), head(1, "e", "e")],
  recent: 1,
  rows: rows("d", "e"),
  columns: [{ ...column, at: [[1, 0, 0]] }],
  settings: { metrics: {} },
};
const part = (...id: string[]): ShardRows => ({ rows: rows(...id), columns: [column], bundles: [[0, ""]] });

test("before a shard is loaded, the last runs have their numbers among those of all recent shards", () => {
  const first = new Index(index);
  assert.deepEqual(first.shards, [
    { place: 1, first: 0 },
    { place: 2, first: 2 },
  ]);
  assert.deepEqual(
    first.runs.map((run) => [run.id, run.number]),
    [
      ["d", 1],
      ["e", 2],
    ],
  );
  assert.deepEqual([first.complete, first.size, first.total], [false, 3, 5]);
});

test("an older shard joins those that are loaded, and its columns do", () => {
  const both = new Index(
    index,
    new Map([
      [2, part("e")],
      [0, part("a", "b")],
    ]),
  );
  assert.deepEqual(
    both.runs.map((run) => [run.id, run.number]),
    [
      ["a", 0],
      ["b", 1],
      ["e", 2],
    ],
  );
  assert.deepEqual(
    [both.complete, both.size, both.columns.map((one) => one.at)],
    [
      true,
      3,
      [
        [
          [2, 0, 0],
          [0, 0, 0],
        ],
      ],
    ],
  );
  assert.deepEqual(both.mayHold("c"), [1]);
  assert.deepEqual(both.mayHold("a"), []);
  assert.deepEqual(
    both.others().map(({ place }) => place),
    [1],
  );
});

const shards = [
  { place: 0, first: 0 },
  { place: 1, first: 2 },
];

test("values, letters and sums of shards have the numbers of their runs", () => {
  assert.deepEqual(joined(shards, [[1], [2, 3]]), [1, undefined, 2, 3]);
  assert.deepEqual(joined(shards.slice(1), [[5]]), [undefined, undefined, 5]);
  const matrix = joinedMatrix(shards, [
    [
      ["old", "RR"],
      ["a", "R"],
    ],
    [
      ["a", "u"],
      ["new", " R"],
    ],
  ]);
  assert.deepEqual(matrix, [
    ["a", "R u"],
    ["new", "   R"],
    ["old", "RR"],
  ]);
  const ledgers = joinedLedgers(shards, [{ a: { took: [[0, 4]] } }, { a: { saved: [[0, 4]], unsteady: [0] } }]);
  assert.deepEqual(ledgers.a, { took: [[0, 4]], retried: [], saved: [[2, 4]], unsteady: [2], artifacts: {} });
  const runs = new Index({ ...index, recent: 0, rows: rows("a", "b", "c", "d", "e") }).runs;
  const [facts] = taskFacts(matrix, ledgers, [], runs, false);
  assert.deepEqual([facts!.computed, facts!.saved, facts!.hits], [4, 4, 1]);
});
