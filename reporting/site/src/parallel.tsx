// Parallel coordinates: a line for each run through its parameters and metrics.
import type { JSX } from "preact";
import { series } from "./chart.tsx";
import { value } from "./format.ts";
import { range } from "./scale.ts";
import { DataTable } from "./ui.tsx";

export interface Axis {
  label: string;
  values: unknown[];
}

const WIDTH = 960;
const HEIGHT = 280;

export function Parallel({ axes, runs }: { axes: Axis[]; runs: string[] }): JSX.Element | null {
  if (axes.length < 2) return null;
  const x = (i: number) => 70 + (i / (axes.length - 1)) * (WIDTH - 140);
  const scales = axes.map(({ values }) => scale(values));
  return (
    <figure class="chart">
      <figcaption>
        {runs.map((run, i) => (
          <span class={`key ${series(i)}`}>{run}</span>
        ))}
      </figcaption>
      <div class="scroll" tabIndex={0} role="group" aria-label="Parallel coordinates">
        <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} class="timeline" width="100%" aria-hidden="true">
          {axes.map((axis, i) => (
            <g class="tick">
              <line x1={x(i)} x2={x(i)} y1="50" y2={HEIGHT - 34} />
              <text x={x(i)} y={i % 2 ? 25 : 11} text-anchor="middle">
                {axis.label.length > 26 ? `${axis.label.slice(0, 12)}…${axis.label.slice(-12)}` : axis.label}
              </text>
              <text x={x(i)} y={HEIGHT - 18} text-anchor="middle">
                {scales[i]!.low}
              </text>
              <text x={x(i)} y="44" text-anchor="middle">
                {scales[i]!.high}
              </text>
            </g>
          ))}
          {runs.map((run, r) => (
            <g class={series(r)}>
              <title>{run}</title>
              {paths(axes, scales, r, x).map((d) => (
                <path class="line" d={d} />
              ))}
            </g>
          ))}
        </svg>
      </div>
      <DataTable
        head={["run", ...axes.map((axis) => axis.label)]}
        rows={runs.map((run, r) => [run, ...axes.map((axis) => value(axis.values[r]))])}
      />
    </figure>
  );
}

interface Scale {
  low: string;
  high: string;
  at: (item: unknown) => number;
}

function scale(values: unknown[]): Scale {
  const numbers = values.filter((item): item is number => typeof item === "number");
  const foot = HEIGHT - 36;
  const along = (share: number) => foot - share * (foot - 52);
  if (
    numbers.length === values.filter((item) => item !== null && item !== undefined).length &&
    numbers.length > 0
  ) {
    const [low, high] = range(numbers);
    return { low: value(low), high: value(high), at: (item) => along(((item as number) - low) / (high - low)) };
  }
  const names = [...new Set(values.map(value))].sort();
  const step = Math.max(1, names.length - 1);
  return {
    low: names[0] ?? "",
    high: names.length > 1 ? names.at(-1)! : "",
    at: (item) => along(names.indexOf(value(item)) / step),
  };
}

/** Lines break where a run has no value. */
function paths(axes: Axis[], scales: Scale[], run: number, x: (i: number) => number): string[] {
  const found: string[] = [];
  let open = "";
  axes.forEach((axis, i) => {
    const item = axis.values[run];
    if (item === null || item === undefined || (typeof item === "number" && !Number.isFinite(item))) {
      if (open) found.push(open);
      open = "";
    } else open += `${open ? "L" : "M"}${x(i).toFixed(1)} ${scales[i]!.at(item).toFixed(1)}`;
  });
  return open ? [...found, open] : found;
}
