// What a chart computes before it is drawn: ranges, ticks, what is left of a long line, and what is near the pointer.
export interface Spot {
  x: number;
  y: number;
}

const MOST = 1500;

/** From the least to the most of what is finite, with some room around them. */
export function range(values: readonly number[], room = 0): [number, number] {
  let [low, high] = [Infinity, -Infinity];
  for (const item of values) {
    if (!Number.isFinite(item)) continue;
    if (item < low) low = item;
    if (item > high) high = item;
  }
  if (low > high) return [-1, 1];
  if (low === high) return low === 0 ? [-1, 1] : [low - Math.abs(low) * 0.05, high + Math.abs(high) * 0.05];
  return [low - (high - low) * room, high + (high - low) * room];
}

/** A step between ticks that people read easily. */
export function nice(rough: number): number {
  const size = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].find((factor) => factor * size >= rough)! * size;
}

export function ticks([low, high]: [number, number], count: number): number[] {
  const step = nice((high - low) / count);
  const found: number[] = [];
  for (let i = Math.floor(low / step); i * step <= high + step * 0.999; i++)
    found.push(Number((i * step).toPrecision(12)));
  return found.filter((tick) => tick >= low - step && tick <= high + step);
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
