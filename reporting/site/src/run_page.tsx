// One run: how each task ended and why it ran, its graph, its timeline, and what it ran on.
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { changeAddress } from "./addresses.ts";
import { plain } from "./ansi.ts";
import { useChunk, useContent } from "./chunks.ts";
import { Commit } from "./columns.tsx";
import { Copies } from "./copy.tsx";
import { criticalPath, took } from "./critical.ts";
import { ago, seconds, time, value, weekday } from "./format.ts";
import { GraphView } from "./graph.tsx";
import { JudgementLinks, useJudgements } from "./judgements.tsx";
import type { Graph, Index, RunDetail, RunRow, Task } from "./model.ts";
import { metricsOf } from "./numbers.ts";
import { changed, href, joined, type Route, runHref, taskHref } from "./route.ts";
import { Timeline } from "./timeline.tsx";
import { Badge, Facts, LeftOut, Outside, STATUSES, Tabs, Values, Waiting } from "./ui.tsx";

export function RunPage({ index, id, route }: { index: Index; id: string; route: Route }): JSX.Element {
  const run = index.byId.get(id);
  const detail = useChunk<RunDetail>(run?.detail ? `run/${id}` : undefined);
  const judgements = useJudgements(index).filter((row) => row.run === id || row.before === id);
  if (!run) return <h1>There is no run {id}</h1>;
  const before = index.before(run);
  return (
    <>
      <div class="head">
        <h1>
          Run <span class="mono">{run.id}</span>
        </h1>
        <Badge of={run.result} />
        {before && (
          <a class="button" href={href(["compare"], { runs: joined([before.id, run.id]) })}>
            Compare with the one before
          </a>
        )}
      </div>
      <Copies
        of={[
          ["run id", run.id],
          ["commit", run.commit],
          ["nbdag show", `nbdag show ${run.id}`],
          ["nbdag restore", run.result === "success" ? `nbdag restore --run ${run.id}` : undefined],
        ]}
      />
      <Facts
        rows={[
          [
            "Started",
            <>
              <time title={ago(run.started)}>{time(run.started)}</time> {weekday(run.started)}
            </>,
          ],
          ["Duration", run.seconds === null ? "its end was not recorded" : seconds(run.seconds)],
          ["Branch", run.branch],
          ["Commit", run.commit && <Commit run={run} />],
          ["Trigger", run.trigger],
          ["Profile", run.profile],
          ["Saved by the cache", run.saved > 0 && seconds(run.saved)],
          ["CI", run.url && <Outside to={run.url}>the job</Outside>],
          [
            "Change",
            run.change && (
              <Outside to={changeAddress(run.repository, run.change, run.url)}>
                #{run.change} {run.title}
              </Outside>
            ),
          ],
        ]}
      />
      <JudgementLinks rows={judgements} label="What was judged of the run" />
      {!run.detail ? (
        <LeftOut of="this run" />
      ) : detail === undefined || detail instanceof Error ? (
        <Waiting error={detail} what="The run" />
      ) : (
        <Details run={run} detail={detail} index={index} route={route} />
      )}
    </>
  );
}

