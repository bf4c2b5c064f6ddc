import assert from "node:assert/strict";
import { test } from "node:test";
import { FACTS, shownFacts, text } from "../src/facts.ts";
import type { RunRow } from "../src/model.ts";

const run = (fields: Partial<RunRow>): RunRow => ({ started: 1, ...fields }) as RunRow;

test("facts are columns by default in their order, and some only where a run has them", () => {
  const facts = ["started", "result", "duration", "tasks", "saved", "branch", "commit"];
  assert.deepEqual(shownFacts([run({ trigger: null })]), facts);
  assert.deepEqual(shownFacts([run({ trigger: null }), run({ trigger: "push" })]), [...facts, "trigger"]);
});

test("a fact without a text of its own is shown as it is", () => {
  const shown = (name: string, item: unknown) => text(FACTS[name]!, item);
  assert.equal(shown("dirty", true), "yes");
  assert.equal(shown("dirty", null), "");
  assert.equal(shown("saved", 0), "");
  assert.equal(shown("branch", "main"), "main");
});
