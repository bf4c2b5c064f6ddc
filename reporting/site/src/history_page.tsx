// A task's metrics and durations from run to run: hits hollow, regressions marked against the values before them.
import type { JSX } from "preact";
import { LineChart, type Point } from "./chart.tsx";
import { Commit } from "./columns.tsx";
import { Copy } from "./copy.tsx";
import { number, seconds, time } from "./format.ts";
import { Guarded } from "./guarded.tsx";
import { JudgementLinks, useJudgements } from "./judgements.tsx";
import { columnId, type Index, type JudgementRow, type RunRow, type StoredColumn, statusOf } from "./model.ts";
import { valuesOf } from "./numbers.ts";
import { Older } from "./older.tsx";
import { durationMarks, marks } from "./regress.ts";
import { changed, type Route, replace, taskHref } from "./route.ts";
import { useColumns, useMatrix } from "./shards.ts";
import { BranchSelect, Waiting } from "./ui.tsx";
import { commands, regression } from "./what_changed.ts";

export function HistoryPage({ index, route }: { index: Index; route: Route }): JSX.Element {
  const tasks = [
    ...new Set(
      index.columns
        .filter((column) => column.kind === "metrics" || column.kind === "duration")
        .map((column) => column.task),
    ),
  ];
  const withMetrics =
    index.columns.find((column) => index.declared.has(column.name)) ??
    index.columns.find((column) => column.kind === "metrics");
  const task = route.query.get("task") ?? withMetrics?.task ?? tasks[0];
  const branches = [...new Set(index.newest.map((run) => run.branch ?? ""))].filter(Boolean).sort();
  const branch = route.query.get("branch") ?? "";
  const axis = route.query.get("x") ?? "run";
  const columns = index.columns
    .filter((column) => column.task === task && !column.series && ["metrics", "duration"].includes(column.kind))
    .sort(
      (a, b) =>
        Number(index.declared.has(b.name)) - Number(index.declared.has(a.name)) ||
        Number(a.kind === "duration") - Number(b.kind === "duration"),
    );
  const values = useColumns(index, columns);
  const matrix = useMatrix(index);
  const judgements = useJudgements(index).filter((row) => row.task === task);
  const set = (changes: Record<string, string | undefined>) => replace(changed(route, changes));
  const runs = [...index.newest].reverse().filter((run) => !branch || run.branch === branch);
  return (
    <>
      <div class="head">
        <h1>History</h1>
      </div>
      <div class="bar">
        <label>
          Task{" "}
          <select value={task} onChange={(event) => set({ task: event.currentTarget.value })}>
            {tasks.map((name) => (
              <option>{name}</option>
            ))}
          </select>
        </label>
        <BranchSelect branch={branch} branches={branches} to={(branch) => set({ branch })} />
        <label>
          Over{" "}
          <select value={axis} onChange={(event) => set({ x: event.currentTarget.value })}>
            <option value="run">runs</option>
            <option value="commit">commits</option>
            <option value="time">time</option>
          </select>
        </label>
        <Older index={index} />
      </div>
      {task === undefined ? (
        <p class="note">No run has logged a metric.</p>
      ) : !Array.isArray(values) || matrix === undefined || matrix instanceof Error ? (
        <Waiting error={values instanceof Error ? values : (matrix as undefined)} what="The history" />
      ) : (
        <div class="grid">
          {columns.map((column, i) => (
            <Guarded what={column.name || "duration"} key={columnId(column)}>
              <ColumnChart
                index={index}
                column={column}
                values={valuesOf(column, values[i]!)}
                letters={matrix.find(([name]) => name === task)?.[1] ?? ""}
                runs={runs}
                axis={axis}
                judgements={
                  column.kind === "metrics" ? judgements.filter((row) => row.metric === column.name) : []
                }
              />
            </Guarded>
          ))}
        </div>
      )}
    </>
  );
}

interface ChartProps {
  index: Index;
  column: StoredColumn;
  values: unknown[];
  letters: string;
  runs: RunRow[];
  axis: string;
  judgements: readonly JudgementRow[];
}

