// All runs: filtered, sorted, with the columns one wants, and chosen for comparing. Its whole state is in the address.
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { ColumnChooser } from "./column_chooser.tsx";
import { bestOf, defaultColumns, differing, type RunColumn, runColumns } from "./columns.tsx";
import { csv } from "./csv.ts";
import { countOf, FilterBox, FilterNotes, useFiltered } from "./filtered.tsx";
import type { Index, RunRow, StoredColumn } from "./model.ts";
import { order } from "./numbers.ts";
import { changed, go, href, joined, type Route, replace, split } from "./route.ts";
import { RunTable } from "./run_table.tsx";
import { download } from "./ui.tsx";

const MOST_COMPARED = 10;

export function RunsPage({ index, route }: { index: Index; route: Route }): JSX.Element {
  const query = route.query;
  const sort = query.get("sort") ?? "-started";
  const onlyDifferent = query.get("different") === "1";
  const selected = split(query.get("selected"));
  const all = useMemo(() => runColumns(index), [index]);
  const wanted = query.has("columns") ? split(query.get("columns")) : defaultColumns(index);
  const sorter = all.get(sort.replace(/^-/, ""));
  const candidates = onlyDifferent ? [...all.values()] : wanted.flatMap((id) => all.get(id) ?? []);
  const stored = (columns: RunColumn[]) => columns.flatMap((column) => column.stored ?? []);
  const first: StoredColumn[] = sorter ? stored([sorter]) : [];
  const filtered = useFiltered(index, route, stored(candidates), first);
  const { runs, ready } = filtered;
  const cellValue = (column: RunColumn, run: RunRow) => {
    if (!column.stored) return column.fact!(run);
    const values = column.stored.map((stored) => filtered.values(stored)[run.number]);
    return column.best ? bestOf(values, column.best) : values[0];
  };
  const shown = useMemo(() => {
    if (!sorter || sort === "-started" || !ready) return runs;
    const sign = sort.startsWith("-") ? -1 : 1;
    return runs
      .map((run) => [cellValue(sorter, run), run] as const)
      .sort(([a], [b]) => order(a, b, sign))
      .map(([, run]) => run);
  }, [runs, sort, ready]);

  const columns = onlyDifferent && ready ? differing(candidates, shown, cellValue) : candidates;
  const set = (changes: Record<string, string | undefined>) => replace(changed(route, changes));
  const toggle = (id: string) =>
    set({ selected: joined(selected.includes(id) ? selected.filter((one) => one !== id) : [...selected, id]) });

  return (
    <>
      <div class="head">
        <h1>Runs</h1>
        <p class="note" role="status">
          {countOf(index, filtered)}
        </p>
      </div>
      <div class="bar">
        <FilterBox route={route} filtered={filtered} />
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
      <FilterNotes index={index} route={route} filtered={filtered} />
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
