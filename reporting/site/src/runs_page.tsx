// All runs: filtered, sorted, with the columns one wants, and chosen for comparing. Its whole state is in the address.
import { type JSX } from "preact";
import { useMemo } from "preact/hooks";
import { useChunk, useChunks } from "./chunks.ts";
import { ColumnChooser } from "./column_chooser.tsx";
import { defaultColumns, differing, type RunColumn, runColumns } from "./columns.tsx";
import { csv } from "./csv.ts";
import { columnsNeeded, reader } from "./fields.ts";
import { FilterError, matches, parseFilter, type Expression } from "./filter.ts";
import { type Index, type Matrix, type RunRow, type StoredColumn } from "./model.ts";
import { changed, go, href, joined, replace, type Route, split } from "./route.ts";
import { RunTable } from "./run_table.tsx";
import { download, Menu, Waiting } from "./ui.tsx";

interface Parsed {
  expression: Expression | undefined;
  needed: StoredColumn[];
  error: FilterError | undefined;
}

function read(index: Index, text: string): Parsed {
  try {
    const expression = parseFilter(text);
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
  const keys = [...stored].map((column) => column.file);
  const loaded = useChunks<unknown[]>(keys);
  const matrix = useChunk<Matrix>(filter.includes("status") ? "matrix" : undefined);
  const ready = Array.isArray(loaded);
  const lists = new Map<string, unknown[]>(ready ? keys.map((key, i) => [key, loaded[i]!]) : []);
  const valueOf = (column: RunColumn, run: RunRow) =>
    column.stored ? lists.get(column.stored.file)?.[run.number] : column.fact!(run);

  const shown = useMemo(() => {
    const letters = matrix && !(matrix instanceof Error) ? matrix : [];
    const read = reader(index, (column) => lists.get(column.file) ?? [], letters);
    let rows = index.newest;
    if (parsed.expression && ready) rows = rows.filter((run) => matches(parsed.expression!, read(run)));
    if (search) rows = rows.filter((run) => `${run.id} ${run.branch} ${run.commit} ${run.result} ${run.trigger} ${run.pipeline}`.toLowerCase().includes(search));
    if (sorter && sort !== "-started" && ready) {
      const sign = sort.startsWith("-") ? -1 : 1;
      rows = rows
        .map((run) => [valueOf(sorter, run), run] as const)
        .sort(([a], [b]) => order(a, b, sign))
        .map(([, run]) => run);
    }
    return rows;
  }, [index, filter, search, sort, ready, matrix, keys.join()]);

  const columns = onlyDifferent && ready ? differing(candidates, shown, valueOf) : candidates;
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
          <input type="search" placeholder="Search" value={query.get("search") ?? ""} onInput={(event) => set({ search: event.currentTarget.value })} />
        </label>
        <ColumnChooser all={all} chosen={wanted} onChange={(names) => set({ columns: joined(names) })} />
        <label class="check">
          <input type="checkbox" checked={onlyDifferent} onChange={() => set({ different: onlyDifferent ? undefined : "1" })} />
          Only differences
        </label>
        <button type="button" onClick={() => download("runs.csv", csv(columns.map((c) => c.label), shown.map((run) => [run.id, ...columns.map((c) => valueOf(c, run))])), "text/csv")}>
          CSV
        </button>
        <button
          type="button"
          class="main"
          disabled={selected.length < 2 || selected.length > 10}
          onClick={() => go(href(["compare"], { runs: joined(selected) }))}
        >
          Compare {selected.length || ""}
        </button>
      </div>
      <p id="filter-error" class="error" role="alert">
        {parsed.error && (
          <>
            {parsed.error.message} <span class="mono dim">{filter.slice(0, parsed.error.at)}<mark>{filter.slice(parsed.error.at) || "…"}</mark></span>
          </>
        )}
      </p>
      <FilterHelp />
      {loaded instanceof Error && <Waiting error={loaded} what="A column" />}
      <RunTable rows={shown} columns={columns} valueOf={valueOf} sort={sort} onSort={(name) => set({ sort: name })} selected={selected} onSelect={toggle} />
    </>
  );
}

/** Numbers by size, before texts; what is missing comes last either way. */
function order(a: unknown, b: unknown, sign: number): number {
  const [noA, noB] = [a === null || a === undefined, b === null || b === undefined];
  if (noA || noB) return Number(noA) - Number(noB);
  if (typeof a === "number" && typeof b === "number") return sign * (a - b);
  if (typeof a === "number" || typeof b === "number") return typeof a === "number" ? -1 : 1;
  return sign * String(a).localeCompare(String(b), "en", { numeric: true });
}

function FilterHelp(): JSX.Element {
  return (
    <div class="help">
      <Menu label="How to filter">
        <p>Conditions with <code>and</code>, <code>or</code>, <code>not</code> and brackets:</p>
        <ul>
          <li><code>metrics.auc &gt; 0.9</code> – of any task; <code>metrics.auc@train</code> – of this one</li>
          <li><code>params.lr in (0.1, 0.01)</code>, <code>tags.kind ~ part</code>, <code>params.lr is known</code></li>
          <li><code>branch = main</code>, <code>started &gt;= 2026-01-31</code>, <code>result != success</code></li>
          <li><code>duration &gt; 60</code>, <code>failed &gt; 0</code>, <code>saved &gt; 10</code>, <code>duration@train &gt; 5</code></li>
          <li><code>status@train = failed</code></li>
        </ul>
        <p>Names with blanks stand in backticks, values in quotes.</p>
      </Menu>
    </div>
  );
}
