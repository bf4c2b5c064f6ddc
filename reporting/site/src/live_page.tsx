// The run under way: how far it is, what runs and prints, what failed, its graph and its timeline.
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { age, seconds, time } from "./format.ts";
import { GraphView } from "./graph.tsx";
import { type LiveAttempt, type LiveRun, type LiveStatus, type LiveTask, over, waiting } from "./live.ts";
import { Progress as CellProgress, Connection, Failure, Tail } from "./live_task.tsx";
import type { Attempt, Graph, Index, Task } from "./model.ts";
import { changed, href, type Route, runHref } from "./route.ts";
import { useNow, useStream } from "./stream.ts";
import { Timeline } from "./timeline.tsx";
import { Badge, Facts, STATUSES, Tabs, Waiting } from "./ui.tsx";

const ORDER: readonly LiveStatus[] = [
  ...STATUSES.filter((status) => status !== "up_to_date"),
  "up_to_date",
  "running",
  "queued",
  "waiting",
];
const NONE = new Set<number>();

export const liveHref = (task: string): string => href(["live", "task", task]);

export function LivePage({ index, route }: { index: Index; route: Route }): JSX.Element {
  const { run, connected, complaint } = useStream();
  const underWay = run?.started !== undefined && run.ended === undefined && connected;
  const now = useNow(underWay);
  if (!run?.started) {
    return (
      <>
        <h1>Live</h1>
        <Connection lost={!connected} />
        <Complaint text={complaint} />
        <p class="note">No build has begun yet.</p>
      </>
    );
  }
  const tasks = [...run.tasks.values()];
  return (
    <>
      <div class="head">
        <h1>{run.ended === undefined ? "Building" : "Last build"}</h1>
        <Badge of={run.result ?? "running"} />
        {run.ended !== undefined && index.byId.has(run.id) && (
          <a class="button" href={runHref(run.id)}>
            Open in the report
          </a>
        )}
      </div>
      <Connection lost={!connected} />
      <Complaint text={complaint} />
      <Facts
        rows={[
          ["Run", <span class="mono">{run.id}</span>],
          ["Started", time(run.started)],
          [
            "Duration",
            run.ended === undefined ? age(now - run.started) : seconds((run.ended - run.started) / 1000),
          ],
        ]}
      />
      {tasks.length === 0 ? (
        <p>Everything was up to date.</p>
      ) : (
        <Under run={run} tasks={tasks} now={now} route={route} />
      )}
    </>
  );
}

/** The reason that no build can begin, such as a fault in `pipeline.toml`. */
function Complaint({ text }: { text: string }): JSX.Element {
  return (
    <div role="alert" aria-label="Complaint">
      {text && <pre class="text complaint">{text}</pre>}
    </div>
  );
}

function Under({
  run,
  tasks,
  now,
  route,
}: {
  run: LiveRun;
  tasks: LiveTask[];
  now: number;
  route: Route;
}): JSX.Element {
  const view = route.query.get("view") ?? "graph";
  const running = tasks.filter((task) => task.status === "running");
  const failed = tasks.filter((task) => task.status === "failed");
  return (
    <>
      <Progress run={run} tasks={tasks} />
      <section aria-label="Failures" aria-live="polite">
        {failed.map((task) => (
          <article class="live failed">
            <Title task={task} />
            <Failure attempt={task.attempts.at(-1)} lines={12} />
          </article>
        ))}
      </section>
      <section aria-label="Running tasks" class="lives">
        {running.map((task) => (
          <article class="live">
            <Title task={task} attempt={task.attempts.at(-1)!} now={now} />
            <CellProgress attempt={task.attempts.at(-1)!} now={now} />
            <Tail attempt={task.attempts.at(-1)!} label={`Output of ${task.name}`} />
          </article>
        ))}
      </section>
      <Tabs
        label="Views of the run"
        at={view}
        to={(id) => changed(route, { view: id === "graph" ? undefined : id })}
        tabs={[
          { id: "graph", label: "Graph" },
          {
            id: "timeline",
            label: "Timeline",
            count: tasks.filter((task) => task.attempts.length || task.waits).length,
          },
          { id: "tasks", label: "Tasks", count: tasks.length },
        ]}
      />
      {view === "graph" && <LiveGraph run={run} tasks={tasks} />}
      {view === "timeline" && (
        <Timeline
          tasks={tasks.map((task) => recorded(task, now))}
          run={{ started: run.started!, seconds: ((run.ended ?? now) - run.started!) / 1000 }}
          critical={NONE}
          to={liveHref}
        />
      )}
      {view === "tasks" && <TaskTable tasks={tasks} now={now} />}
    </>
  );
}

