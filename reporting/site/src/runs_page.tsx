// All runs: filtered, sorted, with the columns one wants, and chosen for comparing. Its whole state is in the address.
import type { JSX } from "preact";
import { useMemo, useRef } from "preact/hooks";
import { useChunk, useChunks } from "./chunks.ts";
import { ColumnChooser } from "./column_chooser.tsx";
import { defaultColumns, differing, type RunColumn, runColumns } from "./columns.tsx";
import { csv } from "./csv.ts";
import { columnsNeeded, reader, resolved } from "./fields.ts";
import { type Expression, FilterError, matches, parseFilter } from "./filter.ts";
import { time, value } from "./format.ts";
import type { Index, Matrix, RunRow, StoredColumn } from "./model.ts";
import { order, valuesOf } from "./numbers.ts";
import { changed, go, href, joined, type Route, replace, split } from "./route.ts";
import { RunTable } from "./run_table.tsx";
import { download, Menu, Waiting } from "./ui.tsx";

/** Columns of parameters and tags that a search looks into. */
const MOST_SEARCHED = 60;

const MOST_COMPARED = 10;

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

export function RunsPage({ index, route }: { index: Index; route: Route }): JSX.Element {
  const query = route.query;
  const filter = query.get("filter") ?? "";
  const search = (query.get("search") ?? "").toLowerCase();
  const sort = query.get("sort") ?? "-started";
  const onlyDifferent = query.get("different") === "1";
  const selected = split(query.get("selected"));
  const parsed = useMemo(() => read(index, filter), [index, filter]);
  const all = useMemo(() => runColumns(index), [index]);
  const wanted = query.has("columns") ? split(query.get("columns")) : defaultColumns(index);
  const sortName = sort.replace(/^-/, "");

  const candidates = onlyDifferent ? [...all.values()] : wanted.flatMap((id) => all.get(id) ?? []);
  const sorter = all.get(sortName);
  const stored = new Set<StoredColumn>(parsed.needed);
  for (const column of sorter ? [...candidates, sorter] : candidates) if (column.stored) stored.add(column.stored);
  const searched = search
    ? index.columns.filter((column) => column.kind === "params" || column.kind === "tags").slice(0, MOST_SEARCHED)
    : [];
  for (const column of searched) stored.add(column);
  const asked = [...stored];
  const keys = asked.map((column) => column.file);
  const loaded = useChunks<unknown[]>(keys);
  const matrix = useChunk<Matrix>(filter.includes("status") || search ? "matrix" : undefined);
  const ready = Array.isArray(loaded);
  const lists = new Map<string, unknown[]>(
    ready ? asked.map((column, i) => [column.file, valuesOf(column, loaded[i]!)]) : [],
  );
  const cellValue = (column: RunColumn, run: RunRow) =>
    column.stored ? lists.get(column.stored.file)?.[run.number] : column.fact!(run);

  const last = useRef<RunRow[]>(undefined);
  const waits = !ready && !(loaded instanceof Error) && Boolean(parsed.expression || search || sorter?.stored);
  const shown = useMemo(() => {
    // unfiltered rows are not flashed while columns load
    if (waits) return last.current ?? [];
    const letters = matrix && !(matrix instanceof Error) ? matrix : [];
    const read = reader(index, (column) => lists.get(column.file) ?? [], letters);
    let rows = index.newest;
    if (parsed.expression && ready) rows = rows.filter((run) => matches(parsed.expression!, read(run)));
    if (search) {
      const told = searched.map((column) => lists.get(column.file) ?? []);
      const tasks = letters.filter(([name]) => name.toLowerCase().includes(search)).map(([, of]) => of);
      rows = rows.filter(
        (run) =>
          `${run.id} ${run.branch} ${run.commit} ${run.result} ${run.trigger} ${run.profile ?? ""} ${run.pipeline} ${time(run.started)} ${run.title ?? ""} ${run.change ?? ""}`
            .toLowerCase()
            .includes(search) ||
          tasks.some((of) => (of[run.number] ?? " ") !== " ") ||
          told.some((values) => value(values[run.number]).toLowerCase().includes(search)),
      );
    }
    if (sorter && sort !== "-started" && ready) {
      const sign = sort.startsWith("-") ? -1 : 1;
      rows = rows
        .map((run) => [cellValue(sorter, run), run] as const)
        .sort(([a], [b]) => order(a, b, sign))
        .map(([, run]) => run);
    }
    last.current = rows;
    return rows;
  }, [index, filter, search, sort, ready, waits, matrix, keys.join()]);

  const columns = onlyDifferent && ready ? differing(candidates, shown, cellValue) : candidates;
  const set = (changes: Record<string, string | undefined>) => replace(changed(route, changes));
  const toggle = (id: string) =>
    set({ selected: joined(selected.includes(id) ? selected.filter((one) => one !== id) : [...selected, id]) });

  return (
    <>
      <div class="head">
        <h1>Runs</h1>
        <p class="note" role="status">
          {shown.length === index.runs.length ? `${shown.length}` : `${shown.length} of ${index.runs.length}`}
        </p>
      </div>
      <div class="bar">
        <label class="grow">
          <span class="hidden">Filter</span>
          <input
            class="mono"
            type="text"
            spellcheck={false}
            autocomplete="off"
            placeholder="Filter: metrics.auc > 0.9 and branch = main"
            value={filter}
            aria-invalid={parsed.error !== undefined}
            aria-describedby="filter-error"
            onInput={(event) => set({ filter: event.currentTarget.value })}
          />
        </label>
        <label>
          <span class="hidden">Search</span>
          <input
            type="search"
            placeholder="Search"
            value={query.get("search") ?? ""}
            onInput={(event) => set({ search: event.currentTarget.value })}
          />
        </label>
        <ColumnChooser all={all} chosen={wanted} onChange={(names) => set({ columns: joined(names) })} />
        <label class="check">
          <input
            type="checkbox"
            checked={onlyDifferent}
            onChange={() => set({ different: onlyDifferent ? undefined : "1" })}
          />
          Only differences
        </label>
        <button
          type="button"
          onClick={() =>
            download(
              "runs.csv",
              csv(
                ["id", ...columns.map((c) => (c.task ? `${c.label}@${c.task}` : c.label))],
                shown.map((run) => [run.id, ...columns.map((c) => cellValue(c, run))]),
              ),
              "text/csv",
            )
          }
        >
          CSV
        </button>
        <button
          type="button"
          class="main"
          disabled={selected.length < 2 || selected.length > MOST_COMPARED}
          title={selected.length > MOST_COMPARED ? `at most ${MOST_COMPARED} runs are compared` : undefined}
          onClick={() => go(href(["compare"], { runs: joined(selected) }))}
        >
          Compare {selected.length || ""}
        </button>
        {selected.length > MOST_COMPARED && <span class="note">at most {MOST_COMPARED}</span>}
      </div>
      <p id="filter-error" class="error" role="alert">
        {parsed.error && (
          <>
            {parsed.error.message}{" "}
            <span class="mono dim">
              {filter.slice(0, parsed.error.at)}
              <mark>{filter.slice(parsed.error.at) || "…"}</mark>
            </span>
          </>
        )}
      </p>
      <FilterHelp />
      {loaded instanceof Error && <Waiting error={loaded} what="A column" />}
      <RunTable
        rows={shown}
        place={location.hash}
        columns={columns}
        cellValue={cellValue}
        sort={sort}
        onSort={(name) => set({ sort: name })}
        selected={selected}
        onSelect={toggle}
      />
    </>
  );
}

function FilterHelp(): JSX.Element {
  return (
    <div class="help">
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
    </div>
  );
}
