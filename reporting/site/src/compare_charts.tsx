// The compared runs in charts: scatter of any two values, parallel coordinates, series laid over each other.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { type Line, LineChart } from "./chart.tsx";
import { useChunks } from "./chunks.ts";
import { type Colours, seriesColour } from "./colours.ts";
import { axesOf, type Compared, type Row } from "./compare.ts";
import { value } from "./format.ts";
import type { Detail, Series } from "./model.ts";
import { numeric } from "./numbers.ts";
import { Parallel } from "./parallel.tsx";
import { runHref } from "./route.ts";
import { Scatter } from "./scatter.tsx";
import { Menu } from "./ui.tsx";

const name = (row: Row | undefined): string => (row ? `${row.name} · ${row.task}` : "");

export function Charts({
  index,
  runs,
  details,
  labels,
  params,
  metrics,
}: Compared & { params: Row[]; metrics: Row[] }): JSX.Element {
  const rows = [...params, ...metrics];
  const numbers = rows.filter((row) => row.values.filter((item) => typeof item === "number").length > 1);
  const differing = numbers.filter((row) => row.differs);
  const declared = (row: Row) => index.declared.has(row.name);
  const [x, setX] = useState(name(differing[0] ?? numbers[0]));
  const [y, setY] = useState(name(differing.find(declared) ?? differing.at(-1) ?? numbers.at(-1)));
  const [axes, setAxes] = useState(() => axesOf(params, metrics, declared).map(name));
  const find = (wanted: string) => numbers.find((row) => name(row) === wanted);
  const [rowX, rowY] = [find(x), find(y)];
  const colours: Colours = {
    of: labels.map((_, i) => seriesColour(i)),
    names: labels.map((text, i) => ({ text, colour: seriesColour(i) })),
  };
  return (
    <>
      <h2>Scatter</h2>
      {numbers.length === 0 && <p class="note">No number is known of two of these runs.</p>}
      <div class="bar" hidden={numbers.length === 0}>
        {[[x, setX, "Across"] as const, [y, setY, "Up"] as const].map(([at, set, label]) => (
          <label>
            {label}{" "}
            <select value={at} onChange={(event) => set(event.currentTarget.value)}>
              {numbers.map((row) => (
                <option>{name(row)}</option>
              ))}
            </select>
          </label>
        ))}
      </div>
      {rowX && rowY && (
        <div class="narrow">
          <Scatter
            x={{ id: x, label: x, values: rowX.values }}
            y={{ id: y, label: y, values: rowY.values }}
            colours={colours}
            told={(i) => `${labels[i]}: ${value(rowY.values[i])}, ${value(rowX.values[i])}`}
            leads={(i) => runHref(runs[i]!.id)}
            chosen={() => true}
            title={`${y} over ${x}`}
          />
        </div>
      )}
      <h2>Parallel coordinates</h2>
      {rows.filter((row) => row.differs).length > 1 ? (
        <>
          <Menu label={`Axes (${axes.length})`}>
            <div class="scroll chooser">
              {rows
                .filter((row) => row.differs)
                .map((row) => (
                  <label class="check">
                    <input
                      type="checkbox"
                      checked={axes.includes(name(row))}
                      onChange={() =>
                        setAxes(
                          axes.includes(name(row))
                            ? axes.filter((one) => one !== name(row))
                            : [...axes, name(row)],
                        )
                      }
                    />
                    {name(row)}
                  </label>
                ))}
            </div>
          </Menu>
          <Parallel
            axes={axes.flatMap((wanted) => {
              const row = rows.find((one) => name(one) === wanted);
              return row ? [{ id: wanted, label: wanted, values: row.values }] : [];
            })}
            colours={colours}
            told={(i) => labels[i]!}
            leads={(i) => runHref(runs[i]!.id)}
          />
        </>
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
        if (!charts.has(key))
          charts.set(
            key,
            labels.map((label) => ({ label, points: [] })),
          );
        charts.get(key)![run]!.points = list.flatMap(([step, item], i) =>
          numeric(item) === undefined ? [] : [{ x: step ?? i, y: numeric(item)! }],
        );
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
