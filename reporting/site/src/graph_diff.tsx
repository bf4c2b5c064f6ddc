// The graphs of two runs in one drawing: what the second has more, what it has no longer, and whose key is another.
import type { JSX } from "preact";
import type { GraphChange, MergedGraph } from "./compare.ts";
import { NODE, PAD, route, STEP, short } from "./graph.tsx";

const WORDS: Record<GraphChange, [glyph: string, words: string]> = {
  added: ["+", "only in the second"],
  removed: ["−", "only in the baseline"],
  keyed: ["≠", "another key"],
  same: ["", "the same"],
};

export function GraphDiff({ graph, label }: { graph: MergedGraph; label: string }): JSX.Element {
  const { nodes, places } = graph;
  const width = (places.width - 1) * STEP.x + NODE.width + 2 * PAD;
  const height = (places.height - 1) * STEP.y + NODE.height + 2 * PAD;
  const changes = (["added", "removed", "keyed", "same"] as const).filter((change) =>
    nodes.some((node) => node.change === change),
  );
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
          {places.edges.map(([, , points], i) => (
            <path class={`edge is-${graph.changes[i]!}`} d={route(points)} />
          ))}
          {nodes.map((node, i) => (
            <g
              role="listitem"
              class={`node is-${node.change}`}
              transform={`translate(${PAD + places.nodes[i]![0] * STEP.x} ${PAD + places.nodes[i]![1] * STEP.y})`}
            >
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
