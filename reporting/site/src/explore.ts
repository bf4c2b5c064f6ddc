// What the runs show together, without a page: results as items, what goes with a result, groups of them.
import { distinct } from "./axis.ts";
import { type Index, type RunRow, type StoredColumn, statusOf } from "./model.ts";
import { alike } from "./numbers.ts";

/** A result of a task in a run. */
export interface Item {
  run: RunRow;
  task: string;
}

/** A metric, or how long a task took: what one wants to know about. All instances of a family have it in common. */
export interface Outcome {
  id: string;
  label: string;
  family: string;
  name: string;
  columns: StoredColumn[];
}

const familyOf = (column: StoredColumn): string => column.family ?? column.task;

export function outcomes(index: Index): Outcome[] {
  const found = new Map<string, Outcome>();
  for (const column of index.columns) {
    if (column.kind !== "metrics" && column.kind !== "duration") continue;
    const family = familyOf(column);
    const name = column.kind === "duration" ? "duration" : `metrics.${column.name}`;
    const id = `${name}@${family}`;
    const label = column.kind === "duration" ? "duration, seconds" : column.name;
    const one = found.get(id) ?? { id, label, family, name: column.name, columns: [] };
    found.set(id, one);
    one.columns.push(column);
  }
  const rank = (one: Outcome) => (index.declared.has(one.name) ? 0 : one.name ? 1 : 2);
  return [...found.values()].sort((a, b) => rank(a) - rank(b));
}

type Values = (column: StoredColumn) => readonly unknown[];

/** The results of the tasks of an outcome; without `reused`, only those that were computed in their run. */
export function itemsOf(
  outcome: Outcome,
  runs: readonly RunRow[],
  letters: ReadonlyMap<string, string>,
  values: Values,
  reused: boolean,
): Item[] {
  const columns = outcome.columns.map((column) => ({
    task: column.task,
    letters: letters.get(column.task) ?? "",
    list: values(column),
  }));
  return runs.flatMap((run) =>
    columns.flatMap(({ task, letters: of, list }) => {
      if (list[run.number] === null || list[run.number] === undefined) return [];
      return reused || statusOf(of[run.number]) === "ran" ? [{ run, task }] : [];
    }),
  );
}

/** Read a value for an item: that of its own task, else the only one that its run has. */
export function readerOf(columns: readonly StoredColumn[], values: Values): (item: Item) => unknown {
  const byTask = new Map(columns.map((column) => [column.task, values(column)]));
  return ({ run, task }) => {
    const own = byTask.get(task)?.[run.number];
    if (own !== null && own !== undefined) return own;
    let found: unknown;
    for (const list of byTask.values()) {
      const item = list[run.number];
      if (item === null || item === undefined) continue;
      if (found !== undefined && !alike(found, item)) return undefined;
      found = item;
    }
    return found;
  };
}

export interface Relation {
  /** How many items have both. */
  count: number;
  /** How many different values the parameter has in them. */
  different: number;
  /** Spearman's rank correlation, where both are numbers. */
  rank: number | undefined;
  /** How much of the ranks the values of the parameter explain, without a direction: the root of epsilon squared. */
  between: number | undefined;
  /** The larger of the two, without its sign. */
  strength: number;
  /** So much may be seen where there is no relation. */
  chance: boolean;
}

const FEW_VALUES = 12;
const FEWEST = 4;

/** Whether a result goes along with a parameter; `undefined` where too little is known, or nothing varies. */
export function relation(parameter: readonly unknown[], result: readonly unknown[]): Relation | undefined {
  const pairs = parameter.flatMap((a, i) => {
    const b = result[i];
    return a !== null && a !== undefined && typeof b === "number" && Number.isFinite(b) ? [{ a, b }] : [];
  });
  const values = distinct(pairs.map(({ a }) => a));
  const count = pairs.length;
  if (count < FEWEST || values.length < 2 || new Set(pairs.map(({ b }) => b)).size < 2) return undefined;
  const ranks = ranksOf(pairs.map(({ b }) => b));
  const numbers = pairs.every(({ a }) => typeof a === "number" && Number.isFinite(a));
  const rank = numbers ? pearson(ranksOf(pairs.map(({ a }) => a as number)), ranks) : undefined;
  const grouped = values.length <= FEW_VALUES && count >= 3 * values.length;
  const between =
    grouped || !numbers
      ? explained(
          pairs.map(({ a }) => JSON.stringify(a)),
          ranks,
        )
      : undefined;
  const strength = Math.max(Math.abs(rank ?? 0), between?.share ?? 0);
  const byRank = rank !== undefined && Math.abs(rank) > 2.6 / Math.sqrt(count - 1);
  return {
    count,
    different: values.length,
    rank,
    between: between?.share,
    strength,
    chance: !byRank && !between?.beyond,
  };
}

