// What the names in a filter stand for: facts of a run, columns of its tasks, and statuses from the matrix.
import { FilterError, fields, type Expression, type Field } from "./filter.ts";
import { type Index, type Matrix, type RunRow, type StoredColumn, statusOf } from "./model.ts";

export const FACTS: Record<string, (run: RunRow) => unknown> = {
  id: (run) => run.id,
  pipeline: (run) => run.pipeline,
  started: (run) => new Date(run.started).toISOString(),
  duration: (run) => run.seconds,
  result: (run) => run.result,
  branch: (run) => run.branch,
  commit: (run) => run.commit,
  dirty: (run) => run.dirty,
  change: (run) => run.change,
  trigger: (run) => run.trigger,
  tasks: (run) => run.total,
  ran: (run) => run.ran,
  restored: (run) => run.restored,
  up_to_date: (run) => run.up_to_date,
  failed: (run) => run.failed,
  skipped: (run) => run.skipped,
  cancelled: (run) => run.cancelled,
  saved: (run) => run.saved,
};

const KINDS = ["params", "metrics", "tags"];

/** The columns that a field stands for; throws `FilterError` with the nearest name where there is none. */
export function columnsOf(index: Index, field: Field): StoredColumn[] {
  const ofTask = (column: StoredColumn) =>
    field.task === undefined || column.task === field.task || column.family === field.task;
  if (field.name === "duration" && field.task !== undefined) {
    return required(index.columns.filter((column) => column.kind === "duration" && ofTask(column)), index, field);
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

/** All columns that a filter needs; throws `FilterError` for names that mean nothing. */
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
    if (isFact(field)) return [FACTS[field.name]!(run)];
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
  const names = new Set([...Object.keys(FACTS), ...index.columns.filter((c) => c.name).map((c) => `${c.kind}.${c.name}`)]);
  const [nearest] = [...names].map((name) => [distance(name, field.name), name] as const).sort((a, b) => a[0] - b[0]);
  const written = field.task === undefined ? field.name : `${field.name}@${field.task}`;
  const hint = nearest && nearest[0] <= 3 && nearest[0] > 0 ? `; did you mean ${nearest[1]}?` : "";
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
