// The runs that a filter and a search leave: the same box, words and complaints on every page that has one.
import type { JSX } from "preact";
import { useMemo, useRef } from "preact/hooks";
import { columnsNeeded, reader, resolved } from "./fields.ts";
import { type Expression, FilterError, matches, parseFilter } from "./filter.ts";
import { time, value, weekday } from "./format.ts";
import { columnId, type Index, type RunRow, type StoredColumn } from "./model.ts";
import { valuesOf } from "./numbers.ts";
import { Older } from "./older.tsx";
import { changed, type Route, replace } from "./route.ts";
import { useColumns, useMatrix } from "./shards.ts";
import { Menu, Waiting } from "./ui.tsx";

/** Columns of parameters and tags that a search looks into. */
const MOST_SEARCHED = 60;

interface Parsed {
  expression: Expression | undefined;
  needed: StoredColumn[];
  error: FilterError | undefined;
}

function read(index: Index, text: string): Parsed {
  try {
    const parsed = parseFilter(text);
    const expression = parsed && resolved(index, parsed);
    return { expression, needed: columnsNeeded(index, expression), error: undefined };
  } catch (error) {
    if (error instanceof FilterError) return { expression: undefined, needed: [], error };
    throw error;
  }
}

export interface Filtered {
  /** The newest first. While columns load that decide about them, those that were left before. */
  runs: RunRow[];
  ready: boolean;
  complaint: FilterError | undefined;
  failed: Error | undefined;
  /** The values of a column that was asked for, by the number of the run. */
  values: (column: StoredColumn) => readonly unknown[];
}

/** Filter the runs as the address says, and load `wanted` columns besides; those in `first` are waited for. */
export function useFiltered(
  index: Index,
  route: Route,
  wanted: readonly StoredColumn[] = [],
  first: readonly StoredColumn[] = [],
): Filtered {
  const filter = route.query.get("filter") ?? "";
  const search = (route.query.get("search") ?? "").toLowerCase();
  const parsed = useMemo(() => read(index, filter), [index, filter]);
  const searched = search
    ? index.columns.filter((column) => column.kind === "params" || column.kind === "tags").slice(0, MOST_SEARCHED)
    : [];
  const asked = [...new Set([...parsed.needed, ...wanted, ...first, ...searched])];
  const loaded = useColumns(index, asked);
  const matrix = useMatrix(index, filter.includes("status") || search !== "");
  const known = Array.isArray(loaded);
  const failed = [loaded, matrix].find((one) => one instanceof Error);
  const ready = known && matrix !== undefined && index.complete;
  const lists = new Map(known ? asked.map((column, i) => [column, valuesOf(column, loaded[i]!)]) : []);
  const values = (column: StoredColumn) => lists.get(column) ?? [];
  const last = useRef<RunRow[]>(undefined);
  const waits = !ready && !failed && Boolean(parsed.expression || search || first.length);
  const runs = useMemo(() => {
    // unfiltered rows are not flashed while columns load
    if (waits) return last.current ?? [];
    const letters = matrix && !(matrix instanceof Error) ? matrix : [];
    const of = reader(index, (column) => values(column) as unknown[], letters);
    let rows = index.newest;
    if (parsed.expression && ready) rows = rows.filter((run) => matches(parsed.expression!, of(run)));
    if (search) {
      const told = searched.map(values);
      const tasks = letters.filter(([name]) => name.toLowerCase().includes(search)).map(([, list]) => list);
      rows = rows.filter(
        (run) =>
          said(run).includes(search) ||
          tasks.some((list) => (list[run.number] ?? " ") !== " ") ||
          told.some((list) => value(list[run.number]).toLowerCase().includes(search)),
      );
    }
    last.current = rows;
    return rows;
  }, [index, filter, search, ready, waits, matrix, asked.map(columnId).join()]);
  return { runs, ready, complaint: parsed.error, failed, values };
}

const said = (run: RunRow): string =>
  `${run.id} ${run.branch} ${run.commit} ${run.result} ${run.trigger} ${run.profile ?? ""} ${run.pipeline} ${time(run.started)} ${weekday(run.started)} ${run.title ?? ""} ${run.change ?? ""}`.toLowerCase();

export const countOf = (index: Index, { runs }: Filtered): string =>
  runs.length === index.runs.length ? `${index.size}` : `${runs.length} of ${index.size}`;

/** The box of the filter, for the bar of a page. */
export function FilterBox({ route, filtered }: { route: Route; filtered: Filtered }): JSX.Element {
  return (
    <label class="grow">
      <span class="hidden">Filter</span>
      <input
        class="mono"
        type="text"
        spellcheck={false}
        autocomplete="off"
        placeholder="Filter: metrics.auc > 0.9 and branch = main"
        value={route.query.get("filter") ?? ""}
        aria-invalid={filtered.complaint !== undefined}
        aria-describedby="filter-error"
        onInput={(event) => replace(changed(route, { filter: event.currentTarget.value }))}
      />
    </label>
  );
}

/** What is wrong with the filter, and how to write one: below the bar. */
export function FilterNotes({
  index,
  route,
  filtered,
}: {
  index: Index;
  route: Route;
  filtered: Filtered;
}): JSX.Element {
  const filter = route.query.get("filter") ?? "";
  const { complaint, failed } = filtered;
  return (
    <>
      <p id="filter-error" class="error" role="alert">
        {complaint && (
          <>
            {complaint.message}{" "}
            <span class="mono dim">
              {filter.slice(0, complaint.at)}
              <mark>{filter.slice(complaint.at) || "…"}</mark>
            </span>
          </>
        )}
      </p>
      <div class="help">
        <FilterHelp />
        <Older index={index} />
      </div>
      {failed && <Waiting error={failed} what="A column" />}
    </>
  );
}

function FilterHelp(): JSX.Element {
  return (
    <Menu label="How to filter">
      <p>
        Conditions with <code>and</code>, <code>or</code>, <code>not</code> and brackets:
      </p>
      <ul>
        <li>
          <code>metrics.auc &gt; 0.9</code> – of any task; <code>metrics.auc@train</code> – of this one
        </li>
        <li>
          <code>params.lr in (0.1, 0.01)</code>, <code>tags.kind ~ part</code>, <code>params.lr is known</code>
        </li>
        <li>
          <code>branch = main</code>, <code>started &gt;= 2026-01-31</code>, <code>result != success</code>
        </li>
        <li>
          <code>duration &gt; 2min</code>, <code>failed &gt; 0</code>, <code>saved &gt; 10</code>,{" "}
          <code>duration@train &gt; 5</code>
        </li>
        <li>
          <code>status@train = failed</code>
        </li>
      </ul>
      <p>Write names with spaces in backticks, and values in quotes.</p>
    </Menu>
  );
}
