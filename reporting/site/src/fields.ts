// What the names in a filter stand for: facts of a run, columns of its tasks, and statuses from the matrix.
import { FACTS } from "./facts.ts";
import { type Expression, type Field, FilterError, fields, unending } from "./filter.ts";
import { type Index, type Matrix, type RunRow, type StoredColumn, statusOf } from "./model.ts";

const KINDS = ["params", "metrics", "tags"];

/** The columns that a field names; throws `FilterError` with the nearest name where there is none. */
export function columnsOf(index: Index, field: Field): StoredColumn[] {
  const ofTask = (column: StoredColumn) =>
    field.task === undefined || column.task === field.task || column.family === field.task;
  if (field.name === "duration" && field.task !== undefined) {
    return required(
      index.columns.filter((column) => column.kind === "duration" && ofTask(column)),
      index,
      field,
    );
  }
  const [kind = "", ...rest] = field.name.split(".");
  const name = rest.join(".");
  if (!KINDS.includes(kind) || !name) throw unknown(index, field);
  return required(
    index.columns.filter((column) => column.kind === kind && column.name === name && ofTask(column)),
    index,
    field,
  );
}

export const isFact = (field: Field): boolean => field.task === undefined && Object.hasOwn(FACTS, field.name);
export const isStatus = (field: Field): boolean => field.name === "status" && field.task !== undefined;

const RESULTS: Record<string, string> = { failed: "failure", cancelled: "cancellation", succeeded: "success" };
/** Facts of which a beginning is enough. */
const BEGINNINGS = ["id", "commit", "started"];
const UNITS: Record<string, number> = { ms: 0.001, s: 1, min: 60, h: 3600, d: 86400 };

/** Seconds, also as the site writes durations: `100s`, `2min`, `"1 h 05 min"`. */
export function duration(text: string): number | undefined {
  const parts = [...text.matchAll(/\s*(\d+(?:\.\d+)?)\s*(ms|s|min|h|d)\b/g)];
  if (parts.length === 0 || parts.map(([part]) => part).join("") !== text) return undefined;
  return parts.reduce((sum, [, count, unit]) => sum + Number(count) * UNITS[unit!]!, 0);
}

/** A filter in the terms of this site; throws `FilterError` for what could never be meant. */
export function resolved(index: Index, expression: Expression): Expression {
  if (expression.op === "not") return { ...expression, of: resolved(index, expression.of) };
  if (expression.op !== "compare")
    return {
      ...expression,
      left: resolved(index, expression.left),
      right: resolved(index, expression.right),
    };
  const { field, by } = expression;
  const columns = isFact(field) || isStatus(field) ? [] : columnsOf(index, field);
  const fact = isFact(field) ? FACTS[field.name]! : undefined;
  const isNumber =
    fact?.numeric || columns.some((column) => column.kind === "metrics" || column.kind === "duration");
  const wanted = expression.with.map((operand) => {
    if (typeof operand !== "string") return operand;
    if (isNumber) {
      const found = isDuration(field) ? duration(operand) : undefined;
      if (found !== undefined || by === "~" || by === "!~") return found ?? operand;
      if (/^[-+]?(?:nan|inf(?:inity)?|\d.*)$/i.test(operand) && unending(operand) !== undefined) return operand;
      const example = isDuration(field) ? "100, 100s or 2min" : "0.9";
      throw new FilterError(`${field.name} is a number: write one such as ${example}`, field.at);
    }
    if (index.columns.some((column) => `${column.kind}.${column.name}` === operand))
      throw new FilterError(`a value is expected after ${field.name}, not the name ${operand}`, field.at);
    if (field.name === "result") return RESULTS[operand] ?? operand;
    return field.name === "started" ? operand.replace(" ", "T") : operand;
  });
  const begins = fact && BEGINNINGS.includes(field.name) && (by === "=" || by === "!=");
  return { ...expression, by: begins ? (by === "=" ? "begins" : "begins not") : by, with: wanted };
}

const isDuration = (field: Field): boolean => field.name === "duration" || field.name === "saved";

/** All columns that a filter needs; throws `FilterError` for unknown names. */
export function columnsNeeded(index: Index, expression: Expression | undefined): StoredColumn[] {
  return fields(expression)
    .filter((field) => !isFact(field) && !isStatus(field))
    .flatMap((field) => columnsOf(index, field));
}

export function reader(
  index: Index,
  values: (column: StoredColumn) => unknown[],
  matrix: Matrix,
): (run: RunRow) => (field: Field) => unknown[] {
  const found = new Map<string, StoredColumn[]>();
  return (run) => (field) => {
    if (isFact(field)) return [FACTS[field.name]!.of(run)];
    if (isStatus(field)) {
      return matrix
        .filter(([task]) => task === field.task || task.startsWith(`${field.task}[`))
        .map(([, letters]) => statusOf(letters[run.number]));
    }
    const key = `${field.name}@${field.task ?? ""}`;
    if (!found.has(key)) found.set(key, columnsOf(index, field));
    return found.get(key)!.map((column) => values(column)[run.number]);
  };
}

function required(columns: StoredColumn[], index: Index, field: Field): StoredColumn[] {
  if (columns.length === 0) throw unknown(index, field);
  return columns;
}

function unknown(index: Index, field: Field): FilterError {
  const names = new Set([
    ...Object.keys(FACTS),
    ...index.columns.filter((c) => c.name).map((c) => `${c.kind}.${c.name}`),
  ]);
  const [nearest] = [...names]
    .map((name) => [distance(name, field.name), name] as const)
    .sort((a, b) => a[0] - b[0]);
  const meant = index.columns.find((column) => column.name === field.name);
  const written = field.task === undefined ? field.name : `${field.name}@${field.task}`;
  const hint = meant
    ? `; did you mean ${meant.kind}.${meant.name}?`
    : nearest && nearest[0] <= 3 && nearest[0] > 0
      ? `; did you mean ${nearest[1]}?`
      : "";
  return new FilterError(`no run has ${written}${hint}`, field.at);
}

export function distance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      row.push(Math.min(row[j - 1]! + 1, previous[j]! + 1, previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    previous = row;
  }
  return previous[b.length]!;
}
