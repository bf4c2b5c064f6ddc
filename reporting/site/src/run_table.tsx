// The table of runs. Only the rows in sight are in the page; the arrow keys go from row to row.
import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { RunColumn } from "./columns.tsx";
import type { RunRow } from "./model.ts";
import { go, runHref } from "./route.ts";

const ROW = 34;
const BEYOND = 5;
const LONG = 36;

const scrolled = new Map<string, number>();

interface Props {
  rows: RunRow[];
  /** Where a reader may come back to, and find the table as it was scrolled. */
  place: string;
  columns: RunColumn[];
  cellValue: (column: RunColumn, run: RunRow) => unknown;
  sort: string;
  onSort: (name: string | undefined) => void;
  selected: string[];
  onSelect: (id: string) => void;
}

export function RunTable({
  rows,
  place: address,
  columns,
  cellValue,
  sort,
  onSort,
  selected,
  onSelect,
}: Props): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 800 });
  const [current, setCurrent] = useState(0);
  const focuses = useRef(false);
  const active = Math.min(current, Math.max(0, rows.length - 1));
  const first = Math.max(0, Math.min(Math.floor(view.top / ROW) - BEYOND, rows.length - 1));
  const last = Math.min(rows.length, Math.ceil((view.top + view.height) / ROW) + BEYOND);

  useLayoutEffect(() => {
    const element = place.current!;
    element.querySelector<HTMLElement>("tbody")!.style.height = `${rows.length * ROW}px`;
    element.scrollTop = scrolled.get(address) ?? 0;
    element.querySelector<HTMLElement>("tbody")!.style.height = "";
    const measure = () => {
      scrolled.set(location.hash, element.scrollTop);
      setView({ top: element.scrollTop, height: element.clientHeight });
    };
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    element.addEventListener("scroll", measure, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener("scroll", measure);
    };
  }, []);
  useEffect(() => {
    if (!focuses.current) return;
    focuses.current = false;
    place.current!.querySelector<HTMLElement>(`tr[data-row="${active}"]`)?.focus({ preventScroll: true });
  });

  function move(to: number): void {
    const row = Math.max(0, Math.min(rows.length - 1, to));
    const element = place.current!;
    if (row * ROW < element.scrollTop) element.scrollTop = row * ROW;
    else if ((row + 2) * ROW > element.scrollTop + element.clientHeight)
      element.scrollTop = (row + 2) * ROW - element.clientHeight;
    setView({ top: element.scrollTop, height: element.clientHeight });
    setCurrent(row);
    focuses.current = true;
  }

  function press(event: KeyboardEvent): void {
    if (event.target !== event.currentTarget) return;
    const page = Math.max(1, Math.floor(view.height / ROW) - 2);
    const steps: Record<string, number> = {
      ArrowDown: 1,
      ArrowUp: -1,
      PageDown: page,
      PageUp: -page,
      Home: -active,
      End: rows.length,
    };
    const step = steps[event.key];
    const run = rows[active];
    if (step !== undefined) move(active + step);
    else if (event.key === "Enter" && run) go(runHref(run.id));
    else if (event.key === " " && run) onSelect(run.id);
    else return;
    event.preventDefault();
  }

  const next = (id: string) => (sort === `-${id}` ? id : `-${id}`);
  const sorted = (id: string) => (sort === id ? "ascending" : sort === `-${id}` ? "descending" : "none");
  return (
    <div class="runs scroll" ref={place}>
      <table aria-rowcount={rows.length + 1} aria-label="Runs">
        <thead>
          <tr aria-rowindex={1}>
            <th scope="col" class="pick">
              <span class="hidden">Compare</span>
            </th>
            {columns.map((column) => (
              <th scope="col" aria-sort={sorted(column.id)} class={column.numeric ? "num" : ""}>
                <button
                  type="button"
                  onClick={() => onSort(next(column.id))}
                  title={column.task ? `${column.label} of ${column.task}` : column.label}
                >
                  <span class="name">{column.label}</span>
                  {column.task && <small>{column.task}</small>}
                  <span class="arrow" aria-hidden="true">
                    {sort === column.id ? "▲" : sort === `-${column.id}` ? "▼" : ""}
                  </span>
                </button>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {first > 0 && <tr class="space" style={{ height: `${first * ROW}px` }} />}
          {rows.slice(first, last).map((run, i) => (
            <tr
              key={first + i}
              data-row={first + i}
              aria-rowindex={first + i + 2}
              tabIndex={first + i === active ? 0 : -1}
              class={selected.includes(run.id) ? "selected" : ""}
              onKeyDown={press}
              onFocus={() => setCurrent(first + i)}
              onClick={(event) => {
                if (!(event.target as HTMLElement).closest("a,input,button,label")) go(runHref(run.id));
              }}
            >
              <td class="pick">
                <label>
                  <input
                    type="checkbox"
                    aria-label={`Compare run ${run.id}`}
                    checked={selected.includes(run.id)}
                    onChange={() => onSelect(run.id)}
                  />
                </label>
              </td>
              {columns.map((column, place) => {
                const value = cellValue(column, run);
                const shown = column.show(value, run);
                return (
                  <td
                    class={
                      column.numeric
                        ? "num"
                        : typeof value === "number" || String(value).length < LONG
                          ? ""
                          : "long"
                    }
                  >
                    {place === 0 ? <a href={runHref(run.id)}>{shown}</a> : shown}
                  </td>
                );
              })}
            </tr>
          ))}
          {last < rows.length && <tr class="space" style={{ height: `${(rows.length - last) * ROW}px` }} />}
        </tbody>
      </table>
      {rows.length === 0 && <p class="note empty">No run matches.</p>}
    </div>
  );
}