/** Places by size, from 1; equal ones share the middle of their places. */
export function ranksOf(values: readonly number[]): number[] {
  const sorted = values.map((item, i) => ({ item, i })).sort((a, b) => a.item - b.item);
  const ranks = new Array<number>(values.length);
  for (let start = 0, end = 0; start < sorted.length; start = end) {
    while (end < sorted.length && sorted[end]!.item === sorted[start]!.item) end += 1;
    for (let k = start; k < end; k++) ranks[sorted[k]!.i] = (start + end + 1) / 2;
  }
  return ranks;
}

function pearson(a: readonly number[], b: readonly number[]): number {
  const middle = (a.length + 1) / 2;
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i]! - middle, b[i]! - middle];
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  return ab / Math.sqrt(aa * bb);
}

/** Kruskal and Wallis: the share of the ranks' spread between groups, less what chance gives. */
function explained(groups: readonly string[], ranks: readonly number[]): { share: number; beyond: boolean } {
  const middle = (ranks.length + 1) / 2;
  const sums = new Map<string, { sum: number; count: number }>();
  groups.forEach((name, i) => {
    const one = sums.get(name) ?? { sum: 0, count: 0 };
    sums.set(name, one);
    one.sum += ranks[i]!;
    one.count += 1;
  });
  const [n, k] = [ranks.length, sums.size];
  const inside = [...sums.values()].reduce((sum, one) => sum + one.count * (one.sum / one.count - middle) ** 2, 0);
  const whole = ranks.reduce((sum, rank) => sum + (rank - middle) ** 2, 0);
  const h = ((n - 1) * inside) / whole;
  const share = n > k ? Math.sqrt(Math.max(0, (h - k + 1) / (n - k))) : 0;
  return { share, beyond: n > k && h > k - 1 + 2.6 * Math.sqrt(2 * (k - 1)) };
}

export interface Group {
  name: unknown;
  count: number;
  mean: number;
  /** The standard deviation; undefined for one. */
  spread: number | undefined;
  least: number;
  most: number;
}

const MOST_GROUPS = 12;
const PARTS = 6;

/** Many different numbers, in parts of about as many items each; other values as they are. */
export function parted(values: readonly unknown[], show: (item: number) => string): readonly unknown[] {
  const numbers = values.filter((item): item is number => typeof item === "number" && Number.isFinite(item));
  const found = [...new Set(numbers)].sort((a, b) => a - b);
  if (found.length <= MOST_GROUPS || numbers.length < values.filter((item) => typeof item === "string").length)
    return values;
  const sorted = [...numbers].sort((a, b) => a - b);
  const edges = [
    ...new Set(Array.from({ length: PARTS }, (_, i) => sorted[Math.floor((i * sorted.length) / PARTS)]!)),
  ];
  return values.map((item) => {
    if (typeof item !== "number" || !Number.isFinite(item)) return undefined;
    const i = edges.findLastIndex((edge) => edge <= item);
    const end = edges[i + 1];
    return end === undefined ? `from ${show(edges[i]!)}` : `${show(edges[i]!)} to below ${show(end)}`;
  });
}

/** What a result is in each group, in the order of their names; what is not finite does not count. */
export function groupsOf(by: readonly unknown[], result: readonly unknown[]): Group[] {
  const found = new Map<unknown, number[]>();
  by.forEach((name, i) => {
    const item = result[i];
    if (name === null || name === undefined || typeof item !== "number" || !Number.isFinite(item)) return;
    const key = typeof name === "object" ? JSON.stringify(name) : name;
    const list = found.get(key) ?? [];
    found.set(key, list);
    list.push(item);
  });
  return distinct([...found.keys()]).map((name) => {
    const list = found.get(name)!;
    const mean = list.reduce((sum, item) => sum + item, 0) / list.length;
    const square = list.reduce((sum, item) => sum + (item - mean) ** 2, 0) / (list.length - 1);
    const [least, most] = [Math.min(...list), Math.max(...list)];
    return {
      name,
      count: list.length,
      mean,
      spread: list.length > 1 ? Math.sqrt(square) : undefined,
      least,
      most,
    };
  });
}
