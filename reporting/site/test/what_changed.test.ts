import assert from "node:assert/strict";
import { test } from "node:test";
import { commands, regression } from "../src/what_changed.ts";

test("the newest run that was worse is compared with the last that was not", () => {
  const runs = ["a", "b", "c", "d", "e"];
  const found = [undefined, undefined, "worse", "worse", undefined] as const;
  assert.deepEqual(regression(runs, found, [false, false, false, false, true]), { before: "b", after: "d" });
  assert.deepEqual(regression(runs, found, [false, true, false, false, true]), { before: "a", after: "d" });
  assert.equal(regression(runs, [undefined, "better"], [false, false]), undefined);
});

test("names are quoted as a shell needs it, and one commit is not searched", () => {
  const [before, after] = [
    { id: "r1", commit: "a1" },
    { id: "r2", commit: "b2" },
  ];
  assert.deepEqual(commands("train[n=1]", "auc", before, after), [
    ["bisect", "nbdag bisect 'train[n=1]:auc' --good a1 --bad b2"],
    ["blame", "nbdag blame 'train[n=1]:auc' --from r1 --to r2"],
  ]);
  assert.deepEqual(
    commands("it's", "auc", before, { id: "r2", commit: "a1" }).map(([, text]) => text),
    [`nbdag blame 'it'"'"'s:auc' --from r1 --to r2`],
  );
});
