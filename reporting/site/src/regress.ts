// Whether a measured value is worse than those before it: beyond its tolerance, and beyond what they vary by.
import type { Declared } from "./model.ts";

const WINDOW = 8;
const FEWEST = 2;
const SPREADS = 3;

export interface Measured {
  value: number;
  /** A hit repeats an earlier measurement: it is neither judged nor part of the baseline. */
  reused: boolean;
}

export function marks(
  values: readonly Measured[],
  declared: Declared | undefined,
): ("worse" | "better" | undefined)[] {
  const before: number[] = [];
  return values.map(({ value, reused }) => {
    if (reused) return undefined;
    const window = before.slice(-WINDOW);
    if (Number.isFinite(value)) before.push(value);
    if (window.length < FEWEST || !declared?.direction) return undefined;
    if (Number.isNaN(value)) return "worse";
    const middle = median(window);
    const spread = 1.4826 * median(window.map((item) => Math.abs(item - middle)));
    const change = declared.direction === "higher" ? value - middle : middle - value;
    if (Math.abs(change) <= Math.max(declared.tolerance, SPREADS * spread)) return undefined;
    return change < 0 ? "worse" : Number.isFinite(value) ? "better" : undefined;
  });
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
