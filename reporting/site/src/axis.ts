// An axis of any values: numbers in even or logarithmic steps, or names; places on it are shares from 0 to 1.
import { number, time, value } from "./format.ts";
import { order } from "./numbers.ts";
import { logTicks, moments, placed, range, ticks } from "./scale.ts";

export interface Axis {
  id: string;
  label: string;
  values: readonly unknown[];
  show?: ((item: number) => string) | undefined;
  /** Undefined: as its values suggest. */
  log?: boolean | undefined;
  /** Its values are times, in milliseconds. */
  isTime?: boolean | undefined;
}

export interface Scale {
  kind: "even" | "log" | "names";
  mayLog: boolean;
  /** Undefined where there is no value, or none that has a place. */
  at: (item: unknown) => number | undefined;
  ticks: { at: number; text: string }[];
}

const ROOM = 0.04;
/** From the least to the most, as a factor, beyond which steps are logarithmic unless one says otherwise. */
const WIDE = 30;
const MOST_NAMES = 12;
/** So few numbers are ticks themselves, unless some are too close to be written. */
const FEW = 8;
const LEAST_APART = 0.08;

const isKnown = (item: unknown): boolean => item !== null && item !== undefined;

export function scaleOf({ values, show = number, log, isTime }: Axis, count = 5): Scale {
  const known = values.filter(isKnown);
  const finite = known.filter((item): item is number => typeof item === "number" && Number.isFinite(item));
  if (finite.length === 0 || known.some((item) => typeof item !== "number")) return names(known);
  const [low, high] = range(finite);
  const mayLog = finite.every((item) => item > 0) && high > low;
  const isLog = mayLog && (log ?? high / low >= WIDE);
  const scaled = isLog ? Math.log10 : placed;
  const room = (scaled(high) - scaled(low)) * ROOM;
  const [from, to] = [scaled(low) - room, scaled(high) + room];
  const at = (item: number) => (scaled(item) - from) / (to - from);
  const few = distinct(finite) as number[];
  const apart = few.slice(1).every((item, i) => at(item) - at(few[i]!) >= LEAST_APART);
  const evenly = isTime ? moments : isLog ? logTicks : ticks;
  const marks = few.length <= FEW && apart ? few : evenly([low, high], count);
  const text = isTime ? (item: number) => moment(item, high - low) : show;
  return {
    kind: isLog ? "log" : "even",
    mayLog,
    at: (item) => (typeof item === "number" && Number.isFinite(item) ? at(item) : undefined),
    ticks: marks
      .map((tick) => ({ at: at(tick), text: text(tick) }))
      .filter((tick) => tick.at >= 0 && tick.at <= 1),
  };
}

const TWO_DAYS = 172_800_000;

/** A time on an axis that spans so many milliseconds. */
export const moment = (at: number, span: number): string =>
  span < TWO_DAYS ? time(at).slice(5) : time(at).slice(0, 10);

function names(known: readonly unknown[]): Scale {
  const found = distinct(known);
  const places = new Map(found.map((item, i) => [keyOf(item), (i + 0.5) / found.length]));
  const every = Math.ceil(found.length / MOST_NAMES);
  return {
    kind: "names",
    mayLog: false,
    at: (item) => (isKnown(item) ? places.get(keyOf(item)) : undefined),
    ticks: found
      .filter((_, i) => i % every === 0)
      .map((item) => ({ at: places.get(keyOf(item))!, text: value(item) })),
  };
}

/** What two values have in common that are the same: not their text, because writing numbers takes long. */
const keyOf = (item: unknown): unknown => (typeof item === "object" ? JSON.stringify(item) : item);

/** The different values, by size or name. */
export function distinct(values: readonly unknown[]): unknown[] {
  const found = new Map(values.filter(isKnown).map((item) => [keyOf(item), item]));
  return [...found.values()].sort((a, b) => order(a, b, 1));
}

/** The ticks that have room for their texts, given the least distance between two. */
export function spaced(ticks: Scale["ticks"], least: number): Scale["ticks"] {
  const kept: Scale["ticks"] = [];
  for (const tick of ticks) if (kept.length === 0 || tick.at - kept.at(-1)!.at >= least) kept.push(tick);
  return kept;
}

export const shortened = (text: string, most: number): string =>
  text.length <= most ? text : `${text.slice(0, Math.ceil(most * 0.4))}…${text.slice(-Math.floor(most * 0.55))}`;
