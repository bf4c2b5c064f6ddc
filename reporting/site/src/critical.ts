// The chain of executed tasks that a run could not have been shorter than.
import type { Task } from "./model.ts";

export interface Critical {
  tasks: Set<number>;
  /** Pairs of tasks that follow each other on it: `from-to`. */
  edges: Set<string>;
  milliseconds: number;
}

export function criticalPath(tasks: readonly Task[]): Critical {
  const ways = tasks.map(() => ({ total: 0, from: -1 }));
  let last = -1;
  for (const i of upstreamsFirst(tasks)) {
    const way = ways[i]!;
    for (const above of tasks[i]!.up ?? []) {
      if (ways[above]!.total > way.total) [way.total, way.from] = [ways[above]!.total, above];
    }
    way.total += took(tasks[i]!);
    if (way.total > (ways[last]?.total ?? 0)) last = i;
  }
  const path = new Set<number>();
  const edges = new Set<string>();
  for (let i = last; i >= 0; i = ways[i]!.from) {
    if (took(tasks[i]!) > 0) path.add(i);
    if (path.has(i) && ways[i]!.total > took(tasks[i]!)) edges.add(`${ways[i]!.from}-${i}`);
  }
  return { tasks: path, edges, milliseconds: ways[last]?.total ?? 0 };
}

export const took = (task: Task): number =>
  task.attempts && task.start !== undefined && task.end !== undefined ? task.end - task.start : 0;

function upstreamsFirst(tasks: readonly Task[]): number[] {
  const missing = tasks.map((task) => task.up?.length ?? 0);
  const below = tasks.map(() => [] as number[]);
  for (const [i, task] of tasks.entries()) for (const above of task.up ?? []) below[above]!.push(i);
  const order = tasks.flatMap((_, i) => (missing[i] === 0 ? [i] : []));
  for (const i of order) for (const after of below[i]!) if (--missing[after]! === 0) order.push(after);
  return order;
}
