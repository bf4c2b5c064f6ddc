import assert from "node:assert/strict";
import { test } from "node:test";
import { csv } from "../src/csv.ts";
import { FilterError, fields, matches, parseFilter } from "../src/filter.ts";

const row: Record<string, unknown[]> = {
  "metrics.auc": [0.5, 0.95],
  "params.lr": [0.1],
  branch: ["main"],
  dirty: [false],
  started: ["2026-02-03T10:00:00Z"],
  "tags.a b": ["x, y"],
};

const fits = (text: string): boolean => matches(parseFilter(text)!, (field) => row[field.name] ?? []);

test("a filter says which rows it takes", () => {
  for (const [text, taken] of [
    ["metrics.auc > 0.9 and params.lr = 0.1 and branch = main", true],
    ["metrics.auc > 0.99", false],
    ["branch = other or params.lr in (1, 0.1)", true],
    ["not (branch = MAIN)", false],
    ["not branch = x and not params.lr = 2", true],
    ["started >= 2026-02-01 and started < 2026-03", true],
    ["dirty = false", true],
    ["`tags.a b` ~ 'X, Y'", true],
    ["nothing is unknown and branch is known", true],
    ["params.lr != 0.1", false],
    ["nothing != 1", false],
  ] as const) {
    assert.equal(fits(text), taken, text);
  }
});

test("and binds closer than or", () => {
  assert.equal(fits("branch = main or branch = x and branch = y"), true);
  assert.equal(fits("(branch = main or branch = x) and branch = y"), false);
});

test("a task's name may hold what means something elsewhere", () => {
  const [field] = fields(parseFilter("metrics.auc@train[lr=0.1,seed=1] > 1"));
  assert.deepEqual([field?.name, field?.task], ["metrics.auc", "train[lr=0.1,seed=1]"]);
});

test("an error says where it is", () => {
  for (const [text, at] of [
    ["branch =", 8],
    ["branch main", 7],
    ["(a = 1", 0],
    ["a = 1 b = 2", 6],
    ["a = 'x", 4],
    ["a in 1", 5],
  ] as const) {
    assert.throws(
      () => parseFilter(text),
      (error) => error instanceof FilterError && error.at === at,
      text,
    );
  }
});

test("nothing is no filter", () => assert.equal(parseFilter("  "), undefined));

test("a spreadsheet gets no formula", () => {
  assert.equal(
    csv(
      ["id", "a"],
      [
        ["1", "=1+1"],
        ["2", 'say "x", y'],
        ["3", -1],
      ],
    ),
    'id,a\r\n1,\'=1+1\r\n2,"say ""x"", y"\r\n3,-1\r\n',
  );
});
