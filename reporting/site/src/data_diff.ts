// What differs between two files of data, without a page: rows, columns, types, figures, the first differing rows.
import type { DataColumn, Preview, Value } from "./model.ts";
import { alike } from "./numbers.ts";

export interface ColumnDifference {
  name: string;
  before: DataColumn | undefined;
  after: DataColumn | undefined;
}

export type RowChange = "added" | "removed" | "changed";

export interface RowDifference {
  change: RowChange;
  /** By the places of `names`; undefined where that file has no such column, or no such row. */
  before: (Value | undefined)[] | undefined;
  after: (Value | undefined)[] | undefined;
}

export interface DataDifference {
  rows: [before: number, after: number];
  added: string[];
  removed: string[];
  types: { name: string; before: string; after: string }[];
  /** The columns of both whose figures differ. */
  figures: ColumnDifference[];
  names: string[];
  /** The column that tells which rows belong together; undefined: their place does. */
  by: string | undefined;
  lines: RowDifference[];
  /** Whether only the first rows of a file were compared. */
  partly: boolean;
}

const FIGURES = ["missing", "notFinite", "different", "least", "most", "mean", "spread", "often"] as const;
export const MOST_LINES = 20;

export function dataDifference(before: Preview, after: Preview): DataDifference {
  const [old, now] = [before.columns ?? [], after.columns ?? []];
  const find = (list: readonly DataColumn[], name: string) => list.find((one) => one.name === name);
  const names = [...new Set([...now, ...old].map((column) => column.name))];
  const both = names.flatMap((name) => {
    const [a, b] = [find(old, name), find(now, name)];
    return a && b ? [{ name, before: a, after: b }] : [];
  });
  const by = keyOf(before, after);
  return {
    rows: [before.rows ?? 0, after.rows ?? 0],
    added: names.filter((name) => !find(old, name)),
    removed: names.filter((name) => !find(now, name)),
    types: both
      .filter((one) => one.before.type !== one.after.type)
      .map((one) => ({ name: one.name, before: one.before.type, after: one.after.type })),
    figures: both.filter((one) => FIGURES.some((figure) => !alike(one.before[figure], one.after[figure]))),
    names,
    by,
    lines: lines(before, after, names, by),
    partly: [before, after].some((one) => (one.rows ?? 0) > (one.head?.length ?? 0)),
  };
}

/** The first column of both that has another value in each row. */
function keyOf(before: Preview, after: Preview): string | undefined {
  const unique = (of: Preview) =>
    new Set(
      (of.columns ?? []).flatMap(({ name, type }, i) => {
        const values = (of.head ?? []).map((row) => row[i]);
        const known = values.every((item) => item !== null && item !== undefined);
        const named = ["integer", "text"].includes(type);
        return named && known && new Set(values.map(String)).size === values.length ? [name] : [];
      }),
    );
  const now = unique(after);
  return [...unique(before)].find((name) => now.has(name));
}

function lines(before: Preview, after: Preview, names: string[], by: string | undefined): RowDifference[] {
  const rows = (of: Preview) => {
    const places = names.map((name) => (of.columns ?? []).findIndex((column) => column.name === name));
    const at = names.indexOf(by ?? "");
    return new Map(
      (of.head ?? []).map((row, i) => {
        const values = places.map((place) => (place < 0 ? undefined : row[place]));
        return [by === undefined ? String(i) : String(values[at]), values];
      }),
    );
  };
  const [old, now] = [rows(before), rows(after)];
  const found: RowDifference[] = [];
  for (const name of new Set([...old.keys(), ...now.keys()])) {
    const [a, b] = [old.get(name), now.get(name)];
    // a row beyond the first ones of the other file may be in it
    if (!a && isCut(before)) continue;
    if (!b && isCut(after)) continue;
    const change = !a
      ? "added"
      : !b
        ? "removed"
        : a.some((item, i) => differs(item, b[i]))
          ? "changed"
          : undefined;
    if (change) found.push({ change, before: a, after: b });
  }
  const rank: Record<RowChange, number> = { changed: 0, removed: 1, added: 2 };
  return found.sort((a, b) => rank[a.change] - rank[b.change]);
}

const isCut = (of: Preview): boolean => (of.rows ?? 0) > (of.head?.length ?? 0);

/** A column that only one of the files has is no difference of each row. */
export const differs = (a: Value | undefined, b: Value | undefined): boolean =>
  a !== undefined && b !== undefined && !alike(a, b);