/** How many tasks are where: as a bar, and in words. */
function Progress({ run, tasks }: { run: LiveRun; tasks: LiveTask[] }): JSX.Element {
  const counts = new Map<LiveStatus, number>();
  for (const task of tasks) counts.set(task.status, (counts.get(task.status) ?? 0) + 1);
  const done = tasks.filter(over).length;
  const shown = ORDER.filter((status) => counts.has(status));
  useEffect(() => {
    document.title =
      run.ended === undefined ? `${done}/${tasks.length} · ${run.pipeline}` : `${run.result} · ${run.pipeline}`;
  }, [done, run, run.ended]);
  return (
    <div class="progress">
      <div
        class="bars"
        role="progressbar"
        aria-label="Tasks that have ended"
        aria-valuenow={done}
        aria-valuemin={0}
        aria-valuemax={tasks.length}
      >
        {shown.map((status) => (
          <span class={`is-${status}`} style={{ flexGrow: counts.get(status)! }} />
        ))}
      </div>
      <p class="legend" role="status">
        <b>
          {done} of {tasks.length}
        </b>
        {shown.map((status) => (
          <Badge of={status} text={`${counts.get(status)} ${status.replaceAll("_", " ")}`} />
        ))}
      </p>
    </div>
  );
}

function Title({ task, attempt, now }: { task: LiveTask; attempt?: LiveAttempt; now?: number }): JSX.Element {
  return (
    <h2>
      <Badge of={task.status} text="" />
      <a href={liveHref(task.name)}>{task.name}</a>
      {attempt && attempt.n > 1 && <span class="tag">attempt {attempt.n}</span>}
      {attempt && now !== undefined && (
        <small>
          {age(now - attempt.start)}
          {task.before !== undefined && ` of about ${seconds(task.before / 1000)}`}
        </small>
      )}
    </h2>
  );
}

function LiveGraph({ run, tasks }: { run: LiveRun; tasks: LiveTask[] }): JSX.Element {
  const [graph, set] = useState<Graph | Error>();
  useEffect(() => {
    let current = true;
    const done = (value: Graph | Error) => current && set(value);
    fetch(`live/graph/${encodeURIComponent(run.id)}`)
      .then((answer) => answer.json() as Promise<Graph>)
      .then(done, done);
    return () => {
      current = false;
    };
  }, [run.id, run.joins]);
  const fits = graph && !(graph instanceof Error) && graph.nodes.length === tasks.length;
  return fits ? (
    <GraphView graph={graph} tasks={tasks} to={liveHref} />
  ) : (
    <Waiting error={graph instanceof Error ? graph : undefined} what="The graph" />
  );
}

/** A task as the record will have it; what is still running ends now. */
function recorded(task: LiveTask, now: number): Task {
  const attempts: Attempt[] = task.attempts.map(({ n, outcome, start, end, waited }) => ({
    n,
    outcome,
    start,
    more: "",
    ...(end && { end }),
    ...(waited && { pool: waited.pool, poolWait: (start - waited.since) / 1000 }),
  }));
  if (task.waits) {
    const { pool, since: start } = task.waits;
    attempts.push({ n: attempts.length + 1, outcome: "waiting", start, pool, more: "" });
  }
  return {
    name: task.name,
    family: task.name,
    status: task.status as Task["status"],
    detail: "",
    attempts,
    ...(attempts[0] && { start: attempts[0].start, end: attempts.at(-1)!.end ?? now }),
  };
}

function TaskTable({ tasks, now }: { tasks: LiveTask[]; now: number }): JSX.Element {
  return (
    <div class="scroll" tabIndex={0} role="group" aria-label="Tasks">
      <table class="plain tasks">
        <thead>
          <tr>
            <th scope="col">Task</th>
            <th scope="col">Status</th>
            <th scope="col" class="num">
              Took
            </th>
            <th scope="col">Why</th>
          </tr>
        </thead>
        <tbody>
          {tasks.map((task) => {
            const last = task.attempts.at(-1);
            return (
              <tr>
                <th scope="row">
                  <a href={liveHref(task.name)}>{task.name}</a>
                </th>
                <td>
                  <Badge of={task.status} text={waiting(task)} />
                </td>
                <td class="num">
                  {last &&
                    (last.end ? seconds((last.end - task.attempts[0]!.start) / 1000) : age(now - last.start))}
                </td>
                <td class="why">
                  {last?.error ? (
                    <span class="failure">{`${last.error.type}: ${last.error.message}`}</span>
                  ) : (
                    task.reasons[0]
                  )}
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
