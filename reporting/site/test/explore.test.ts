import assert from "node:assert/strict";
import { test } from "node:test";
import { scaleOf, spaced } from "../src/axis.ts";
import { coloursOf } from "../src/colours.ts";
import { groupsOf, itemsOf, outcomes, parted, ranksOf, readerOf, relation } from "../src/explore.ts";
import { Index, type StoredColumn } from "../src/model.ts";
import { stored } from "./stored.ts";

const column = (kind: StoredColumn["kind"], task: string, name: string, family?: string): StoredColumn => ({
  kind,
  task,
  name,
  at: [[0, 0, 0]],
  ...(family ? { family } : {}),
});
const columns = [
  column("metrics", "train[a]", "loss", "train"),
  column("metrics", "train[a]", "auc", "train"),
  column("metrics", "train[b]", "auc", "train"),
  column("params", "train[a]", "lr", "train"),
  column("params", "train[b]", "lr", "train"),
  column("params", "split", "images"),
  column("duration", "split", ""),
];
const index = new Index(
  stored({
    rows: { id: ["r", "s", "t"], started: [1, 2, 3] },
    columns,
    settings: { metrics: { auc: { direction: "higher", tolerance: 0 } } },
  }),
);
const data: Record<string, unknown[]> = {
  "metrics.auc@train[a]": [0.5, 0.5, 0.7],
  "metrics.auc@train[b]": [0.6, null, NaN],
  "params.lr@train[a]": [1, 1, 2],
  "params.lr@train[b]": [3, 3, 3],
  "params.images@split": [10, 20, 30],
};
const values = (one: StoredColumn) => data[`${one.kind}.${one.name}@${one.task}`] ?? [];
const letters = new Map([
  ["train[a]", "RuR"],
  ["train[b]", "R f"],
]);

test("declared metrics come first, and instances have their result in common", () => {
  assert.deepEqual(
    outcomes(index).map((one) => [one.id, one.columns.length]),
    [
      ["metrics.auc@train", 2],
      ["metrics.loss@train", 1],
      ["duration@split", 1],
    ],
  );
});

test("a reused result does not count twice, and a failed one not at all", () => {
  const outcome = outcomes(index)[0]!;
  const names = (reused: boolean) =>
    itemsOf(outcome, index.runs, letters, values, reused).map(({ run, task }) => run.id + task.at(-2));
  assert.deepEqual(names(false), ["ra", "rb", "ta"]);
  assert.deepEqual(names(true), ["ra", "rb", "sa", "ta", "tb"]);
});

test("a parameter is that of the task itself, else the only one of the run", () => {
  const of = (name: string, task: string) =>
    readerOf(
      columns.filter((one) => one.name === name),
      values,
    )({ run: index.runs[0]!, task });
  assert.deepEqual([of("lr", "train[a]"), of("lr", "train[b]"), of("images", "train[a]")], [1, 3, 10]);
  assert.equal(of("lr", "split"), undefined);
});

test("ranks are correlated, without being misled by scale; ties share their place", () => {
  assert.deepEqual(ranksOf([10, 30, 10, 20]), [1.5, 4, 1.5, 3]);
  const lr = [0.001, 0.01, 0.1, 1, 10, 100, 1000, 10000, 1e5, 1e6, 1e7, 1e8, 1e9];
  const falls = relation(
    lr,
    lr.map((_, i) => -i),
  )!;
  assert.deepEqual([falls.rank, falls.count, falls.different, falls.chance], [-1, 13, 13, false]);
});

test("an optimum in the middle is a relation, though it has no direction", () => {
  const lr = Array.from({ length: 45 }, (_, i) => [0.1, 1, 10][i % 3]!);
  const found = relation(
    lr,
    lr.map((item, i) => (item === 1 ? 1 : 0) + i / 1000),
  )!;
  assert.ok(Math.abs(found.rank!) < 0.3 && found.between! > 0.7 && !found.chance);
  const texts = relation(
    lr.map(String),
    lr.map((item, i) => (item === 1 ? 1 : 0) + i / 1000),
  )!;
  assert.deepEqual([texts.rank, texts.chance], [undefined, false]);
});

