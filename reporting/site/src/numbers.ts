// Numbers that JSON has no words for: spelled in the data, numbers again from here on, shown, sorted last, never better.
import type { StoredColumn, Task } from "./model.ts";

/** A number as it was logged: one that is not finite is spelled `NaN`, `Infinity` or `-Infinity`. */
export function numeric(item: unknown): number | undefined {
  if (typeof item === "number") return item;
  if (item === "NaN") return NaN;
  return item === "Infinity" || item === "-Infinity" ? Number(item) : undefined;
}

export const metricsOf = (task: Task): Record<string, number> =>
  Object.fromEntries(
    Object.entries(task.metrics ?? {}).flatMap(([name, item]) => {
      const found = numeric(item);
      return found === undefined ? [] : [[name, found]];
    }),
  );

const read = new WeakMap<unknown[], unknown[]>();

/** The values of a column, by the number of the run. */
export function valuesOf(column: StoredColumn, stored: unknown[]): unknown[] {
  if (column.kind !== "metrics") return stored;
  let found = read.get(stored);
  if (!found) {
    found = stored.map((item) => numeric(item) ?? item);
    read.set(stored, found);
  }
  return found;
}

/** Whether two values are the same, also where both are NaN. */
export const alike = (a: unknown, b: unknown): boolean =>
  Object.is(a, b) ||
  (a === 0 && b === 0) ||
  (typeof a !== "number" && typeof b !== "number" && JSON.stringify(a) === JSON.stringify(b));

/** Finite numbers by size, then texts, numbers that are not finite, and what is missing: so either way. */
export function order(a: unknown, b: unknown, sign: number): number {
  const [placeA, placeB] = [place(a), place(b)];
  if (placeA !== placeB) return placeA - placeB;
  if (placeA === 0) return sign * ((a as number) - (b as number));
  return placeA === 3 ? 0 : sign * String(a).localeCompare(String(b), "en", { numeric: true });
}

function place(item: unknown): number {
  if (item === null || item === undefined) return 3;
  return typeof item === "number" ? (Number.isFinite(item) ? 0 : 2) : 1;
}
