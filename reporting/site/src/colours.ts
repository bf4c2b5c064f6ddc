// Colours for the points of a chart: one for each name, or from low to high.
import { type Axis, distinct, scaleOf } from "./axis.ts";
import { value } from "./format.ts";

/** Expressions of the stylesheet, and what they stand for. */
export interface Colours {
  of: string[];
  names: { text: string; colour: string }[];
  /** The ends of a ramp, where there is one. */
  ramp?: [low: string, high: string];
}

const MOST = 7;
export const OTHERS = "var(--skipped)";
export const seriesColour = (i: number): string => `var(--s${i % 8})`;

/** A step of the ramp, so that not each point has a colour of its own. */
const step = (share: number): string =>
  `color-mix(in oklab, var(--ramp-high) ${Math.round(share * 20) * 5}%, var(--ramp-low))`;

export function coloursOf(axis: Axis | undefined, count: number): Colours {
  if (!axis) return { of: Array.from({ length: count }, () => seriesColour(0)), names: [] };
  const scale = scaleOf(axis);
  if (scale.kind === "names" || distinct(axis.values).length <= 2) {
    const found = distinct(axis.values).map(value);
    const colour = (name: string) => {
      const i = found.indexOf(name);
      return i < 0 || i >= MOST ? OTHERS : seriesColour(i);
    };
    const names = found.slice(0, MOST).map((text) => ({ text, colour: colour(text) }));
    const more = found.length - MOST;
    return {
      of: axis.values.map((item) => colour(value(item))),
      names: more > 0 ? [...names, { text: `${more} more`, colour: OTHERS }] : names,
    };
  }
  const numbers = axis.values.filter((item): item is number => typeof item === "number" && Number.isFinite(item));
  const show = axis.show ?? value;
  return {
    of: axis.values.map((item) => {
      const at = scale.at(item);
      return at === undefined ? OTHERS : step(at);
    }),
    names: [],
    ramp: [show(Math.min(...numbers)), show(Math.max(...numbers))],
  };
}
