// The columns that the table of runs can have: facts of the run itself, and what its tasks logged.
import type { ComponentChildren } from "preact";
import { FACTS, shownFacts, text } from "./facts.ts";
import { ago, even, seconds, time, value, weekday } from "./format.ts";
import { columnId, type Index, type RunRow, type StoredColumn } from "./model.ts";
import { alike, order } from "./numbers.ts";
import { Badge, glyph, label, Outside } from "./ui.tsx";

export interface RunColumn {
  id: string;
  label: string;
  group: string;
  task?: string;
  numeric: boolean;
  /** One, or those of all instances, of which the best value counts. */
  stored?: StoredColumn[];
  best?: "higher" | "lower";
  fact?: (run: RunRow) => unknown;
  show: (value: unknown, run: RunRow) => ComponentChildren;
}

/** Facts that are shown as more than text. */
const SHOW: Record<string, (value: unknown, run: RunRow) => ComponentChildren> = {
  started: (_, run) => (
    <>
      <time title={`${time(run.started)} · ${ago(run.started)}`}>{time(run.started)}</time>{" "}
      <small>{weekday(run.started)}</small>
    </>
  ),
  result: (_, run) => <Badge of={run.result} />,
  commit: (item, run) => (item ? <Commit run={run} /> : ""),
  tasks: (_, run) => <Counts run={run} />,
};

export function Commit({ run }: { run: RunRow }): ComponentChildren {
  const short = run.commit?.slice(0, 8);
  const mark = run.dirty ? <abbr title="with uncommitted changes">*</abbr> : null;
  return (
    <>
      <Outside class="mono" to={run.repository && `${run.repository}/commit/${run.commit}`}>
        {short}
      </Outside>
      {mark}
    </>
  );
}

/** How many tasks have which status, as a bar with its numbers. */
export function Counts({ run }: { run: RunRow }): ComponentChildren {
  const parts = (["ran", "restored", "up_to_date", "failed", "skipped", "cancelled"] as const).filter(
    (name) => run[name],
  );
  return (
    <span class="counts" role="img" aria-label={parts.map((name) => `${run[name]} ${label(name)}`).join(", ")}>
      {parts.map((name) => (
        <span class={`count is-${name}`} title={`${run[name]} ${label(name)}`}>
          <span>{glyph(name)}</span>
          {run[name]}
        </span>
      ))}
    </span>
  );
}

export function runColumns(index: Index): Map<string, RunColumn> {
  const columns: RunColumn[] = Object.entries(FACTS).map(([id, fact]) => ({
    id,
    label: fact.label ?? id,
    group: "run",
    numeric: fact.numeric,
    fact: fact.of,
    show: SHOW[id] ?? ((item) => text(fact, item)),
  }));
  for (const stored of index.columns) {
    if (stored.kind === "result") continue;
    columns.push({
      id: columnId(stored),
      label: stored.kind === "duration" ? "duration" : stored.name,
      group: stored.kind,
      task: stored.task,
      numeric: stored.kind === "metrics" || stored.kind === "duration",
      stored: [stored],
      show:
        stored.kind === "duration"
          ? (item) => seconds(item as number)
          : (item) => (stored.kind === "metrics" && typeof item === "number" ? even(item) : value(item)),
    });
  }
  return new Map([...columns, ...bestColumns(index)].map((column) => [column.id, column]));
}

/** Of each declared metric that several tasks have, the best value in a run. */
function bestColumns(index: Index): RunColumn[] {
  return [...index.declared].flatMap(([name, { direction }]) => {
    const stored = index.columns.filter((column) => column.kind === "metrics" && column.name === name);
    if (!direction || stored.length < 2) return [];
    const show = (item: unknown) => (typeof item === "number" ? even(item) : value(item));
    const task = `best of ${stored.length}`;
    return [
      { id: `best.${name}`, label: name, group: "metrics", task, numeric: true, stored, best: direction, show },
    ];
  });
}

/** The best of some numbers; what is not finite only where nothing else is. */
export function bestOf(values: readonly unknown[], direction: "higher" | "lower"): unknown {
  const known = values.filter((item) => item !== null && item !== undefined);
  return known.sort((a, b) => order(a, b, direction === "higher" ? -1 : 1))[0];
}

/** The columns by default: facts of the run, declared metrics first, and a few others. */
export function defaultColumns(index: Index): string[] {
  const metrics = index.columns.filter((column) => column.kind === "metrics");
  const declared = metrics.filter((column) => index.declared.has(column.name));
  const others = metrics.filter((column) => !index.declared.has(column.name) && !column.series);
  const best = bestColumns(index).map((column) => column.id);
  return [...shownFacts(index.runs), ...[...best, ...[...declared, ...others].map(columnId)].slice(0, 6)];
}

/** Keep the columns in which the runs are not all the same. */
export function differing(
  columns: RunColumn[],
  rows: RunRow[],
  cellValue: (column: RunColumn, run: RunRow) => unknown,
): RunColumn[] {
  return columns.filter((column) => {
    const first = rows[0] && cellValue(column, rows[0]);
    return rows.some((run) => !alike(cellValue(column, run), first));
  });
}