function ColumnChart({ index, column, values, letters, runs, axis, judgements }: ChartProps): JSX.Element {
  const known = runs.filter((run) => typeof values[run.number] === "number");
  const measured = known.map((run) => ({
    value: values[run.number] as number,
    reused: ["up_to_date", "restored"].includes(statusOf(letters[run.number]) ?? ""),
  }));
  const declared = index.declared.get(column.name);
  const found =
    column.kind === "duration"
      ? durationMarks(
          measured.map((one, i) => ({ ...one, reused: statusOf(letters[known[i]!.number]) !== "ran" })),
        )
      : marks(measured, declared);
  const commits = [...new Set(runs.map((run) => run.commit ?? run.id))];
  const place = new Map(commits.map((commit, i) => [commit, i]));
  const order = new Map(runs.map((run, i) => [run, i]));
  const x = (run: RunRow) =>
    axis === "time" ? run.started : axis === "commit" ? place.get(run.commit ?? run.id)! : order.get(run)!;
  const oneDay = runs.length > 0 && runs.at(-1)!.started - runs[0]!.started < 172_800_000;
  const oneYear = runs.length > 0 && time(runs.at(-1)!.started).slice(0, 4) === time(runs[0]!.started).slice(0, 4);
  const day = (at: number) => (oneDay ? time(at).slice(11) : time(at).slice(oneYear ? 5 : 0, 10));
  const show = (at: number) =>
    axis === "time"
      ? day(at)
      : !Number.isInteger(at)
        ? ""
        : axis === "commit"
          ? (commits[at]?.slice(0, 7) ?? "")
          : runs[at]
            ? day(runs[at].started)
            : "";
  const points: Point[] = known.map((run, i) => ({
    x: x(run),
    y: measured[i]!.value,
    hollow: measured[i]!.reused,
    mark: found[i],
    href: taskHref(run.id, column.task),
    title: `${number(measured[i]!.value)}, ${time(run.started)}, ${run.branch ?? ""} ${run.commit?.slice(0, 8) ?? ""}${measured[i]!.reused ? ", reused" : ""}${found[i] ? `, ${found[i]}` : ""}`,
  }));
  const byHref = new Map(points.map((point, i) => [point.href!, known[i]!]));
  const title =
    column.kind === "duration"
      ? "duration in seconds"
      : `${column.name}${declared?.direction ? ` (${declared.direction} is better)` : ""}`;
  const last = known.at(-1);
  const worse =
    column.kind === "metrics"
      ? regression(
          known,
          found,
          measured.map((one) => one.reused),
        )
      : undefined;
  return (
    <div class="card" id={columnId(column)}>
      <LineChart
        title={title}
        x={axis === "run" ? "run" : axis}
        y={column.name || "seconds"}
        lines={[{ label: column.name, points }]}
        showX={show}
        isTime={axis === "time"}
        more={{
          head: ["started", "branch", "commit"],
          of: ({ href }) => {
            const run = byHref.get(href!)!;
            return [
              {
                shown: <a href={taskHref(run.id, column.task)}>{time(run.started)}</a>,
                raw: new Date(run.started).toISOString(),
              },
              { shown: run.branch, raw: run.branch },
              { shown: <Commit run={run} />, raw: run.commit },
            ];
          },
        }}
      />
      {last && (
        <p class="note">
          Last:{" "}
          <b>
            {column.kind === "duration"
              ? seconds(values[last.number] as number)
              : number(values[last.number] as number)}
          </b>
          , {time(last.started)}
        </p>
      )}
      {worse && (
        <p class="note">
          Worse in the run of {time(worse.after.started)}. Copy a command that finds out why:{" "}
          {commands(column.task, column.name, worse.before, worse.after).map(([what, text]) => (
            <Copy key={what} what={what} text={text} />
          ))}
        </p>
      )}
      <JudgementLinks rows={judgements} label={`What was blamed for ${column.name}`} />
    </div>
  );
}
