import assert from "node:assert/strict";
import { test } from "node:test";
import { Index, type Ledgers, type Matrix } from "../src/model.ts";
import { durationMarks, durationTrend } from "../src/regress.ts";
import { byHurt, months, taskFacts } from "../src/task_facts.ts";
import { stored } from "./stored.ts";

const count = 10;
const index = new Index(
  stored({
    rows: {
      id: Array.from({ length: count }, (_, i) => `run ${i}`),
      started: Array.from({ length: count }, (_, i) => i * 5 * 86_400_000),
      saved: Array.from({ length: count }, (_, i) => (i % 2 ? 4 : 0)),
    },
    columns: [
      { kind: "duration", task: "train[a]", family: "train", name: "" },
      { kind: "duration", task: "train[b]", family: "train", name: "" },
    ],
    settings: { metrics: {} },
  }),
);
const matrix: Matrix = [
  ["load", "RuRuRuRuRu"],
  ["train[a]", "RRRRRRRRRR"],
  ["train[b]", "RRf"],
  ["never", "ssssssssss"],
];
const ledgers: Ledgers = {
  load: {
    took: [0, 2, 4, 6, 8].map((run) => [run, 4]),
    saved: [
      [1, 4],
      [7, 6],
    ],
    retried: [[4, 3]],
    unsteady: [2, 6],
  },
  "train[a]": { took: [10, 10, 11, 10, 10, 10, 20, 21, 20, 20].map((seconds, run) => [run, seconds]) },
  "train[b]": {
    took: [
      [0, 1],
      [1, 1],
      [2, 9],
    ],
  },
};
const facts = (byFamily = false, runs = index.runs) => taskFacts(matrix, ledgers, index.columns, runs, byFamily);
const find = (name: string, list = facts()) => list.find((one) => one.name === name)!;

test("hits save what the execution before them took, until that changes", () => {
  assert.deepEqual([find("load").hits, find("load").saved, find("load").computed], [5, 4 + 4 + 4 + 6 + 6, 20]);
  assert.equal(find("load", facts(false, index.runs.slice(8))).saved, 6);
});

test("what hurts comes first: what fails, is not deterministic, was retried, got slower", () => {
  assert.deepEqual(
    facts()
      .sort(byHurt)
      .map((one) => [one.name, ...one.complaints]),
    [
      ["train[b]", "fails"],
      ["load", "unsteady", "retried"],
      ["train[a]", "slower"],
    ],
  );
});

test("instances are taken together, and their last failure counts", () => {
  const train = find("train", facts(true));
  assert.deepEqual([train.instances, train.executions.length, train.failed], [2, 13, 1]);
  assert.ok(!train.complaints.includes("fails"));
});

test("one slow execution is marked, and is no trend", () => {
  const usual = [10, 10.1, 9.9, 10, 10.2, 9.8, 10];
  const reused = false;
  assert.equal(durationMarks([...usual, 20].map((value) => ({ value, reused }))).at(-1), "worse");
  assert.equal(durationTrend([...usual, 20])!.mark, undefined);
  assert.equal(durationTrend([...usual, 20, 21, 20])!.mark, "worse");
  assert.equal(durationTrend([...usual, 10.4, 10.5, 10.4])!.mark, undefined);
  assert.equal(durationTrend([])?.mark, undefined);
});

test("months have what was saved and computed, the newest first", () => {
  const found = months(facts(), index.runs, (run) => new Date(run.started).toISOString().slice(0, 7));
  assert.deepEqual(
    found.map(({ month, runs, saved }) => [month, runs, saved]),
    [
      ["1970-02", 3, 8],
      ["1970-01", 7, 12],
    ],
  );
  assert.equal(
    found.reduce((sum, one) => sum + one.computed, 0),
    20 + 142 + 11,
  );
});
