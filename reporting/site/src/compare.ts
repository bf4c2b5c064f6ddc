// What differs between runs, without a page: parameters, metrics, durations, statuses, keys, the graph.
import { type Declared, type Ingredient, type RunDetail, type Task } from "./model.ts";
import { took } from "./critical.ts";

export type Verdict = "better" | "worse" | "same" | "changed" | "new" | "gone";

export interface Row {
  task: string;
  name: string;
  values: unknown[];
  differs: boolean;
}

/** Rows of all tasks' values of a kind, in the order of the first run that has them; one value for each run. */
export function rowsOf(runs: readonly RunDetail[], pick: (task: Task) => Record<string, unknown> | undefined): Row[] {
  const rows = new Map<string, Row>();
  runs.forEach((run, r) => {
    for (const task of run.tasks) {
      for (const [name, item] of Object.entries(pick(task) ?? {})) {
        const key = `${task.name}\n${name}`;
        let row = rows.get(key);
        if (!row) rows.set(key, (row = { task: task.name, name, values: runs.map(() => undefined), differs: false }));
        row.values[r] = item;
      }
    }
  });
  for (const row of rows.values()) row.differs = row.values.some((item) => JSON.stringify(item) !== JSON.stringify(row.values[0]));
  return [...rows.values()];
}

export const parameters = (task: Task): Record<string, unknown> | undefined => task.params;
export const metrics = (task: Task): Record<string, unknown> | undefined => task.metrics;
export const durations = (task: Task): Record<string, unknown> => ({ "": task.attempts?.length ? took(task) / 1000 : undefined });

/** Judge a metric against its baseline, by the direction and tolerance that were declared. */
export function verdict(from: unknown, to: unknown, declared: Declared | undefined): Verdict {
  if (from === undefined || from === null) return to === undefined || to === null ? "same" : "new";
  if (to === undefined || to === null) return "gone";
  if (typeof from !== "number" || typeof to !== "number") return from === to ? "same" : "changed";
  const tolerance = declared?.tolerance ?? 0;
  if (from === to || Math.abs(to - from) <= tolerance) return "same";
  if (!declared?.direction) return "changed";
  return to > from === (declared.direction === "higher") ? "better" : "worse";
}

export interface TaskDifference {
  name: string;
  statuses: (string | undefined)[];
  /** Runs whose key is not the baseline's. */
  keyed: boolean[];
}

export function tasksOf(runs: readonly RunDetail[]): TaskDifference[] {
  const names = [...new Set(runs.flatMap((run) => run.tasks.map((task) => task.name)))];
  const found = runs.map((run) => new Map(run.tasks.map((task) => [task.name, task])));
  return names.map((name) => {
    const tasks = found.map((map) => map.get(name));
    return {
      name,
      statuses: tasks.map((task) => task?.status),
      keyed: tasks.map((task) => task?.key !== undefined && tasks[0]?.key !== undefined && task.key !== tasks[0].key),
    };
  });
}

export interface GraphDifference {
  added: string[];
  removed: string[];
  edgesAdded: [string, string][];
  edgesRemoved: [string, string][];
}

export function graphOf(from: RunDetail, to: RunDetail): GraphDifference {
  const names = (run: RunDetail) => new Set(run.tasks.map((task) => task.name));
  const edges = (run: RunDetail) =>
    new Map(run.tasks.flatMap((task) => (task.up ?? []).map((above) => [`${run.tasks[above]!.name}\n${task.name}`, [run.tasks[above]!.name, task.name] as [string, string]] as const)));
  const [before, after] = [names(from), names(to)];
  const [old, now] = [edges(from), edges(to)];
  return {
    added: [...after].filter((name) => !before.has(name)),
    removed: [...before].filter((name) => !after.has(name)),
    edgesAdded: [...now].filter(([key, [a, b]]) => !old.has(key) && before.has(a) && before.has(b)).map(([, edge]) => edge),
    edgesRemoved: [...old].filter(([key, [a, b]]) => !now.has(key) && after.has(a) && after.has(b)).map(([, edge]) => edge),
  };
}

export interface IngredientDifference {
  kind: string;
  name: string;
  from: string | undefined;
  to: string | undefined;
}

export function ingredientsOf(from: readonly Ingredient[], to: readonly Ingredient[]): IngredientDifference[] {
  const table = (list: readonly Ingredient[]) => new Map(list.map(([kind, name, item]) => [`${kind}\n${name}`, item]));
  const [before, after] = [table(from), table(to)];
  return [...new Set([...before.keys(), ...after.keys()])]
    .filter((key) => before.get(key) !== after.get(key))
    .map((key) => {
      const [kind = "", name = ""] = key.split("\n");
      return { kind, name, from: before.get(key), to: after.get(key) };
    });
}
