// The tasks of a run and what they need, where the build of the site laid them out.
import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { useContent } from "./chunks.ts";
import type { Critical } from "./critical.ts";
import { countsOf, foldedNodes, type Node, pathOf } from "./folding.ts";
import type { Folded, Graph } from "./model.ts";
import { glyph, label } from "./ui.tsx";

export const NODE = { width: 206, height: 30 };
export const STEP = { x: 256, y: 42 };
export const PAD = 10;

interface Props {
  graph: Graph;
  tasks: { name: string; status: string; reasons?: string[] }[];
  critical?: Critical;
  /** Its families, where there are any. */
  folded?: string | undefined;
  /** The address of a task. */
  to: (task: string) => string;
}

/** Beyond this many tasks, families are folded at first. */
const MANY = 30;
const SEARCHED = 8;

export function GraphView({ graph: whole, tasks, critical, folded: ref, to }: Props): JSX.Element {
  const [folds, setFolds] = useState(tasks.length > MANY);
  const [fits, setFits] = useState(false);
  const [over, setOver] = useState(false);
  const [text, setText] = useState("");
  const place = useRef<HTMLDivElement>(null);
  const loaded = useContent<Folded>(ref);
  const folded = folds && loaded && !(loaded instanceof Error) ? loaded : undefined;
  const graph = folded?.graph ?? whole;
  const nodes: Node[] = folded
    ? foldedNodes(folded.groups, tasks)
    : tasks.map((task, i) => ({ ...task, text: task.name, task: task.name, tasks: [i] }));
  const width = Math.max(0, graph.width - 1) * STEP.x + NODE.width + 2 * PAD;
  const height = Math.max(0, graph.height - 1) * STEP.y + NODE.height + 2 * PAD;
  useLayoutEffect(
    () => setOver(place.current!.scrollWidth > place.current!.clientWidth + 1 || fits),
    [width, fits],
  );
  const wanted = text.trim().toLowerCase();
  const isFound = (node: Node) => node.tasks.some((number) => tasks[number]!.name.toLowerCase().includes(wanted));
  const found = wanted ? nodes.filter(isFound) : nodes;
  useEffect(() => {
    if (wanted) place.current!.querySelector(".found")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [wanted, folds]);
  const isCritical = (node: Node) => node.tasks.some((number) => critical?.tasks.has(number));
  const path = pathOf(nodes, critical);
  return (
    <figure class="graph">
      <div class="bar" hidden={tasks.length <= SEARCHED && !ref && !over}>
        {tasks.length > SEARCHED && (
          <label>
            <span class="hidden">Find in the graph</span>
            <input
              type="search"
              placeholder="Find a task"
              value={text}
              onInput={(event) => setText(event.currentTarget.value)}
            />
          </label>
        )}
        {wanted && (
          <span class="note" role="status">
            {found.length} of {nodes.length}
          </span>
        )}
        {ref && (
          <button type="button" aria-pressed={folds} onClick={() => setFolds(!folds)}>
            Instances together
          </button>
        )}
        {over && (
          <button type="button" aria-pressed={fits} onClick={() => setFits(!fits)}>
            Fit the width
          </button>
        )}
      </div>
      <div class="scroll" ref={place} tabIndex={0} role="group" aria-label="Graph of the tasks">
        <svg
          viewBox={`0 0 ${width} ${height}`}
          width={fits ? "100%" : width}
          height={fits ? undefined : height}
          role="list"
        >
          {graph.edges.map(([from, end, points]) => (
            <path class={path.has(`${from}-${end}`) ? "edge critical" : "edge"} d={route(points)} />
          ))}
          {nodes.map((node, i) => {
            const [x, y] = graph.nodes[i]!;
            const members = node.tasks.map((number) => tasks[number]!);
            const why = node.reasons?.[0] ? ` (${node.reasons[0]})` : "";
            return (
              <g
                role="listitem"
                class={wanted ? (isFound(node) ? "found" : "lost") : ""}
                transform={`translate(${PAD + x * STEP.x} ${PAD + y * STEP.y})`}
              >
                <title>{`${node.text}: ${members.length > 1 ? countsOf(members, label) : label(node.status)}${why}`}</title>
                <a href={to(node.task)} class={`node is-${node.status} ${isCritical(node) ? "critical" : ""}`}>
                  {members.length > 1 && (
                    <rect class="behind" x="4" y="4" width={NODE.width} height={NODE.height} rx="7" />
                  )}
                  <rect width={NODE.width} height={NODE.height} rx="7" />
                  <text class="glyph" aria-hidden="true" x="15" y="19.5" text-anchor="middle">
                    {glyph(node.status)}
                  </text>
                  <text x="28" y="19.5">
                    {short(node.text)}
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
