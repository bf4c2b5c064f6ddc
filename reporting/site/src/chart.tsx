// Lines and points over two axes, as SVG, with their numbers as a table.
import { type JSX } from "preact";
import { number } from "./format.ts";
import { DataTable } from "./ui.tsx";
import { nice } from "./timeline.tsx";

export interface Point {
  x: number;
  y: number;
  /** A point that is no new measurement is hollow. */
  hollow?: boolean;
  mark?: "worse" | "better" | undefined;
  title?: string;
  href?: string;
}

export interface Line {
  label: string;
  points: Point[];
}

interface Props {
  title: string;
  x: string;
  y: string;
  lines: Line[];
  /** No line between the points. */
  scatter?: boolean;
  showX?: (x: number) => string;
  tall?: boolean;
}

const WIDTH = 560;
const MARGIN = { left: 58, right: 14, top: 12, bottom: 34 };
const MOST = 1500;

export const series = (i: number): string => `series-${i % 8}`;

export function LineChart({ title, x: nameX, y: nameY, lines, scatter, showX = number, tall }: Props): JSX.Element {
  const height = tall ? 320 : 220;
  const known = lines.map((line) => ({ ...line, points: line.points.filter((point) => Number.isFinite(point.x) && Number.isFinite(point.y)) }));
  const all = known.flatMap((line) => line.points);
  const lineTitle = lines.length > 1 ? `${title}: ${lines.map((line) => line.label).join(", ")}` : title;
  if (all.length === 0) return <p class="note">{title}: no values.</p>;
  const room = scatter ? 0.06 : 0;
  const rangeX = range(all.map((point) => point.x), room);
  const rangeY = range(all.map((point) => point.y), room);
  const ticksY = ticks(rangeY, 5);
  const ticksX = ticks(rangeX, 6).filter((tick) => tick >= rangeX[0] && tick <= rangeX[1]);
  const lowY = Math.min(rangeY[0], ticksY[0] ?? rangeY[0]);
  const highY = Math.max(rangeY[1], ticksY.at(-1) ?? rangeY[1]);
  const x = (item: number) => MARGIN.left + ((item - rangeX[0]) / (rangeX[1] - rangeX[0])) * (WIDTH - MARGIN.left - MARGIN.right);
  const y = (item: number) => height - MARGIN.bottom - ((item - lowY) / (highY - lowY)) * (height - MARGIN.top - MARGIN.bottom);
  return (
    <figure class="chart">
      <figcaption>
        {title}
        {lines.length > 1 &&
          known.map((line, i) => (
            <span class={`key ${series(i)}`}>{line.label}</span>
          ))}
      </figcaption>
      <svg viewBox={`0 0 ${WIDTH} ${height}`} role="group" aria-label={lineTitle}>
        {ticksY.map((tick) => (
          <g class="tick">
            <line x1={MARGIN.left} x2={WIDTH - MARGIN.right} y1={y(tick)} y2={y(tick)} />
            <text x={MARGIN.left - 8} y={y(tick) + 4} text-anchor="end">
              {number(tick)}
            </text>
          </g>
        ))}
        {ticksX.map((tick) => (
          <text class="axis" x={x(tick)} y={height - MARGIN.bottom + 16} text-anchor="middle">
            {showX(tick)}
          </text>
        ))}
        <text class="axis name" x={WIDTH - MARGIN.right} y={height - 4} text-anchor="end">
          {nameX}
        </text>
        {known.map((line, i) => (
          <g class={series(i)}>
            {!scatter && line.points.length > 1 && <path class="line" d={`M${thin(line.points).map((point) => `${x(point.x).toFixed(1)} ${y(point.y).toFixed(1)}`).join("L")}`} />}
            {(scatter || line.points.length <= 200 ? line.points : []).map((point) => (
              <Mark point={point} x={x(point.x)} y={y(point.y)} />
            ))}
          </g>
        ))}
      </svg>
      <DataTable head={[nameX, ...(lines.length > 1 ? ["line"] : []), nameY]} rows={known.flatMap((line) => line.points.map((point) => [showX(point.x), ...(lines.length > 1 ? [line.label] : []), `${number(point.y)}${point.hollow ? " (reused)" : ""}${point.mark ? ` (${point.mark})` : ""}`]))} />
    </figure>
  );
}

function Mark({ point, x, y }: { point: Point; x: number; y: number }): JSX.Element {
  const shape = (
    <>
      {point.title && <title>{point.title}</title>}
      {point.mark && <path class={`mark is-${point.mark}`} d={point.mark === "worse" ? `M${x - 6} ${y + 8}h12l-6 9z` : `M${x - 6} ${y - 8}h12l-6 -9z`} />}
      <circle class={point.hollow ? "point hollow" : "point"} cx={x} cy={y} r={point.mark ? 4.5 : 3.2} />
    </>
  );
  return point.href ? (
    <a href={point.href} aria-label={point.title ?? number(point.y)}>
      {shape}
    </a>
  ) : (
    <g>{shape}</g>
  );
}

/** From the least to the most, with some room around them. */
export function range(values: readonly number[], room = 0): [number, number] {
  let [low, high] = [Infinity, -Infinity];
  for (const item of values) {
    if (item < low) low = item;
    if (item > high) high = item;
  }
  if (low === high) return low === 0 ? [-1, 1] : [low - Math.abs(low) * 0.05, high + Math.abs(high) * 0.05];
  return [low - (high - low) * room, high + (high - low) * room];
}

export function ticks([low, high]: [number, number], count: number): number[] {
  const step = nice((high - low) / count);
  const found: number[] = [];
  for (let i = Math.floor(low / step); i * step <= high + step * 0.999; i++) found.push(Number((i * step).toPrecision(12)));
  return found.filter((tick) => tick >= low - step && tick <= high + step);
}

/** Keep the extremes of each of many stretches, so that a long line keeps its shape. */
export function thin(points: readonly Point[]): readonly Point[] {
  if (points.length <= MOST) return points;
  const size = Math.ceil(points.length / (MOST / 2));
  const kept: Point[] = [];
  for (let start = 0; start < points.length; start += size) {
    const part = points.slice(start, start + size);
    const low = part.reduce((a, b) => (b.y < a.y ? b : a));
    const high = part.reduce((a, b) => (b.y > a.y ? b : a));
    kept.push(...(low.x <= high.x ? [low, high] : [high, low]));
  }
  return kept;
}