function Details({
  run,
  detail,
  index,
  route,
}: {
  run: RunRow;
  detail: RunDetail;
  index: Index;
  route: Route;
}): JSX.Element {
  const view = route.query.get("view") ?? "tasks";
  const graph = useContent<Graph>(detail.graph);
  const critical = useMemo(() => criticalPath(detail.tasks), [detail]);
  const executed = detail.tasks.filter((task) => task.attempts?.length).length;
  return (
    <>
      <Tabs
        label="Views of the run"
        at={view}
        to={(id) => changed(route, { view: id === "tasks" ? undefined : id })}
        tabs={[
          { id: "tasks", label: "Tasks", count: detail.tasks.length },
          { id: "graph", label: "Graph" },
          { id: "timeline", label: "Timeline", count: executed },
          { id: "environment", label: "Environment" },
        ]}
      />
      {view === "tasks" && <TaskTable run={run} tasks={detail.tasks} critical={critical.tasks} index={index} />}
      {view === "graph" &&
        (graph === undefined || graph instanceof Error ? (
          <Waiting error={graph} what="The graph" />
        ) : (
          <>
            <p class="legend">
              {STATUSES.filter((status) => run[status]).map((status) => (
                <Badge of={status} />
              ))}
              {critical.tasks.size > 0 && (
                <span class="key is-path">critical path, {seconds(critical.milliseconds / 1000)}</span>
              )}
            </p>
            <GraphView
              graph={graph}
              tasks={detail.tasks}
              critical={critical}
              folded={detail.folded}
              to={(name) => taskHref(run.id, name)}
            />
          </>
        ))}
      {view === "timeline" && (
        <>
          {critical.tasks.size > 0 && (
            <p class="note">
              The critical path takes {seconds(critical.milliseconds / 1000)}: more workers cannot make this run
              shorter than that.
            </p>
          )}
          <Timeline
            tasks={detail.tasks}
            run={run}
            critical={critical.tasks}
            to={(name) => taskHref(run.id, name)}
          />
        </>
      )}
      {view === "environment" && (
        <div class="columns">
          <Values of={detail.resource} caption="Where it ran" />
          <Values of={detail.parameters} caption="Parameters given on the command line" />
          {detail.targets.length > 0 && (
            <Values of={{ targets: detail.targets.join(", ") }} caption="Requested targets" />
          )}
        </div>
      )}
    </>
  );
}

function TaskTable({
  run,
  tasks,
  critical,
  index,
}: {
  run: RunRow;
  tasks: Task[];
  critical: Set<number>;
  index: Index;
}): JSX.Element {
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
            <th scope="col">Metrics</th>
          </tr>
        </thead>
        <tbody>
          {tasks.map((task, i) => (
            <tr>
              <th scope="row">
                <a href={taskHref(run.id, task.name)}>{task.name}</a>
              </th>
              <td>
                <Badge of={task.status} />
              </td>
              <td
                class={critical.has(i) ? "num critical" : "num"}
                title={critical.has(i) ? "on the critical path" : undefined}
              >
                {task.attempts?.length ? seconds(took(task) / 1000) : ""}
                {(task.attempts?.length ?? 0) > 1 && <small> {task.attempts!.length} attempts</small>}
              </td>
              <td class="why">
                {task.source ? (
                  <>
                    from <RunLink index={index} id={task.source} />
                    {task.saved ? `, saved ${seconds(task.saved)}` : ""}
                  </>
                ) : (
                  <Reasons of={task} />
                )}
              </td>
              <td class="metrics">
                {Object.entries(metricsOf(task))
                  .slice(0, 3)
                  .map(([name, item]) => (
                    <span>
                      {name} <b>{value(item)}</b>
                    </span>
                  ))}
                {Object.keys(metricsOf(task)).length > 3 && (
                  <small>+{Object.keys(metricsOf(task)).length - 3}</small>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Reasons({ of: task }: { of: Task }): JSX.Element {
  const error = task.attempts?.at(-1)?.error;
  const [first, ...more] = task.reasons ?? [];
  return (
    <>
      {task.status === "failed" && error ? (
        <span class="failure">{plain(`${error.type}: ${error.message}`)}</span>
      ) : (
        first
      )}
      {more.length > 0 && <small title={more.join("\n")}> and {more.length} more</small>}
    </>
  );
}

export function RunLink({ index, id }: { index: Index; id: string }): JSX.Element {
  const run = index.byId.get(id);
  return run ? (
    <a href={runHref(id)} title={id}>
      {time(run.started)}
      {run.commit && <span class="mono"> {run.commit.slice(0, 8)}</span>}
    </a>
  ) : (
    <span class="mono">{id}</span>
  );
}
