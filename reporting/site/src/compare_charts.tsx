// The compared runs in charts: scatter of any two values, parallel coordinates, series laid over each other.
import { type JSX } from "preact";
import { useState } from "preact/hooks";
import { LineChart, type Line } from "./chart.tsx";
import { useChunks } from "./chunks.ts";
import { type Row } from "./compare.ts";
import { type Compared } from "./compare_page.tsx";
import { type Detail, type Series } from "./model.ts";
import { Parallel } from "./parallel.tsx";

const name = (row: Row): string => `${row.name} · ${row.task}`;

export function Charts({ index, details, labels, rows }: Compared & { rows: Row[] }): JSX.Element {
  const numeric = rows.filter((row) => row.values.filter((item) => typeof item === "number").length > 1);
  const differing = numeric.filter((row) => row.differs);
  const [x, setX] = useState(name(differing[0] ?? numeric[0] ?? rows[0]!));
  const [y, setY] = useState(name(differing.find((row) => index.declared.has(row.name)) ?? differing.at(-1) ?? numeric.at(-1) ?? rows[0]!));
  const find = (wanted: string) => numeric.find((row) => name(row) === wanted);
  const [rowX, rowY] = [find(x), find(y)];
  const scatter: Line[] = labels.map((label, i) => ({
    label,
    points: typeof rowX?.values[i] === "number" && typeof rowY?.values[i] === "number" ? [{ x: rowX.values[i], y: rowY.values[i], title: label }] : [],
  }));
  return (
    <>
      <h2>Scatter</h2>
      <div class="bar">
        {[[x, setX, "Across"] as const, [y, setY, "Up"] as const].map(([at, set, label]) => (
          <label>
            {label}{" "}
            <select value={at} onChange={(event) => set(event.currentTarget.value)}>
              {numeric.map((row) => (
                <option>{name(row)}</option>
              ))}
            </select>
          </label>
        ))}
      </div>
      <div class="narrow">
        <LineChart title={`${y} over ${x}`} x={rowX?.name ?? ""} y={rowY?.name ?? ""} lines={scatter} scatter tall />
      </div>
      <h2>Parallel coordinates</h2>
      {differing.length > 1 ? (
        <Parallel axes={rows.filter((row) => row.differs).slice(0, 10).map((row) => ({ label: name(row), values: row.values }))} runs={labels} />
      ) : (
        <p class="note">Fewer than two values differ.</p>
      )}
      <h2>Series</h2>
      <SeriesOver details={details} labels={labels} />
    </>
  );
}

function SeriesOver({ details, labels }: Pick<Compared, "details" | "labels">): JSX.Element {
  const refs = details.map((run) => run.tasks.map((task) => ({ task: task.name, ref: task.detail })));
  const loaded = useChunks<Detail>(refs.flat().map(({ ref }) => `content/${ref}`));
  const found = Array.isArray(loaded) ? loaded : [];
  const wanted = [...new Set(found.flatMap((detail) => detail.series ?? []))];
  const series = useChunks<Series>(wanted.map((ref) => `content/${ref}`));
  if (!Array.isArray(series) || !Array.isArray(loaded)) return <p class="note">Loading …</p>;
  if (wanted.length === 0) return <p class="note">No task logged more than last values.</p>;
  const byRef = new Map(wanted.map((ref, i) => [ref, series[i]!]));
  const charts = new Map<string, Line[]>();
  let at = 0;
  refs.forEach((tasks, run) => {
    for (const { task } of tasks) {
      const points = byRef.get(found[at++]!.series ?? "");
      for (const [metric, list] of Object.entries(points ?? {})) {
        const key = `${metric} · ${task}`;
        if (!charts.has(key)) charts.set(key, labels.map((label) => ({ label, points: [] })));
        charts.get(key)![run]!.points = list.flatMap(([step, item], i) => (typeof item === "number" ? [{ x: step ?? i, y: item }] : []));
      }
    }
  });
  return (
    <div class="grid">
      {[...charts].map(([key, lines]) => (
        <LineChart title={key} x="step" y={key} lines={lines} />
      ))}
    </div>
  );
}
