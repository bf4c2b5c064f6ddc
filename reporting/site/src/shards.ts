// What is loaded shard by shard, as pages see it: columns, the matrix and the ledgers of all runs that are loaded.
import { useMemo } from "preact/hooks";
import { useChunks } from "./chunks.ts";
import {
  columnId,
  type Index,
  type Ledger,
  type Ledgers,
  type Matrix,
  type Pairs,
  type StoredColumn,
} from "./model.ts";

type Loaded<T> = T | Error | undefined;
type Shards = Index["shards"];

const ABSENT = " ";

/** The values of columns, by the numbers of the runs. */
export function useColumns<T = unknown>(index: Index, columns: readonly StoredColumn[]): Loaded<T[][]> {
  const parts = columns.map(({ at }) =>
    index.shards.flatMap(({ place, first }) =>
      at
        .filter(([shard]) => shard === place)
        .map(([shard, bundle, row]) => ({ first, row, key: `shard/${shard}/c${bundle}` })),
    ),
  );
  const keys = [...new Set(parts.flat().map(({ key }) => key))];
  const loaded = useChunks<T[][]>(keys);
  return useMemo(() => {
    if (!Array.isArray(loaded)) return loaded;
    const bundles = new Map(keys.map((key, i) => [key, loaded[i]!]));
    return parts.map((found) =>
      joined(
        found,
        found.map(({ key, row }) => bundles.get(key)![row] ?? []),
      ),
    );
    // other columns may be in the same bundles
  }, [loaded, index, columns.map(columnId).join()]);
}

/** Lists one after the other, each from the number of its first run on. */
export function joined<T>(shards: readonly { first: number }[], lists: readonly T[][]): T[] {
  if (shards.length === 1 && shards[0]!.first === 0) return lists[0]!;
  const whole: T[] = [];
  shards.forEach(({ first }, i) => {
    while (whole.length < first) whole.push(undefined as T);
    whole.push(...lists[i]!);
  });
  return whole;
}

/** The statuses of each task, or of none where it is not `wanted`. */
export function useMatrix(index: Index, wanted = true): Loaded<Matrix> {
  const loaded = useChunks<Matrix>(wanted ? keysOf(index, "matrix") : []);
  return useMemo(() => (Array.isArray(loaded) ? joinedMatrix(index.shards, loaded) : loaded), [loaded, index]);
}

/** Tasks in the order of the newest shard; those that it has no more come last. */
export function joinedMatrix(shards: Shards, parts: readonly Matrix[]): Matrix {
  if (parts.length <= 1) return parts[0] ?? [];
  const found = new Map<string, string>(parts.at(-1)!.map(([task]) => [task, ""]));
  shards.forEach(({ first }, i) => {
    for (const [task, letters] of parts[i]!)
      found.set(task, (found.get(task) ?? "").padEnd(first, ABSENT) + letters);
  });
  return [...found];
}

export function useLedgers(index: Index): Loaded<Ledgers> {
  const loaded = useChunks<Ledgers>(keysOf(index, "tasks"));
  return useMemo(() => (Array.isArray(loaded) ? joinedLedgers(index.shards, loaded) : loaded), [loaded, index]);
}

export function joinedLedgers(shards: Shards, parts: readonly Ledgers[]): Ledgers {
  if (parts.length <= 1) return parts[0] ?? {};
  const found: Record<string, Required<Ledger>> = {};
  shards.forEach(({ first }, i) => {
    const from = (pairs: Pairs = []): Pairs => pairs.map(([run, item]) => [first + run, item]);
    for (const [task, ledger] of Object.entries(parts[i]!)) {
      found[task] ??= { took: [], retried: [], saved: [], unsteady: [], artifacts: {} };
      const of = found[task];
      of.took.push(...from(ledger.took));
      of.retried.push(...from(ledger.retried));
      of.saved.push(...from(ledger.saved));
      of.unsteady.push(...(ledger.unsteady ?? []).map((run) => first + run));
      Object.assign(of.artifacts, ledger.artifacts);
    }
  });
  return found;
}

let wanted: (shards: readonly number[]) => void = () => undefined;

/** Set what loads more shards when they are asked for. */
export function onMore(load: (shards: readonly number[]) => void): void {
  wanted = load;
}

export const loadMore = (shards: readonly number[]): void => wanted(shards);

const keysOf = (index: Index, name: string): string[] => index.shards.map(({ place }) => `shard/${place}/${name}`);
