// A line without axes, for a cell of a table: how a value went, not how large it is.
import type { JSX } from "preact";
import { range, thin } from "./scale.ts";

const [WIDTH, HEIGHT, EDGE] = [110, 24, 3];

export function Sparkline({ values, label }: { values: readonly number[]; label: string }): JSX.Element | null {
  if (values.length < 2) return null;
  const [low, high] = range([0, ...values]);
  const x = (i: number) => EDGE + (i / (values.length - 1)) * (WIDTH - 2 * EDGE);
  const y = (item: number) => HEIGHT - EDGE - ((item - low) / (high - low)) * (HEIGHT - 2 * EDGE);
  const points = thin(values.map((item, i) => ({ x: x(i), y: y(item) })));
  return (
    <svg class="spark" width={WIDTH} height={HEIGHT} role="img" aria-label={label}>
      <path class="line" d={`M${points.map((one) => `${one.x.toFixed(1)} ${one.y.toFixed(1)}`).join("L")}`} />
      <circle class="point" cx={x(values.length - 1)} cy={y(values.at(-1)!)} r="2.5" />
    </svg>
  );
}
