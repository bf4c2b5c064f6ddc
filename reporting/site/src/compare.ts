// What differs between runs, without a page: parameters, metrics, durations, statuses, keys, the graph.
import { took } from "./critical.ts";
import { time } from "./format.ts";
import type { Declared, Graph, Index, Ingredient, RunDetail, RunRow, Task } from "./model.ts";
import { alike, metricsOf, numeric } from "./numbers.ts";

export type Verdict = "better" | "worse" | "same" | "changed" | "new" | "gone";

/** Two to ten runs, the first of which is the baseline. */
export interface Compared {
  index: Index;
  runs: RunRow[];
  details: RunDetail[];
  labels: string[];
}

export interface Row {
  task: string;
  name: string;
  values: unknown[];
  /** Why a run's value is not compared: the task is not in it, or did not end well. */
  without: (string | undefined)[];
  differs: boolean;
}

/** Short names that distinguish the runs: commit or time. */
export function labelsOf(runs: readonly RunRow[]): string[] {
  const commits = runs.map((run) => run.commit?.slice(0, 7) ?? "");
  const unique = new Set(commits).size === runs.length && commits.every(Boolean);
  return runs.map((run, i) => (unique ? commits[i]! : time(run.started).slice(5)));
}

/**
 * Rows of all tasks' values of a kind, in the order of the first run that has them; one value for each run.
 *
 * Of a task for which `counts` is false in a run, that run's value is shown at most, and not compared.
 */
export function rowsOf(
  runs: readonly RunDetail[],
  pick: (task: Task) => Record<string, unknown> | undefined,
  counts: (task: Task) => boolean = () => true,
): Row[] {
  const rows = new Map<string, Row>();
  const found = runs.map((run) => new Map(run.tasks.map((task) => [task.name, task])));
  const without = (name: string) =>
    found.map((tasks) => {
      const task = tasks.get(name);
      return task === undefined ? "not in this run" : counts(task) ? undefined : task.status;
    });
  runs.forEach((run, r) => {
    for (const task of run.tasks) {
      for (const [name, item] of Object.entries(pick(task) ?? {})) {
        const key = `${task.name}\n${name}`;
        let row = rows.get(key);
        if (!row) {
          row = {
            task: task.name,
            name,
            values: runs.map(() => undefined),
            without: without(task.name),
            differs: false,
          };
          rows.set(key, row);
        }
        row.values[r] = item;
      }
    }
  });
  for (const row of rows.values())
    row.differs = differs(row.values.filter((_, i) => row.without[i] === undefined));
  return [...rows.values()];
}

const differs = (values: unknown[]): boolean => values.some((item) => !alike(item, values[0]));

/** Whether a task left what it was to leave. */
export const endedWell = (task: Task): boolean => ["ran", "restored", "up_to_date"].includes(task.status);
/** Whether a task was looked at, so that its parameters are known. */
export const hasBegun = (task: Task): boolean => !["skipped", "cancelled"].includes(task.status);

export const parameters = (task: Task): Record<string, unknown> | undefined => task.params;
export const metrics = metricsOf;
export const durations = (task: Task): Record<string, unknown> => ({
  "": task.attempts?.length ? took(task) / 1000 : undefined,
});

/** Judge a metric against its baseline, as declared. What is no finite number is never better. */
export function verdict(from: unknown, to: unknown, declared: Declared | undefined): Verdict {
  if (from === undefined || from === null) return to === undefined || to === null ? "same" : "new";
  if (to === undefined || to === null) return "gone";
  const [a, b] = [numeric(from) ?? NaN, numeric(to) ?? NaN];
  if (Object.is(a, b) || Math.abs(b - a) <= (declared?.tolerance ?? 0)) return "same";
  if (!declared?.direction) return "changed";
  if (Number.isNaN(b)) return "worse";
  if (!Number.isNaN(a) && b > a !== (declared.direction === "higher")) return "worse";
  return Number.isFinite(b) ? "better" : "changed";
}

const MOST_AXES = 8;

/**
 * The axes of parallel coordinates to begin with: parameters that differ at the left, metrics at the right.
 *
 * What goes along with an axis already there, as a parameter does for all instances of a task, tells nothing more.
 */
export function axesOf(params: readonly Row[], metrics: readonly Row[], isDeclared: (row: Row) => boolean): Row[] {
  const seen = new Set<string>();
  const fresh = (row: Row) => {
    const shape = JSON.stringify([row.name, row.values.map(String)]);
    return row.differs && !seen.has(shape) && seen.add(shape) !== undefined;
  };
  const right = [...metrics.filter(isDeclared), ...metrics.filter((row) => !isDeclared(row))]
    .filter(fresh)
    .slice(0, MOST_AXES / 2);
  return [...params.filter(fresh).slice(0, MOST_AXES - right.length), ...right];
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
      keyed: tasks.map(
        (task) => task?.key !== undefined && tasks[0]?.key !== undefined && task.key !== tasks[0].key,
      ),
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
    new Map(
      run.tasks.flatMap((task) =>
        (task.up ?? []).map(
          (above) =>
            [
              `${run.tasks[above]!.name}\n${task.name}`,
              [run.tasks[above]!.name, task.name] as [string, string],
            ] as const,
        ),
      ),
    );
  const [before, after] = [names(from), names(to)];
  const [old, now] = [edges(from), edges(to)];
  return {
    added: [...after].filter((name) => !before.has(name)),
    removed: [...before].filter((name) => !after.has(name)),
    edgesAdded: [...now].filter(([key]) => !old.has(key)).map(([, edge]) => edge),
    edgesRemoved: [...old].filter(([key]) => !now.has(key)).map(([, edge]) => edge),
  };
}

