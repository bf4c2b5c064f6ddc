import assert from "node:assert/strict";
import { test } from "node:test";
import { inLanes } from "../src/lanes.ts";
import type { Task } from "../src/model.ts";

const executed = (...nodes: (string | undefined)[][]) =>
  nodes.map((of, i) => ({
    i,
    task: {
      name: `t${i}`,
      family: "t",
      status: "ran",
      detail: "",
      attempts: of.map((node, n) => ({ n, outcome: "succeeded", start: n, more: "", ...(node && { node }) })),
    } as Task,
  }));
const lines = (found: ReturnType<typeof inLanes>) =>
  [
    ...found.rows.map(({ task, attempts, at }) => `${at} ${task.name} ${attempts.map(({ n }) => n).join()}`),
    ...found.lanes.map(({ node, at }) => `${at} [${node}]`),
  ].sort();

test("on one machine there is one row for each task", () => {
  assert.deepEqual(lines(inLanes(executed([undefined], [undefined, undefined]))), ["0 t0 0", "1 t1 0,1"]);
});

test("on a cluster tasks are below their nodes, what was begun again elsewhere below both", () => {
  const found = inLanes(executed(["right"], ["left", "right", "left"], [undefined]));
  assert.deepEqual(lines(found), [
    "0 [left]",
    "1 t1 0,2",
    "2 [right]",
    "3 t0 0",
    "4 t1 1",
    "5 [on no node]",
    "6 t2 0",
  ]);
});
