// How values are written for people.
export function seconds(value: number | null | undefined): string {
  if (value === null || value === undefined) return "";
  if (value < 0.01 && value > 0) return "<0.01 s";
  if (value < 10) return `${value.toFixed(2)} s`;
  if (value < 60) return `${value.toFixed(1)} s`;
  const whole = Math.round(value);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(whole / 3600)} h ${String(Math.floor((whole % 3600) / 60)).padStart(2, "0")} min`;
}

/** How long something has lasted so far, in milliseconds: whole seconds, because the reader sees them change. */
export function age(milliseconds: number): string {
  const whole = Math.max(0, Math.floor(milliseconds / 1000));
  return whole < 60 ? `${whole} s` : seconds(whole);
}

export function bytes(value: number): string {
  if (value < 1000) return `${value} B`;
  if (value < 1e6) return `${(value / 1e3).toFixed(1)} kB`;
  return value < 1e9 ? `${(value / 1e6).toFixed(1)} MB` : `${(value / 1e9).toFixed(2)} GB`;
}

export function number(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return value.toLocaleString("en").replaceAll(",", " ");
  const size = Math.abs(value);
  return size >= 1e6 || size < 1e-4 ? value.toExponential(3) : String(Number(value.toPrecision(6)));
}

/** For columns of numbers: as many decimals in each row. */
export function even(item: number): string {
  const size = Math.abs(item);
  return Number.isInteger(item) || size >= 1000 || (size < 0.001 && size > 0)
    ? number(item)
    : item.toFixed(size < 10 ? 5 : 3);
}

export function value(item: unknown): string {
  if (item === null || item === undefined) return "";
  if (typeof item === "number") return number(item);
  return typeof item === "string" ? item : spaced(item);
}

/** JSON with room for a line break after each comma: a number is never broken in two. */
const spaced = (item: unknown): string =>
  JSON.stringify(item, null, 1)
    .replace(/,\n\s*/g, ", ")
    .replace(/\n\s*/g, "");

const pad = (part: number) => String(part).padStart(2, "0");

export function time(milliseconds: number): string {
  const date = new Date(milliseconds);
  const day = `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
  return `${day} ${pad(date.getHours())}:${pad(date.getMinutes())}`;
}

/** The day of the week in the reader's zone. */
export const weekday = (milliseconds: number): string => DAYS[new Date(milliseconds).getDay()]!;

const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/** A time of the reader's zone, with its distance from UTC: as filters compare it, and CSV has it. */
export function zoned(milliseconds: number): string {
  const date = new Date(milliseconds);
  const minutes = -date.getTimezoneOffset();
  const [hours, rest] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60];
  return `${time(milliseconds).replace(" ", "T")}:${pad(date.getSeconds())}${minutes < 0 ? "-" : "+"}${pad(hours)}:${pad(rest)}`;
}

export function ago(milliseconds: number, now = Date.now()): string {
  const past = Math.max(0, (now - milliseconds) / 1000);
  if (past < 90) return "just now";
  if (past < 5400) return `${Math.round(past / 60)} min ago`;
  if (past < 129600) return `${Math.round(past / 3600)} h ago`;
  return `${Math.round(past / 86400)} days ago`;
}

export function delta(change: number): string {
  const text = number(Math.abs(change));
  return change < 0 ? `−${text}` : `+${text}`;
}

export function percent(from: number, to: number): string {
  if (from === 0 || !Number.isFinite(from) || !Number.isFinite(to)) return "";
  const change = ((to - from) / Math.abs(from)) * 100;
  const size = Math.abs(change);
  const text = size < 0.05 ? Number(size.toFixed(3)) || (size && "<0.001") : size.toFixed(size < 10 ? 1 : 0);
  return `${change < 0 ? "−" : "+"}${text} %`;
}

export const plural = (count: number, one: string, many = `${one}s`): string =>
  `${count} ${count === 1 ? one : many}`;
