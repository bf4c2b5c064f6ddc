import assert from "node:assert/strict";
import { test } from "node:test";
import { scaleOf } from "../src/axis.ts";
import { placed, range, ticks, timeStep } from "../src/scale.ts";

const FAR = [
  [0, 1],
  [0.4, 0.92],
  [-3, 7],
  [5e-324, 5e-324],
  [1e-310, 3e-310],
  [1e17, 1e17 + 16],
  [1.7e18, 1.7e18 + 256],
  [-1e308, 1e308],
  [Number.MAX_VALUE, Number.MAX_VALUE],
  [-Number.MAX_VALUE, 0],
];

test("any two numbers have a range with room, few ticks, and a place", () => {
  for (const values of FAR) {
    const [low, high] = range(values);
    assert.ok(low < high && Number.isFinite(high - low), String(values));
    for (const count of [2, 5, 12]) {
      const found = ticks([low, high], count);
      assert.ok(found.length <= count + 3 && new Set(found).size === found.length, String(values));
    }
    const scale = scaleOf({ id: "", label: "", values });
    for (const item of values) {
      const at = scale.at(item)!;
      assert.ok(at >= 0 && at <= 1, `${item} is at ${at}`);
      assert.ok(Number.isFinite((placed(item) - low) / (high - low)));
    }
  }
});

test("ticks reach from below the least to above the most", () => {
  assert.deepEqual(ticks([0.4, 0.92], 5), [0.4, 0.6, 0.8, 1]);
  assert.deepEqual(ticks([0, 1], 5), [0, 0.2, 0.4, 0.6, 0.8, 1]);
  assert.deepEqual(ticks([-3, 7], 5), [-4, -2, 0, 2, 4, 6, 8]);
});

test("steps of times are parts of minutes and hours", () => {
  assert.deepEqual(
    [0.03, 4, 11, 50, 61, 1000, 4000, 90_000].map(timeStep),
    [0.05, 5, 15, 60, 120, 1800, 7200, 180_000],
  );
});