test("what is noise is said to be so, and what does not vary is left out", () => {
  const noise = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8];
  assert.equal(
    relation(
      noise.map((_, i) => i % 3),
      noise,
    )!.chance,
    true,
  );
  assert.equal(
    relation(
      noise.map(() => 1),
      noise,
    ),
    undefined,
  );
  assert.equal(relation([1, 2, 3], [1, 2, 3]), undefined);
});

test("groups have their mean and spread, and many numbers are parted", () => {
  assert.deepEqual(groupsOf(["b", "a", "a", null, "a"], [1, 2, 4, 9, NaN]), [
    { name: "a", count: 2, mean: 3, spread: Math.SQRT2, least: 2, most: 4 },
    { name: "b", count: 1, mean: 1, spread: undefined, least: 1, most: 1 },
  ]);
  const many = Array.from({ length: 60 }, (_, i) => i);
  const names = groupsOf(parted(many, String), many).map((group) => `${group.name}: ${group.count}`);
  assert.deepEqual(names.slice(0, 2), ["0 to below 10: 10", "10 to below 20: 10"]);
  assert.equal(names.at(-1), "from 50: 10");
  assert.equal(parted(["x", 1], String)[0], "x");
});

test("axes are even, logarithmic or of names, and have no place for what is unknown", () => {
  const axis = (values: unknown[], log?: boolean) => scaleOf({ id: "", label: "", values, log });
  assert.equal(axis([1, 2, 3]).kind, "even");
  assert.equal(axis([0.001, 0.1, 1]).kind, "log");
  assert.equal(axis([0.001, 0.1, 1], false).kind, "even");
  assert.equal(axis([-1, 1000], true).kind, "even");
  const names = axis(["x", null, "a"]);
  assert.deepEqual([names.kind, names.at("a"), names.at("x"), names.at(null)], ["names", 0.25, 0.75, undefined]);
  assert.equal(axis([1, NaN, 2]).at(NaN), undefined);
  const written = (values: unknown[]) => axis(values).ticks.map(({ text }) => text);
  assert.deepEqual(written([1, 1.3, 2]), ["1", "1.3", "2"]);
  assert.deepEqual(written([1, 1.01, 2]), ["1", "1.2", "1.4", "1.6", "1.8", "2"]);
  assert.equal(spaced(axis([1, 1.01, 2]).ticks, 0.3).length, 3);
});

test("few names have a colour each, numbers a ramp", () => {
  const colours = (values: unknown[]) => coloursOf({ id: "", label: "", values }, values.length);
  assert.deepEqual(colours(["b", "a", "b"]).of, ["var(--s1)", "var(--s0)", "var(--s1)"]);
  assert.equal(colours([..."abcdefghij"]).names.at(-1)!.text, "3 more");
  assert.deepEqual(colours([1, 2, 30, null]).ramp, ["1", "30"]);
});

test("ticks of times are midnights or even hours of the reader's zone, and say which", () => {
  const at = (day: number, hour: number, minute = 0) => new Date(2023, 10, day, hour, minute).getTime();
  const ticks = (values: number[]) =>
    scaleOf({ id: "started", label: "started", values, isTime: true }, 6).ticks.map((tick) => tick.text);
  const every = (hours: number) => Array.from({ length: 60 }, (_, i) => at(14, 22 + i * hours, 13));
  assert.deepEqual(ticks(every(1)), ["2023-11-15", "2023-11-16", "2023-11-17"]);
  assert.deepEqual(ticks(every(4)), ["2023-11-16", "2023-11-18", "2023-11-20", "2023-11-22", "2023-11-24"]);
  assert.deepEqual(ticks(every(0.2)), ["11-15 00:00", "11-15 02:00", "11-15 04:00", "11-15 06:00", "11-15 08:00"]);
  assert.deepEqual(ticks([at(14, 9)]), ["2023-11-14"]);
});
