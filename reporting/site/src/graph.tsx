// The tasks of a run and what they need, where the build of the site laid them out.
import type { JSX } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Critical } from "./critical.ts";
import type { Graph } from "./model.ts";
import { glyph, label } from "./ui.tsx";

export const NODE = { width: 206, height: 30 };
export const STEP = { x: 256, y: 42 };
export const PAD = 10;

interface Props {
  graph: Graph;
  tasks: { name: string; status: string; reasons?: string[] }[];
  critical?: Critical;
  /** The address of a task. */
  to: (task: string) => string;
}

export function GraphView({ graph, tasks, critical, to }: Props): JSX.Element {
  const width = Math.max(0, graph.width - 1) * STEP.x + NODE.width + 2 * PAD;
  const height = Math.max(0, graph.height - 1) * STEP.y + NODE.height + 2 * PAD;
  const [whole, setWhole] = useState(false);
  const [over, setOver] = useState(false);
  const place = useRef<HTMLDivElement>(null);
  useLayoutEffect(
    () => setOver(place.current!.scrollWidth > place.current!.clientWidth + 1 || whole),
    [width, whole],
  );
  return (
    <figure class="graph">
      {over && (
        <button type="button" aria-pressed={whole} onClick={() => setWhole(!whole)}>
          {whole ? "Full size" : "Fit the width"}
        </button>
      )}
      <div class="scroll" ref={place} tabIndex={0} role="group" aria-label="Graph of the tasks">
        <svg
          viewBox={`0 0 ${width} ${height}`}
          width={whole ? "100%" : width}
          height={whole ? undefined : height}
          role="list"
        >
          {graph.edges.map(([from, to, points]) => (
            <path class={critical?.edges.has(`${from}-${to}`) ? "edge critical" : "edge"} d={route(points)} />
          ))}
          {tasks.map((task, i) => {
            const [x, y] = graph.nodes[i]!;
            return (
              <g role="listitem" transform={`translate(${PAD + x * STEP.x} ${PAD + y * STEP.y})`}>
                <title>{`${task.name}: ${label(task.status)}${task.reasons?.[0] ? ` (${task.reasons[0]})` : ""}`}</title>
                <a
                  href={to(task.name)}
                  class={`node is-${task.status} ${critical?.tasks.has(i) ? "critical" : ""}`}
                >
                  <rect width={NODE.width} height={NODE.height} rx="7" />
                  <text class="glyph" aria-hidden="true" x="15" y="19.5" text-anchor="middle">
                    {glyph(task.status)}
                  </text>
                  <text x="28" y="19.5">
                    {short(task.name)}
                  </text>
                </a>
              </g>
            );
          })}
        </svg>
      </div>
    </figure>
  );
}

/** Cut the middle out of a long name: the end of an instance's name distinguishes it from the others. */
export function short(name: string): string {
  return name.length <= 25 ? name : `${name.slice(0, 9)}…${name.slice(-12)}`;
}

/** An edge through its points: a bend from column to column, and straight past what stands in between. */
export function route(points: [number, number][]): string {
  const middle = (y: number) => PAD + y * STEP.y + NODE.height / 2;
  const left = (x: number) => PAD + x * STEP.x;
  let [x0, y0] = [left(points[0]![0]) + NODE.width, middle(points[0]![1])];
  let path = `M${x0} ${y0}`;
  points.slice(1).forEach(([x, y], i) => {
    const [x1, y1] = [left(x), middle(y)];
    const bend = (x1 - x0) / 2;
    path += `C${x0 + bend} ${y0} ${x1 - bend} ${y1} ${x1} ${y1}`;
    [x0, y0] = [x1, y1];
    if (i < points.length - 2) {
      x0 += NODE.width;
      path += `H${x0}`;
    }
  });
  return path;
}