export type GraphChange = "added" | "removed" | "keyed" | "same";

export interface MergedGraph {
  nodes: { name: string; change: GraphChange }[];
  /** Where the nodes and edges are: columns from left to right, and lines. */
  places: Graph;
  changes: GraphChange[];
}

/** The graphs of two runs as one, in layers: a task is to the right of all that it needs in either. */
export function mergedGraph(from: RunDetail, to: RunDetail): MergedGraph {
  const difference = graphOf(from, to);
  const [added, removed] = [new Set(difference.added), new Set(difference.removed)];
  const keyed = new Set(
    tasksOf([from, to])
      .filter((task) => task.keyed[1])
      .map((task) => task.name),
  );
  const names = [...new Set([...to.tasks, ...from.tasks].map((task) => task.name))];
  const number = new Map(names.map((name, i) => [name, i]));
  const found = new Map<string, Edge>();
  const gone = new Set(difference.edgesRemoved.map((edge) => edge.join("\n")));
  const fresh = new Set(difference.edgesAdded.map((edge) => edge.join("\n")));
  for (const run of [to, from]) {
    for (const task of run.tasks) {
      for (const above of task.up ?? []) {
        const key = `${run.tasks[above]!.name}\n${task.name}`;
        const change = fresh.has(key) ? "added" : gone.has(key) ? "removed" : "same";
        found.set(key, { from: number.get(run.tasks[above]!.name)!, to: number.get(task.name)!, change });
      }
    }
  }
  const edges = [...found.values()];
  const changeOf = (name: string): GraphChange =>
    added.has(name) ? "added" : removed.has(name) ? "removed" : keyed.has(name) ? "keyed" : "same";
  return {
    nodes: names.map((name) => ({ name, change: changeOf(name) })),
    places: placed(names.length, edges),
    changes: edges.map((edge) => edge.change),
  };
}

interface Edge {
  from: number;
  to: number;
  change: GraphChange;
}

interface Spot {
  y: number;
  /** The mean of what it needs. */
  wish: number;
}

/** Place nodes in columns, each near what it needs; an edge over several columns has a line of its own in each. */
function placed(count: number, edges: readonly Edge[]): Graph {
  const layers = layered(count, edges);
  const columns: Spot[][] = Array.from({ length: Math.max(...layers) + 1 }, () => []);
  const spots = layers.map((layer) => {
    const spot: Spot = { y: 0, wish: 0 };
    columns[layer]!.push(spot);
    return spot;
  });
  const ways = edges.map(({ from, to }) => {
    const way = [spots[from]!];
    for (let layer = layers[from]! + 1; layer < layers[to]!; layer++) {
      const spot: Spot = { y: 0, wish: 0 };
      columns[layer]!.push(spot);
      way.push(spot);
    }
    return [...way, spots[to]!];
  });
  const most = Math.max(...columns.map((column) => column.length));
  const needs = new Map(columns.flat().map((spot) => [spot, [] as Spot[]]));
  for (const way of ways) for (const [i, spot] of way.slice(1).entries()) needs.get(spot)!.push(way[i]!);
  for (const column of columns) {
    for (const spot of column) {
      const above = needs.get(spot)!;
      spot.wish = above.length ? above.reduce((sum, one) => sum + one.y, 0) / above.length : 0;
    }
    column.sort((a, b) => a.wish - b.wish);
    for (const [i, spot] of column.entries()) spot.y = i + (most - column.length) / 2;
  }
  const point = (spot: { y: number }, layer: number): [number, number] => [layer, spot.y];
  return {
    nodes: spots.map((spot, i) => point(spot, layers[i]!)),
    edges: edges.map(({ from, to }, i) => [
      from,
      to,
      ways[i]!.map((spot, k) => point(spot, k === ways[i]!.length - 1 ? layers[to]! : layers[from]! + k)),
    ]),
    width: columns.length,
    height: most,
  };
}

/** The longest way to each node. Two graphs together may have a circle, which ends after as many rounds as nodes. */
function layered(count: number, edges: readonly { from: number; to: number }[]): number[] {
  const layers = Array.from({ length: count }, () => 0);
  for (let round = 0, moved = true; moved && round < count; round++) {
    moved = false;
    for (const { from, to } of edges) {
      if (layers[to]! > layers[from]!) continue;
      layers[to] = Math.min(count - 1, layers[from]! + 1);
      moved = layers[to]! > layers[from]!;
    }
  }
  return layers;
}

export interface IngredientDifference {
  kind: string;
  name: string;
  path: string;
  from: string | undefined;
  to: string | undefined;
}

export function ingredientsOf(from: readonly Ingredient[], to: readonly Ingredient[]): IngredientDifference[] {
  const table = (list: readonly Ingredient[]) =>
    new Map(list.map((item) => [JSON.stringify([item[0], item[1], item[3]]), item]));
  const [before, after] = [table(from), table(to)];
  return [...new Map([...before, ...after])]
    .map(([key, [kind, name, , path]]) => ({
      kind,
      name,
      path,
      from: before.get(key)?.[2],
      to: after.get(key)?.[2],
    }))
    .filter((item) => item.from !== item.to);
}
