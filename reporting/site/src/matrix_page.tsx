// Tasks × runs: one square for each task of each run, painted on a canvas, and walked through with the arrow keys.
import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { onTheme, resolved } from "./canvas.ts";
import { time } from "./format.ts";
import { type Index, type Matrix, type RunRow, type Status, statusOf } from "./model.ts";
import { Older } from "./older.tsx";
import { changed, go, type Route, replace, taskHref } from "./route.ts";
import { useMatrix } from "./shards.ts";
import { Badge, BranchSelect, glyph, label, STATUSES, Waiting } from "./ui.tsx";

const CELL = 22;
const HEAD = 26;

export function MatrixPage({ index, route }: { index: Index; route: Route }): JSX.Element {
  const matrix = useMatrix(index);
  const text = route.query.get("search") ?? "";
  const branch = route.query.get("branch") ?? "";
  const branches = [...new Set(index.newest.map((run) => run.branch ?? ""))].filter(Boolean).sort();
  const runs = useMemo(
    () => (branch ? index.newest.filter((run) => run.branch === branch) : index.newest),
    [index, branch],
  );
  if (matrix === undefined || matrix instanceof Error)
    return (
      <>
        <h1>Tasks × runs</h1>
        <Waiting error={matrix} what="The matrix" />
      </>
    );
  const rows = matrix.filter(([name]) => name.toLowerCase().includes(text.toLowerCase()));
  const set = (changes: Record<string, string | undefined>) => replace(changed(route, changes));
  return (
    <>
      <div class="head">
        <h1>Tasks × runs</h1>
        <p class="note" role="status">
          {rows.length} tasks, {runs.length} runs, newest first
        </p>
      </div>
      <div class="bar">
        <label class="grow">
          <span class="hidden">Find tasks</span>
          <input
            type="search"
            placeholder="Find tasks"
            value={text}
            onInput={(event) => set({ search: event.currentTarget.value })}
          />
        </label>
        <BranchSelect branch={branch} branches={branches} to={(branch) => set({ branch })} />
        <Older index={index} />
        <p class="legend">
          {STATUSES.map((status) => (
            <Badge of={status} />
          ))}
        </p>
      </div>
      {rows.length && runs.length ? <MatrixView rows={rows} runs={runs} /> : <p class="note">No task matches.</p>}
    </>
  );
}

interface Cell {
  row: number;
  column: number;
}

function MatrixView({ rows, runs }: { rows: Matrix; runs: RunRow[] }): JSX.Element {
  const tasks = rows.map(([name]) => name);
  const scroller = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const [view, setView] = useState({ left: 0, top: 0, width: 600, height: 400 });
  const [at, setAt] = useState<Cell>({ row: 0, column: 0 });
  const cell = { row: Math.min(at.row, tasks.length - 1), column: Math.min(at.column, runs.length - 1) };
  const status = (row: number, column: number) => statusOf(rows[row]![1][runs[column]!.number]);

  useLayoutEffect(() => {
    const element = scroller.current!;
    const measure = () =>
      setView({
        left: element.scrollLeft,
        top: element.scrollTop,
        width: element.clientWidth,
        height: element.clientHeight,
      });
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    element.addEventListener("scroll", measure, { passive: true });
    const stop = onTheme(() => setView((old) => ({ ...old })));
    return () => {
      observer.disconnect();
      stop();
      element.removeEventListener("scroll", measure);
    };
  }, []);
  const names = Math.min(280, view.width * 0.4);
  useEffect(() => paint(canvas.current!, { tasks, runs, status, view, cell, names }));

  function move(to: Cell): void {
    const next = { row: clamp(to.row, tasks.length), column: clamp(to.column, runs.length) };
    setAt(next);
    const element = scroller.current!;
    const [x, y] = [next.column * CELL, next.row * CELL];
    if (x < element.scrollLeft) element.scrollLeft = x;
    if (x + CELL > element.scrollLeft + view.width - names) element.scrollLeft = x + CELL - view.width + names;
    if (y < element.scrollTop) element.scrollTop = y;
    if (y + CELL > element.scrollTop + view.height - HEAD) element.scrollTop = y + CELL - view.height + HEAD;
  }

  function press(event: KeyboardEvent): void {
    const steps: Record<string, [number, number]> = {
      ArrowDown: [1, 0],
      ArrowUp: [-1, 0],
      ArrowRight: [0, 1],
      ArrowLeft: [0, -1],
      PageDown: [10, 0],
      PageUp: [-10, 0],
      Home: [0, -runs.length],
      End: [0, runs.length],
    };
    const step = steps[event.key];
    if (step) move({ row: cell.row + step[0], column: cell.column + step[1] });
    else if (event.key === "Enter" && status(cell.row, cell.column))
      go(taskHref(runs[cell.column]!.id, tasks[cell.row]!));
    else return;
    event.preventDefault();
  }

  function pointed(event: MouseEvent): Cell | undefined {
    const box = canvas.current!.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left - names + view.left) / CELL);
    const row = Math.floor((event.clientY - box.top - HEAD + view.top) / CELL);
    const inside =
      row >= 0 && column >= 0 && row < tasks.length && column < runs.length && event.clientX - box.left > names;
    return inside ? { row, column } : undefined;
  }

  const run = runs[cell.column]!;
  const now = status(cell.row, cell.column);
  const said = `${tasks[cell.row]}, ${now ? label(now) : "not in this run"}, ${time(run.started)}, ${run.branch ?? ""} ${run.commit?.slice(0, 8) ?? ""}`;
  return (
    <>
      <div
        class="matrix scroll"
        ref={scroller}
        tabIndex={0}
        role="application"
        aria-roledescription="matrix of tasks and runs"
        aria-label={`Tasks and runs. Arrow keys move, Enter opens. ${said}`}
        onKeyDown={press}
        style={{ height: `min(70vh, ${tasks.length * CELL + HEAD + 16}px)` }}
      >
        <canvas
          ref={canvas}
          aria-hidden="true"
          onPointerMove={(event) => {
            const found = pointed(event);
            if (found && (found.row !== cell.row || found.column !== cell.column)) setAt(found);
          }}
          onClick={(event) => {
            const found = pointed(event);
            if (found && status(found.row, found.column)) go(taskHref(runs[found.column]!.id, tasks[found.row]!));
          }}
        />
        <div
          class="extent"
          style={{
            width: `${runs.length * CELL + names}px`,
            height: `${tasks.length * CELL + HEAD - view.height}px`,
          }}
        />
      </div>
      <p class="pointed" aria-live="polite">
        {now ? <Badge of={now} /> : <span class="dim">not in this run</span>}
        {now ? <a href={taskHref(run.id, tasks[cell.row]!)}>{tasks[cell.row]}</a> : <span>{tasks[cell.row]}</span>}
        <span class="dim">
          {time(run.started)} · {run.branch} <span class="mono">{run.commit?.slice(0, 8)}</span>
        </span>
      </p>
    </>
  );
}

