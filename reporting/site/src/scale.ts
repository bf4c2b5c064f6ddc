// What a chart computes before it is drawn: ranges, ticks, what is left of a long line, and what is near the pointer.
export interface Spot {
  x: number;
  y: number;
}

const MOST = 1500;
/** Beyond this, the difference of two numbers may not be one. */
const FARTHEST = 4e307;

/** The nearest number that a chart has a place for. */
export const placed = (item: number): number => Math.max(-FARTHEST, Math.min(FARTHEST, item));

/** From the least to the most of what is finite. */
export function range(values: readonly number[]): [number, number] {
  let [low, high] = [Infinity, -Infinity];
  for (const item of values) {
    if (!Number.isFinite(item)) continue;
    if (item < low) low = placed(item);
    if (item > high) high = placed(item);
  }
  if (low > high) return [-1, 1];
  const aside = Math.abs(low) * 0.05 || 1;
  if (low === high) return [low - aside, high + aside];
  return [low, high];
}

/** A step between ticks that people read easily. */
export function nice(rough: number): number {
  const size = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].find((factor) => factor * size >= rough)! * size;
}

/** Likewise of a time in seconds: parts of minutes and of hours. */
export function timeStep(rough: number): number {
  if (rough <= 10) return nice(rough);
  const found = [15, 30, 60, 120, 300, 600, 900, 1800, 3600].find((step) => step >= rough);
  return found ?? 3600 * Math.ceil(nice(rough / 3600));
}

export function ticks([low, high]: [number, number], count: number): number[] {
  const step = nice((high - low) / count);
  const first = Math.floor(low / step);
  // a count from zero: so far from it, a number and the next one may be the same
  const found = Array.from({ length: count + 3 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
  return found.filter((tick, i) => tick !== found[i - 1] && tick >= low - step && tick < high + step * 0.9995);
}

/** Ticks of a logarithmic axis: powers of ten, with 2 and 5 between them where there are few. */
export function logTicks([low, high]: [number, number]): number[] {
  const powers = Array.from(
    { length: Math.floor(Math.log10(high)) - Math.floor(Math.log10(low)) + 2 },
    (_, i) => 10 ** (Math.floor(Math.log10(low)) + i),
  );
  const factors = powers.length > 5 ? [1] : [1, 2, 5];
  const every = Math.ceil(powers.length / 8);
  return powers
    .filter((_, i) => i % every === 0)
    .flatMap((power) => factors.map((factor) => Number((power * factor).toPrecision(12))))
    .filter((tick) => tick >= low * 0.999 && tick <= high * 1.001);
}

const MINUTE = 60_000;
const DAY = 1440 * MINUTE;
/** Steps within a day, in minutes. */
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720];

/** Ticks of a time axis, in milliseconds: at even hours, or midnights, of the reader's zone. */
export function moments([low, high]: [number, number], count: number): number[] {
  const rough = (high - low) / count;
  const minutes = high - low < 2 * DAY ? STEPS.find((one) => one * MINUTE >= rough) : undefined;
  const days = Math.max(1, Math.ceil(nice(rough / DAY)));
  const at = new Date(low);
  at.setHours(0, 0, 0, 0);
  const found: number[] = [];
  for (
    ;
    at.getTime() <= high;
    minutes ? at.setMinutes(at.getMinutes() + minutes) : at.setDate(at.getDate() + days)
  )
    if (at.getTime() >= low) found.push(at.getTime());
  return found;
}

/** The stretches of a line between values that are not finite: it has gaps there. */
export function stretches<P extends Spot>(points: readonly P[]): P[][] {
  const found: P[][] = [[]];
  for (const point of points) {
    if (Number.isFinite(point.y)) found.at(-1)!.push(point);
    else if (found.at(-1)!.length > 0) found.push([]);
  }
  return found.filter((part) => part.length > 0);
}

/** Keep the extremes of each of many stretches, so that a long line keeps its shape. */
export function thin<P extends Spot>(points: readonly P[]): readonly P[] {
  if (points.length <= MOST) return points;
  const size = Math.ceil(points.length / (MOST / 2));
  const kept: P[] = [];
  for (let start = 0; start < points.length; start += size) {
    const part = points.slice(start, start + size);
    const low = part.reduce((a, b) => (b.y < a.y ? b : a));
    const high = part.reduce((a, b) => (b.y > a.y ? b : a));
    kept.push(...(low.x <= high.x ? [low, high] : [high, low]));
  }
  return kept;
}

/** Each finite value replaced by the mean of `span` values around it. */
export function smoothed<P extends Spot>(points: readonly P[], span: number): P[] {
  const half = span >> 1;
  return points.map((point, i) => {
    if (!Number.isFinite(point.y)) return point;
    const near = points.slice(Math.max(0, i - half), i + half + 1).filter((one) => Number.isFinite(one.y));
    return { ...point, y: near.reduce((sum, one) => sum + one.y, 0) / near.length };
  });
}

/** The index of the spot that is nearest to a place, across before up; -1 for none. */
export function nearest(spots: readonly Spot[], at: Spot): number {
  let [found, least] = [-1, Infinity];
  spots.forEach((spot, i) => {
    const far = Math.abs(spot.x - at.x) * 4 + (Number.isFinite(spot.y) ? Math.abs(spot.y - at.y) : 0);
    if (far < least) [found, least] = [i, far];
  });
  return found;
}
