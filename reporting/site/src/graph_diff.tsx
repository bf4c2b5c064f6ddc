// The graphs of two runs in one drawing: what the second has more, what it has no longer, and whose key is another.
import { type JSX } from "preact";
import { type GraphChange, type MergedGraph } from "./compare.ts";
import { NODE, PAD, short, STEP } from "./graph.tsx";

const WORDS: Record<GraphChange, [glyph: string, words: string]> = {
  added: ["+", "only in the second"],
  removed: ["−", "only in the baseline"],
  keyed: ["≠", "another key"],
  same: ["", "the same"],
};

export function GraphDiff({ graph, label }: { graph: MergedGraph; label: string }): JSX.Element {
  const layers = Math.max(...graph.nodes.map((node) => node.layer)) + 1;
  const rows = Math.max(...graph.nodes.map((node) => node.row)) + 1;
  const width = (layers - 1) * STEP.x + NODE.width + 2 * PAD;
  const height = (rows - 1) * STEP.y + NODE.height + 2 * PAD;
  const place = (number: number) => ({ x: PAD + graph.nodes[number]!.layer * STEP.x, y: PAD + graph.nodes[number]!.row * STEP.y });
  const changes = (["added", "removed", "keyed", "same"] as const).filter((change) => graph.nodes.some((node) => node.change === change));
  return (
    <figure class="graph">
      <figcaption class="legend">
        {changes.map((change) => (
          <span class={`key is-${change}`}>
            {WORDS[change][0]} {WORDS[change][1]}
          </span>
        ))}
      </figcaption>
      <div class="scroll" tabIndex={0} role="group" aria-label={label}>
        <svg viewBox={`0 0 ${width} ${height}`} width={width} height={height} role="list">
          {graph.edges.map((edge) => {
            const [from, to] = [place(edge.from), place(edge.to)];
            const [x0, y0, y1] = [from.x + NODE.width, from.y + NODE.height / 2, to.y + NODE.height / 2];
            const bend = Math.abs(to.x - x0) / 2;
            return <path class={`edge is-${edge.change}`} d={`M${x0} ${y0}C${x0 + bend} ${y0} ${to.x - bend} ${y1} ${to.x} ${y1}`} />;
          })}
          {graph.nodes.map((node, i) => (
            <g role="listitem" class={`node is-${node.change}`} transform={`translate(${place(i).x} ${place(i).y})`}>
              <title>{`${node.name}: ${WORDS[node.change][1]}`}</title>
              <rect width={NODE.width} height={NODE.height} rx="7" />
              <text class="glyph" aria-hidden="true" x="15" y="19.5" text-anchor="middle">
                {WORDS[node.change][0]}
              </text>
              <text x="28" y="19.5">
                {short(node.name)}
              </text>
            </g>
          ))}
        </svg>
      </div>
    </figure>
  );
}
