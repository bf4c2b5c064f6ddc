// A run while it goes on: folded from the lines of its events, as `events.jsonl` has them.
import type { Status } from "./model.ts";

export type LiveStatus = Status | "waiting" | "queued" | "running";

export interface LiveAttempt {
  n: number;
  start: number;
  end?: number;
  outcome: string;
  error?: { type: string; message: string; trace: string; cell: number | null };
  /** What it waited for before it began. */
  waited?: Wait;
  cell?: { position: number; total: number; first: string; start: number };
  text: string;
  /** The beginning of its text is missing. */
  cut: boolean;
}

/** A pool, and since when a task waits for it. */
export interface Wait {
  pool: string;
  since: number;
}

export interface LiveTask {
  name: string;
  status: LiveStatus;
  reasons: string[];
  /** What its last execution took, in milliseconds. */
  before?: number;
  attempts: LiveAttempt[];
  waits?: Wait | undefined;
}

export interface LiveRun {
  id: string;
  pipeline: string;
  started?: number;
  ended?: number;
  result?: string;
  tasks: Map<string, LiveTask>;
  /** How often tasks joined that only the run could know. */
  joins: number;
}

export type LiveEvent = { event: string; time: number; task?: string; attempt?: number } & Record<string, unknown>;

/** Characters of an attempt's text that are kept. */
export const TEXT = 100_000;

export const newRun = (id: string): LiveRun => ({ id, pipeline: "", tasks: new Map(), joins: 0 });

interface Wanted {
  name: string;
  previous_s?: number;
}

function join(run: LiveRun, tasks: Wanted[]): void {
  for (const { name, previous_s: seconds } of tasks) {
    if (run.tasks.has(name)) continue;
    run.tasks.set(name, {
      name,
      status: "waiting",
      reasons: [],
      attempts: [],
      ...(seconds && { before: seconds * 1000 }),
    });
  }
}

/** Process an event; one of no task of the run, or of an unknown kind, changes nothing. */
export function fold(run: LiveRun, event: LiveEvent): void {
  const time = event.time / 1e6;
  switch (event.event) {
    case "run_started":
      run.started = time;
      run.pipeline = event.pipeline as string;
      join(run, event.tasks as Wanted[]);
      return;
    case "tasks_known":
      run.joins += 1;
      for (const name of event.gone as string[]) run.tasks.delete(name);
      join(run, event.tasks as Wanted[]);
      return;
    case "run_ended":
      run.ended = time;
      run.result = event.result as string;
      return;
  }
  const task = run.tasks.get(event.task ?? "");
  if (!task) return;
  switch (event.event) {
    case "task_planned":
      task.status = "queued";
      task.reasons = event.reasons as string[];
      return;
    case "task_waits":
      task.waits = { pool: event.pool as string, since: time };
      return;
    case "task_finished":
      task.waits = undefined;
      task.status = event.status as Status;
      task.reasons = event.reasons as string[];
      return;
    case "attempt_started":
      task.status = "running";
      task.attempts.push({
        n: event.attempt!,
        start: time,
        outcome: "running",
        text: "",
        cut: false,
        ...(task.waits && { waited: task.waits }),
      });
      task.waits = undefined;
      return;
  }
  const attempt = task.attempts.at(-1);
  if (!attempt || attempt.n !== event.attempt) return;
  switch (event.event) {
    case "cell_started":
      attempt.cell = {
        position: event.position as number,
        total: event.total as number,
        first: event.first_line as string,
        start: time,
      };
      return;
    case "printed": {
      const text = overwritten(attempt.text + (event.text as string));
      attempt.cut ||= text.length > TEXT || (event.truncated as boolean);
      attempt.text = text.slice(-TEXT);
      return;
    }
    case "attempt_ended":
      attempt.end = time;
      attempt.outcome = event.outcome as string;
      if (event.error) {
        attempt.error = {
          type: event.error as string,
          message: event.message as string,
          trace: event.traceback as string,
          cell: event.cell as number | null,
        };
      }
      // between two attempts it waits again
      task.status = "queued";
  }
}

/** Reduce each line to what a terminal shows after its carriage returns: the last state of a progress bar. */
export const overwritten = (text: string): string => text.replace(/[^\n]*\r(?=[^\r\n])/g, "");

/** What its badge says, if that is more than its status. */
export const waiting = (task: LiveTask): string | undefined => task.waits && `waits for ${task.waits.pool}`;

export const over = (task: LiveTask): boolean => !["waiting", "queued", "running"].includes(task.status);
