// The rows of a timeline: on a cluster in a lane for each node.
import type { Attempt, Task } from "./model.ts";

interface Row {
  task: Task;
  i: number;
  attempts: Attempt[];
  /** Which line of the chart it is on. */
  at: number;
}

/** Rows one below the other; those of a cluster below the name of their node, a task that changed it in both. */
export function inLanes(executed: { task: Task; i: number }[]): {
  rows: Row[];
  lanes: { node: string; at: number }[];
} {
  const nodes = [
    ...new Set(executed.flatMap(({ task }) => task.attempts!.flatMap(({ node }) => node ?? []))),
  ].sort();
  if (nodes.length === 0)
    return { rows: executed.map(({ task, i }, at) => ({ task, i, attempts: task.attempts!, at })), lanes: [] };
  const rows: Row[] = [];
  const lanes: { node: string; at: number }[] = [];
  for (const node of [...nodes, undefined]) {
    const inside = executed
      .map(({ task, i }) => ({ task, i, attempts: task.attempts!.filter((attempt) => attempt.node === node) }))
      .filter(({ attempts }) => attempts.length);
    if (inside.length === 0) continue;
    lanes.push({ node: node ?? "on no node", at: rows.length + lanes.length });
    for (const row of inside) rows.push({ ...row, at: rows.length + lanes.length });
  }
  return { rows, lanes };
}
