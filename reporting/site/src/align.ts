// Which cells of two notebooks belong together, and what differs between them once noise is set aside.
import type { Cell, LongText, Output } from "./model.ts";

export interface Pair {
  before: Cell | undefined;
  after: Cell | undefined;
  change: "same" | "outputs" | "source" | "added" | "removed";
}

const CLOSE = 0.5;

/** Align by equal sources first (a longest common subsequence), then by likeness between those. */
export function align(before: readonly Cell[], after: readonly Cell[]): Pair[] {
  const pairs: Pair[] = [];
  let [i, j] = [0, 0];
  for (const [a, b] of [
    ...common(before.map(identity), after.map(identity)),
    [before.length, after.length] as const,
  ]) {
    pairs.push(...alike(before.slice(i, a), after.slice(j, b)));
    if (a < before.length) pairs.push(paired(before[a]!, after[b]!));
    [i, j] = [a + 1, b + 1];
  }
  return pairs;
}

const identity = (cell: Cell): string => `${cell.t}\n${cell.s}`;

function paired(before: Cell, after: Cell): Pair {
  if (before.s !== after.s) return { before, after, change: "source" };
  return { before, after, change: quiet(before.o) === quiet(after.o) ? "same" : "outputs" };
}

function alike(before: readonly Cell[], after: readonly Cell[]): Pair[] {
  // best total likeness in order, as an edit distance whose substitutions cost what differs
  const score = before.map(() => new Float64Array(after.length + 1));
  score.push(new Float64Array(after.length + 1));
  const likeness = before.map((a) => after.map((b) => (a.t === b.t ? similarity(a.s, b.s) : 0)));
  for (let i = before.length - 1; i >= 0; i--) {
    for (let j = after.length - 1; j >= 0; j--) {
      const together = likeness[i]![j]! >= CLOSE ? likeness[i]![j]! + score[i + 1]![j + 1]! : 0;
      score[i]![j] = Math.max(together, score[i + 1]![j]!, score[i]![j + 1]!);
    }
  }
  const pairs: Pair[] = [];
  let [i, j] = [0, 0];
  while (i < before.length || j < after.length) {
    const like = i < before.length && j < after.length ? likeness[i]![j]! : 0;
    if (like >= CLOSE && score[i]![j] === like + score[i + 1]![j + 1]!)
      pairs.push(paired(before[i++]!, after[j++]!));
    else if (i < before.length && (j >= after.length || score[i + 1]![j]! >= score[i]![j + 1]!))
      pairs.push({ before: before[i++]!, after: undefined, change: "removed" });
    else pairs.push({ before: undefined, after: after[j++]!, change: "added" });
  }
  return pairs;
}

export function common<T>(a: readonly T[], b: readonly T[]): (readonly [number, number])[] {
  const lengths = Array.from({ length: a.length + 1 }, () => new Uint32Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      lengths[i]![j] =
        a[i] === b[j] ? lengths[i + 1]![j + 1]! + 1 : Math.max(lengths[i + 1]![j]!, lengths[i]![j + 1]!);
    }
  }
  const found: [number, number][] = [];
  let [i, j] = [0, 0];
  while (i < a.length && j < b.length) {
    if (a[i] === b[j]) found.push([i++, j++]);
    else if (lengths[i + 1]![j]! >= lengths[i]![j + 1]!) i++;
    else j++;
  }
  return found;
}

/** The share of lines that two texts have in common (Dice), by words where there is only one line. */
export function similarity(a: string, b: string): number {
  const [x, y] = [parts(a), parts(b)];
  const left = new Map<string, number>();
  for (const line of x) left.set(line, (left.get(line) ?? 0) + 1);
  let shared = 0;
  for (const line of y) {
    const count = left.get(line) ?? 0;
    if (count > 0) {
      shared++;
      left.set(line, count - 1);
    }
  }
  return x.length + y.length === 0 ? 1 : (2 * shared) / (x.length + y.length);
}

const parts = (text: string): string[] =>
  text
    .split(text.includes("\n") ? "\n" : /\b/)
    .map((part) => part.trim())
    .filter(Boolean);

const NOISE: [RegExp, string][] = [
  [/\x1b\[[0-9;]*m/g, ""],
  [/\b0x[0-9a-f]{6,16}\b/gi, "0x…"],
  [/\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?/g, "<time>"],
  [/\b\d\d:\d\d:\d\d(?:[.,]\d+)?\b/g, "<time>"],
  [/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/gi, "<id>"],
  [/\b\d+(?:\.\d+)?\s?(?:ns|µs|us|ms|s|sec|seconds|min|it\/s)\b/g, "<duration>"],
  [/\b(?:In|Out) ?\[\d+\]/g, "[n]"],
  [/\bid="[^"]*"/g, 'id=""'],
];

/** A text without the parts that change from run to run without a meaning. */
export function quietText(text: string): string {
  return NOISE.reduce((now, [pattern, by]) => now.replace(pattern, by), text);
}

function quiet(outputs: readonly Output[] | undefined): string {
  return JSON.stringify((outputs ?? []).map(quietOutput));
}

function quietOutput(output: Output): unknown {
  const long = (text: LongText) => (typeof text === "string" ? quietText(text) : text.ref);
  switch (output.t) {
    case "stream":
      return [output.name, long(output.text)];
    case "error":
      return [output.name, quietText(output.value)];
    case "figure":
      // bokeh gives everything other names each time
      return [output.kind, output.kind === "bokeh" ? "" : output.spec];
    case "data":
      return Object.entries(output.d).map(([type, item]) => [
        type,
        typeof item === "string" || !("file" in item) ? long(item as LongText) : item.file,
      ]);
  }
}

/** Whether two notebooks differ in a cell once noise is set aside. */
export const isMoreThanNoise = (before: readonly Cell[], after: readonly Cell[]): boolean =>
  align(before.filter(isOwn), after.filter(isOwn)).some((pair) => pair.change !== "same");

/** A cell of the author, not one that was added to give values. */
export const isOwn = (cell: Cell): boolean => !cell.injected;
