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

export type Mark = "worse" | "better" | undefined;

/** How durations are judged: shorter is better, by more than half a second and a tenth. */
const DURATION: Declared = { direction: "lower", tolerance: 0.5 };
const SHARE = 0.1;

export const durationMarks = (values: readonly Measured[]): Mark[] => marks(values, DURATION, SHARE);

/** `share` is the part of the usual value that a change has to exceed besides. */
export function marks(values: readonly Measured[], declared: Declared | undefined, share = 0): Mark[] {
  const before: number[] = [];
  return values.map(({ value, reused }) => {
    if (reused) return undefined;
    const window = before.slice(-WINDOW);
    if (Number.isFinite(value)) before.push(value);
    if (window.length < FEWEST || !declared?.direction) return undefined;
    if (Number.isNaN(value)) return "worse";
    const { middle, least } = usual(window, declared.tolerance, share);
    const change = declared.direction === "higher" ? value - middle : middle - value;
    if (Math.abs(change) <= least) return undefined;
    return change < 0 ? "worse" : Number.isFinite(value) ? "better" : undefined;
  });
}

/** The usual value, and the least change from it that is more than noise. */
function usual(
  values: readonly number[],
  tolerance: number,
  share: number,
  spreads = SPREADS,
): { middle: number; least: number } {
  const middle = median(values);
  const spread = 1.4826 * median(values.map((item) => Math.abs(item - middle)));
  return { middle, least: Math.max(tolerance, spreads * spread, share * Math.abs(middle)) };
}

const RECENT = 5;
const BEFORE = 3;

export interface Trend {
  usual: number;
  /** The median of the last few. */
  recent: number;
  mark: Mark;
}

/** Whether the last executions took longer than those before them; judged as each one is, and so one alone is not. */
export function durationTrend(values: readonly number[]): Trend | undefined {
  if (values.length === 0) return undefined;
  const last = Math.min(RECENT, Math.floor(values.length / 2));
  const before = values.slice(0, values.length - last);
  if (before.length < BEFORE) return { usual: median(values), recent: values.at(-1)!, mark: undefined };
  // a median of several varies less than each of them
  const { middle, least } = usual(before, DURATION.tolerance, SHARE, (1.25 * SPREADS) / Math.sqrt(last));
  const recent = median(values.slice(-last));
  const mark = Math.abs(recent - middle) <= least ? undefined : recent > middle ? "worse" : "better";
  return { usual: middle, recent, mark };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
