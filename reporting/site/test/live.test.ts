import assert from "node:assert/strict";
import { test } from "node:test";
import { fold, type LiveEvent, newRun, over, overwritten, TEXT, waiting } from "../src/live.ts";

let time = 0;
const event = (name: string, more: object = {}): LiveEvent => {
  time += 1e9;
  return { event: name, time, ...more };
};
const started = (...names: string[]) =>
  event("run_started", { pipeline: "p", tasks: names.map((name) => ({ name, previous_s: 2 })) });

function run(...events: LiveEvent[]) {
  const run = newRun("r");
  for (const each of [started("a", "b"), ...events]) fold(run, each);
  return run;
}

test("a task goes from waiting to its status", () => {
  const steps = [
    event("task_planned", { task: "a", reasons: ["code"] }),
    event("attempt_started", { task: "a", attempt: 1 }),
    event("attempt_ended", { task: "a", attempt: 1, outcome: "succeeded", error: null }),
    event("task_finished", { task: "a", status: "ran", reasons: ["code"] }),
  ];
  const seen = steps.map((_, i) => run(...steps.slice(0, i + 1)).tasks.get("a")!.status);
  assert.deepEqual(seen, ["queued", "running", "queued", "ran"]);
  assert.equal(run().tasks.get("b")!.status, "waiting");
  assert.deepEqual([...run(...steps).tasks.values()].map(over), [true, false]);
});

test("a task waits for a pool until its attempt begins, which knows for how long", () => {
  const planned = event("task_planned", { task: "a", reasons: ["code"] });
  const waits = event("task_waits", { task: "a", pool: "database" });
  const task = run(planned, waits).tasks.get("a")!;
  assert.deepEqual([task.status, waiting(task)], ["queued", "waits for database"]);
  const begun = run(planned, waits, event("attempt_started", { task: "a", attempt: 1 })).tasks.get("a")!;
  assert.deepEqual([begun.status, waiting(begun)], ["running", undefined]);
  assert.deepEqual(begun.attempts[0]!.waited, { pool: "database", since: waits.time / 1e6 });
});

test("tasks that only the run could know take the place of what stood for them", () => {
  const known = event("tasks_known", { gone: ["b"], tasks: [{ name: "a" }, { name: "b[n=1]" }] });
  const { tasks } = run(event("task_planned", { task: "a", reasons: ["new"] }), known);
  assert.deepEqual([...tasks.keys()], ["a", "b[n=1]"]);
  assert.equal(tasks.get("a")!.status, "queued");
});

test("an attempt has its cell, its text and its failure", () => {
  const attempt = run(
    event("attempt_started", { task: "a", attempt: 1 }),
    event("attempt_ended", {
      task: "a",
      attempt: 1,
      outcome: "failed",
      error: "exit",
      message: "1",
      traceback: "",
      cell: null,
    }),
    event("attempt_started", { task: "a", attempt: 2 }),
    event("printed", { task: "a", attempt: 1, text: "late" }),
    event("cell_started", { task: "a", attempt: 2, position: 3, total: 12, first_line: "x = 1" }),
    event("printed", { task: "a", attempt: 2, text: "50 %\r" }),
    event("printed", { task: "a", attempt: 2, text: "100 %\n" }),
  ).tasks.get("a")!.attempts;
  assert.deepEqual(attempt[0]!.error, { type: "exit", message: "1", trace: "", cell: null });
  assert.equal(attempt[0]!.text, "");
  assert.equal(attempt[1]!.text, "100 %\n");
  assert.equal(attempt[1]!.cell!.position, 3);
});

test("of long text the end is kept, and that it is the end", () => {
  const text = `${"x".repeat(TEXT)}the end`;
  const attempt = run(
    event("attempt_started", { task: "a", attempt: 1 }),
    event("printed", { task: "a", attempt: 1, text }),
  ).tasks.get("a")!.attempts[0]!;
  assert.equal(attempt.text.length, TEXT);
  assert.ok(attempt.text.endsWith("the end") && attempt.cut);
});

test("a carriage return overwrites its line, and ends none", () => {
  assert.equal(overwritten("a\r\nb 1\rb 2\rb 3\nc"), "a\r\nb 3\nc");
});

test("what is of no task of the run, or new, changes nothing", () => {
  const before = run();
  const after = run(event("printed", { task: "z", attempt: 1, text: "?" }), event("of_later", { task: "a" }));
  assert.deepEqual(after.tasks, before.tasks);
});
