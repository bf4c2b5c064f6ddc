// Families of instances as one node each: their status, and the nodes of a critical path.
import type { Critical } from "./critical.ts";
import type { Folded } from "./model.ts";

interface Named {
  name: string;
  status: string;
  reasons?: string[];
}

/** The status of a family: the first of these that one of its tasks has. */
const WORST = ["failed", "running", "cancelled", "skipped", "ran", "queued", "waiting", "restored", "up_to_date"];

export interface Node extends Named {
  /** How it is written. */
  text: string;
  /** The task that it leads to: the first of its worst. */
  task: string;
  tasks: number[];
}

export function foldedNodes(groups: Folded["groups"], tasks: readonly Named[]): Node[] {
  return groups.map(([family, numbers]) => {
    const members = numbers.map((number) => tasks[number]!);
    const status = WORST.find((one) => members.some((task) => task.status === one)) ?? members[0]!.status;
    const worst = members.find((task) => task.status === status)!;
    if (members.length === 1) return { ...worst, text: worst.name, task: worst.name, tasks: numbers };
    return { name: family, status, text: `${family} × ${members.length}`, task: worst.name, tasks: numbers };
  });
}

/** How many of some tasks have each status, in words. */
export function countsOf(tasks: readonly Named[], label: (status: string) => string): string {
  const counts = new Map<string, number>();
  for (const { status } of tasks) counts.set(status, (counts.get(status) ?? 0) + 1);
  return [...counts].map(([status, count]) => `${count} ${label(status)}`).join(", ");
}

/** The edges of a critical path, between the nodes that its tasks are in: `from-to`. */
export function pathOf(nodes: readonly Node[], critical: Critical | undefined): Set<string> {
  const nodeOf = new Map(nodes.flatMap((node, i) => node.tasks.map((task) => [String(task), i] as const)));
  return new Set(
    [...(critical?.edges ?? [])].map((edge) =>
      edge
        .split("-")
        .map((end) => nodeOf.get(end))
        .join("-"),
    ),
  );
}
