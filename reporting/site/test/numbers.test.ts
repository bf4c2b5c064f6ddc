import assert from "node:assert/strict";
import { test } from "node:test";
import { axesOf, endedWell, metrics, type Row, rowsOf } from "../src/compare.ts";
import { matches, parseFilter } from "../src/filter.ts";
import { value } from "../src/format.ts";
import type { RunDetail, StoredColumn, Task } from "../src/model.ts";
import { alike, metricsOf, numeric, order, valuesOf } from "../src/numbers.ts";
import { marks } from "../src/regress.ts";
import { logTicks, nearest, range, smoothed, stretches } from "../src/scale.ts";
import { parseJson } from "../src/tables.ts";

const task = (fields: Partial<Task>): Task => ({ name: "t", family: "t", status: "ran", detail: "", ...fields });
const runs = (...tasks: Task[]) => tasks.map((one) => ({ tasks: [one] }) as unknown as RunDetail);

test("a list may break after its commas, and nowhere else within a number", () => {
  assert.equal(value([0, 1, { a: "x,\ny", b: [] }]), '[0, 1, {"a": "x,\\ny", "b": []}]');
});

test("what JSON has no words for is a number again", () => {
  assert.deepEqual([1, "NaN", "Infinity", "-Infinity", "1", null].map(numeric), [
    1,
    Number.NaN,
    Infinity,
    -Infinity,
    undefined,
    undefined,
  ]);
  assert.deepEqual(metricsOf(task({ metrics: { loss: "NaN", auc: 0.5 } })), { loss: Number.NaN, auc: 0.5 });
  const stored = ["NaN", null, 2];
  assert.deepEqual(valuesOf({ kind: "metrics" } as StoredColumn, stored), [Number.NaN, null, 2]);
  assert.equal(valuesOf({ kind: "tags" } as StoredColumn, stored), stored);
  assert.deepEqual(parseJson('{"a": NaN, "b": [-Infinity], "c": "NaN, \\"Infinity"}'), {
    a: "NaN",
    b: ["-Infinity"],
    c: 'NaN, "Infinity',
  });
});

test("numbers that are not finite are sorted last, before what is missing, in either direction", () => {
  const given = [null, Number.NaN, 2, "x", Infinity, 1];
  for (const [sign, first] of [
    [1, [1, 2]],
    [-1, [2, 1]],
  ] as const) {
    const sorted = [...given].sort((a, b) => order(a, b, sign));
    assert.deepEqual([sorted.slice(0, 2), sorted[2], sorted[5]], [first, "x", null]);
  }
  assert.ok(
    alike(Number.NaN, Number.NaN) && alike([1], [1]) && !alike(Number.NaN, null) && !alike(Infinity, null),
  );
});

test("a filter finds what is not finite, and no number is like a word", () => {
  const fits = (filter: string, value: unknown) => matches(parseFilter(filter)!, () => [value]);
  assert.ok(fits("metrics.loss = NaN", Number.NaN));
  assert.ok(fits("metrics.loss = -inf", -Infinity));
  assert.ok(fits("metrics.loss > 5", Infinity));
  assert.ok(!fits("metrics.loss = abc", Number.NaN));
  assert.ok(!fits("metrics.loss > 5", Number.NaN));
});

test("what is not finite is never better, and no baseline", () => {
  const measured = [1, 1, Infinity, 1, Number.NaN, 1].map((value) => ({ value, reused: false }));
  const higher = { direction: "higher", tolerance: 0 } as const;
  assert.deepEqual(marks(measured, higher), [undefined, undefined, undefined, undefined, "worse", undefined]);
});

test("of a task that did not end well nothing is compared", () => {
  const [row] = rowsOf(
    runs(task({ metrics: { auc: 1 } }), task({ status: "cancelled" }), task({ metrics: { auc: 1 } })),
    metrics,
    endedWell,
  );
  assert.deepEqual([row!.without, row!.differs], [[undefined, "cancelled", undefined], false]);
});

test("axes are what differs, once, and metrics are among them", () => {
  const row = (name: string, task: string, values: unknown[]): Row => ({
    name,
    task,
    values,
    without: [],
    differs: values[0] !== values[1],
  });
  const params = Array.from({ length: 12 }, (_, i) => row(i < 6 ? "lr" : `p${i}`, `t${i}`, [1, 2]));
  const found = axesOf(
    [...params, row("same", "t", [1, 1])],
    [row("loss", "t", [1, 2]), row("auc", "t", [3, 4])],
    (one) => one.name === "auc",
  );
  assert.deepEqual(
    found.map((one) => one.name),
    ["lr", "p6", "p7", "p8", "p9", "p10", "auc", "loss"],
  );
});

test("a line has gaps where it is not finite, and its scale is that of the rest", () => {
  const points = [0.5, Number.NaN, 0.4, Infinity, 0.3].map((y, x) => ({ x, y }));
  assert.deepEqual(
    stretches(points).map((part) => part.map((point) => point.x)),
    [[0], [2], [4]],
  );
  assert.deepEqual(range(points.map((point) => point.y)), [0.3, 0.5]);
  assert.deepEqual(range([Number.NaN]), [-1, 1]);
  assert.equal(nearest(points, { x: 3.2, y: 0 }), 3);
  assert.ok(Number.isNaN(smoothed(points, 9)[1]!.y));
  assert.equal(smoothed(points, 9)[0]!.y.toFixed(3), "0.400");
  assert.deepEqual(logTicks([0.002, 3]), [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2]);
});
