import assert from "node:assert/strict";
import { test } from "node:test";
import { bestOf } from "../src/columns.tsx";
import { labelsOf } from "../src/compare.ts";
import { columnsNeeded, distance, isFact, isStatus, reader } from "../src/fields.ts";
import { FilterError, fields, parseFilter } from "../src/filter.ts";
import { columnId, Index, type StoredColumn, statusOf } from "../src/model.ts";
import { median } from "../src/regress.ts";
import { changed, href, joined, parse, runHref, split, taskHref } from "../src/route.ts";
import { stored } from "./stored.ts";

const column = (kind: StoredColumn["kind"], task: string, name: string): StoredColumn => ({
  at: [[0, 0, 0]],
  kind,
  task,
  name,
});
const index = new Index(
  stored({
    rows: {
      id: ["a", "b", "c", "d"],
      pipeline: ["p", "p", "q", "p"],
      branch: ["main", "x", "main", "main"],
      started: [1, 2, 3, 3],
      commit: ["aaaaaaaaa", "bbbbbbbbb", null, "aaaaaaaaa"],
      result: ["success", "failure", "success", "success"],
    },
    columns: [column("metrics", "train[lr=1]", "auc"), column("duration", "train[lr=1]", "")],
    settings: { metrics: { auc: { direction: "higher", tolerance: 0 } } },
  }),
);

test("rows are runs, the newest first, and ties in one order", () => {
  assert.deepEqual(
    index.newest.map((run) => run.id),
    ["d", "c", "b", "a"],
  );
  assert.equal(index.byId.get("b")!.branch, "x");
});

test("the run before is of the same pipeline, and of the same branch if there is one", () => {
  assert.equal(index.before(index.byId.get("d")!)!.id, "a");
  assert.equal(index.before(index.byId.get("b")!)!.id, "a");
  assert.equal(index.before(index.byId.get("c")!), undefined);
});

test("columns are named as in a filter", () => {
  assert.deepEqual(index.columns.map(columnId), ["metrics.auc@train[lr=1]", "duration@train[lr=1]"]);
  assert.deepEqual([statusOf("r"), statusOf("?"), statusOf(undefined)], ["restored", undefined, undefined]);
});

test("runs are told apart by commit, else by time", () => {
  const runs = (ids: string) => [...ids].map((id) => index.byId.get(id)!);
  assert.deepEqual(labelsOf(runs("ab")), ["aaaaaaa", "bbbbbbb"]);
  assert.equal(labelsOf(runs("ad")).length, 2);
  assert.ok(labelsOf(runs("ad")).every((label) => /^\d\d-\d\d \d\d:\d\d$/.test(label)));
});

test("a filter reads facts, columns and statuses of a run", () => {
  const expression = parseFilter("branch = main and metrics.auc > 1 and status@train = ran");
  const needed = columnsNeeded(index, expression);
  assert.deepEqual(needed.map(columnId), ["metrics.auc@train[lr=1]"]);
  const read = reader(index, () => [5, 6, 7, 8], [["train[lr=1]", "RurR"]]);
  assert.deepEqual(fields(expression).map(read(index.byId.get("b")!)), [["x"], [6], ["up_to_date"]]);
  assert.deepEqual(
    fields(expression).map((field) => [isFact(field), isStatus(field)]),
    [
      [true, false],
      [false, false],
      [false, true],
    ],
  );
});

test("a name that no run has is refused, with the nearest that there is", () => {
  const complaint = (text: string) => {
    try {
      columnsNeeded(index, parseFilter(text));
    } catch (error) {
      return error instanceof FilterError && error.message;
    }
    return "";
  };
  assert.equal(complaint("metrics.aucc > 1"), "no run has metrics.aucc; did you mean metrics.auc?");
  assert.equal(complaint("metrics.auc@other > 1"), "no run has metrics.auc@other");
  assert.equal(complaint("constructor = 1"), "no run has constructor");
  assert.deepEqual([distance("kitten", "sitting"), distance("", "ab"), distance("a", "a")], [3, 2, 0]);
});

test("an address comes back as it was made, whatever names contain", () => {
  const nasty = "a/b?c&d#e %2e[x=1],é";
  const route = parse(href(["run", nasty, "task", nasty], { view: nasty, empty: "" }));
  assert.deepEqual(route.path, ["run", nasty, "task", nasty]);
  assert.deepEqual(Object.fromEntries(route.query), { view: nasty });
  assert.deepEqual(split(joined([nasty, "b"])), [nasty, "b"]);
  assert.equal(runHref("javascript:alert(1)"), "#/run/javascript%3Aalert(1)");
  assert.equal(taskHref("1", "../x"), "#/run/1/task/..%2Fx");
});

test("a change of an address keeps the rest, and nothing breaks a broken one", () => {
  const route = parse("#/matrix?a=1&b=2");
  assert.equal(changed(route, { a: undefined, c: "3" }), "#/matrix?b=2&c=3");
  assert.deepEqual(parse("#/%E0%A4%A").path, ["%E0%A4%A"]);
  assert.deepEqual([parse("").path, split(null)], [[], []]);
});

test("a median stands in the middle", () => {
  assert.deepEqual([median([3, 1, 2]), median([4, 1, 2, 3])], [2, 2.5]);
});

test("the best of several instances is the finite one that is better", () => {
  assert.equal(bestOf([0.5, NaN, null, 0.7, Infinity], "higher"), 0.7);
  assert.equal(bestOf([0.5, NaN, 0.7], "lower"), 0.5);
  assert.ok(Number.isNaN(bestOf([undefined, NaN], "lower")));
  assert.equal(bestOf([null], "higher"), undefined);
});
