// The site compares as the command line does: tests/reporting/test_comparison_golden.py reads the same file.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { graphOf, mergedGraph, metrics, parameters, rowsOf, tasksOf, verdict } from "../src/compare.ts";
import { disagreeing } from "../src/determinism.ts";
import type { RunDetail, Task } from "../src/model.ts";
import { numeric } from "../src/numbers.ts";
import { marks } from "../src/regress.ts";

const golden = JSON.parse(
  readFileSync(new URL("../../../tests/reporting/golden/comparison.json", import.meta.url), "utf8"),
);
const run = (tasks: Task[]): RunDetail => ({
  id: "",
  tasks,
  graph: "",
  targets: [],
  parameters: {},
  resource: {},
});
const [before, after] = [run(golden.runs.before), run(golden.runs.after)];
const expected = golden.expected;
const inBoth = (row: { task: string }) =>
  [before, after].every((one) => one.tasks.some((task) => task.name === row.task));

test("verdicts are golden", () => {
  for (const one of golden.verdicts)
    assert.equal(verdict(one.before, one.after, one.declared), one.verdict, JSON.stringify(one));
});

test("marks are golden", () => {
  for (const one of golden.marks) {
    const values = one.values.map((value: number | string) => ({ value: numeric(value)!, reused: false }));
    const found = marks(values, { direction: null, ...one.declared });
    assert.deepEqual(
      found.map((mark) => mark ?? null),
      one.marks,
      JSON.stringify(one),
    );
  }
});

test("a comparison is golden", () => {
  const runs = [before, after];
  const tasks = tasksOf(runs);
  const graph = graphOf(before, after);
  const sorted = (edges: [string, string][]) => edges.map((edge) => [...edge]).sort();
  assert.deepEqual(
    {
      statuses: tasks
        .filter((task) => inBoth({ task: task.name }) && task.statuses[0] !== task.statuses[1])
        .map((task) => [task.name, ...task.statuses]),
      parameters: rowsOf(runs, parameters)
        .filter((row) => inBoth(row) && row.differs)
        .map((row) => [row.task, row.name, ...row.values.map((item) => item ?? null)]),
      metrics: rowsOf(runs, metrics)
        .filter((row) => inBoth(row) && row.differs)
        .map((row) => [row.task, row.name, verdict(row.values[0], row.values[1], golden.declared[row.name])]),
      keyed: tasks.filter((task) => task.keyed[1]).map((task) => task.name),
      added: graph.added,
      removed: graph.removed,
      edges_added: sorted(graph.edgesAdded),
      edges_removed: sorted(graph.edgesRemoved),
    },
    expected,
  );
});

test("two graphs are drawn as one, from left to right", () => {
  const { nodes, places, changes } = mergedGraph(before, after);
  assert.deepEqual(
    nodes.map((node, i) => [node.name, node.change, ...places.nodes[i]!]),
    [
      ["ingest", "same", 0, 0.5],
      ["split", "same", 1, 0.5],
      ["train", "keyed", 2, 0],
      ["benchmark", "added", 3, 0],
      ["report", "removed", 3, 1],
    ],
  );
  assert.deepEqual(
    places.edges.map(([from, to, points], i) => [
      `${nodes[from]!.name} ${nodes[to]!.name} ${changes[i]}`,
      points.length,
    ]),
    [
      ["ingest split same", 2],
      ["split train same", 2],
      ["train benchmark added", 2],
      ["train report removed", 2],
      ["split report removed", 3],
    ],
  );
});

test("two graphs that make a circle are drawn all the same", () => {
  const one = { status: "ran", family: "", detail: "" } as const;
  const there = run([
    { ...one, name: "a" },
    { ...one, name: "b", up: [0] },
  ]);
  const back = run([
    { ...one, name: "b" },
    { ...one, name: "a", up: [0] },
  ]);
  assert.equal(mergedGraph(there, back).places.edges.length, 2);
});

test("executions with one key that left other outputs are told", () => {
  assert.deepEqual(disagreeing(["k1 x", null, "k2 y", "k1 z"], "k1"), [0, 3]);
  assert.deepEqual(disagreeing(["k1 x", "k2 y", "k1 x"], "k1"), []);
});