interface Scene {
  tasks: string[];
  runs: RunRow[];
  status: (row: number, column: number) => Status | undefined;
  view: { left: number; top: number; width: number; height: number };
  cell: Cell;
  names: number;
}

function paint(canvas: HTMLCanvasElement, { tasks, runs, status, view, cell, names }: Scene): void {
  const scale = devicePixelRatio;
  canvas.width = view.width * scale;
  canvas.height = view.height * scale;
  canvas.style.width = `${view.width}px`;
  canvas.style.height = `${view.height}px`;
  const context = canvas.getContext("2d")!;
  context.scale(scale, scale);
  const probe = getComputedStyle(canvas);
  const colour = (name: string) => resolved(canvas, `var(--${name})`);
  const ink = probe.color;
  const colours = new Map(
    STATUSES.map((name) => [name, { fill: colour(`fill-${name}`), ink: colour(`on-${name}`) }]),
  );
  const faint = colour("line");
  context.textBaseline = "middle";
  const first = { row: Math.floor(view.top / CELL), column: Math.floor(view.left / CELL) };
  const last = {
    row: Math.min(tasks.length, first.row + Math.ceil(view.height / CELL) + 1),
    column: Math.min(runs.length, first.column + Math.ceil(view.width / CELL) + 1),
  };
  context.save();
  context.beginPath();
  context.rect(names, HEAD, view.width - names, view.height - HEAD);
  context.clip();
  context.textAlign = "center";
  context.font = `11px ${probe.fontFamily}`;
  for (let row = first.row; row < last.row; row++) {
    for (let column = first.column; column < last.column; column++) {
      const [x, y] = [names + column * CELL - view.left, HEAD + row * CELL - view.top];
      const now = status(row, column);
      if (now) {
        context.fillStyle = colours.get(now)!.fill;
        context.beginPath();
        context.roundRect(x + 1.5, y + 1.5, CELL - 3, CELL - 3, 4);
        context.fill();
        context.fillStyle = colours.get(now)!.ink;
        context.fillText(glyph(now), x + CELL / 2, y + CELL / 2 + 0.5);
      } else {
        context.fillStyle = faint;
        context.fillRect(x + CELL / 2 - 1, y + CELL / 2 - 1, 2, 2);
      }
      if (row === cell.row && column === cell.column) {
        context.strokeStyle = ink;
        context.lineWidth = 2;
        context.beginPath();
        context.roundRect(x + 1, y + 1, CELL - 2, CELL - 2, 5);
        context.stroke();
      }
    }
  }
  context.restore();
  context.textAlign = "left";
  context.font = `13px ${probe.fontFamily}`;
  context.save();
  context.beginPath();
  context.rect(0, HEAD, names - 8, view.height - HEAD);
  context.clip();
  for (let row = first.row; row < last.row; row++) {
    context.fillStyle = row === cell.row ? ink : colour("dim");
    context.fillText(shortened(context, tasks[row]!, names - 14), 2, HEAD + row * CELL - view.top + CELL / 2);
  }
  context.restore();
  context.save();
  context.beginPath();
  context.rect(names, 0, view.width - names, HEAD);
  context.clip();
  context.font = `11px ${probe.fontFamily}`;
  context.fillStyle = colour("dim");
  let day = "";
  let free = names;
  for (let column = first.column; column < last.column; column++) {
    const here = time(runs[column]!.started).slice(0, 10);
    const x = Math.max(names + column * CELL - view.left, names) + 2;
    if (here === day || x < free) continue;
    context.fillText(here, x, HEAD / 2);
    day = here;
    free = x + context.measureText(here).width + 8;
  }
  context.restore();
}

/** Cut the middle out of a long name: the end of an instance's name distinguishes it from the others. */
function shortened(context: CanvasRenderingContext2D, text: string, width: number): string {
  if (context.measureText(text).width <= width) return text;
  const cut = (kept: number) =>
    `${text.slice(0, Math.ceil(kept * 0.4))}…${text.slice(text.length - Math.floor(kept * 0.6))}`;
  let [low, high] = [0, text.length];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (context.measureText(cut(middle)).width <= width) low = middle;
    else high = middle - 1;
  }
  return cut(low);
}

const clamp = (value: number, length: number): number => Math.max(0, Math.min(length - 1, value));
