// One task in one run: why it ran or whose result it has, its notebook, what it logged, its attempts and history.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { plain } from "./ansi.ts";
import { Artifacts } from "./artifacts.tsx";
import { LineChart } from "./chart.tsx";
import { useChunk, useContent } from "./chunks.ts";
import { Copies } from "./copy.tsx";
import { disagreeing } from "./determinism.ts";
import { Scripts } from "./figure.tsx";
import { bytes, seconds, time, value } from "./format.ts";
import { Guarded } from "./guarded.tsx";
import {
  type Attempt,
  type AttemptMore,
  type Cell,
  type Detail,
  type Index,
  type Ingredient,
  ingredientName,
  type RunDetail,
  type RunRow,
  type Series,
  statusOf,
  type Task,
} from "./model.ts";
import { Code, Notebook } from "./notebook.tsx";
import { metricsOf, numeric } from "./numbers.ts";
import { changed, href, joined, type Route, runHref, taskHref } from "./route.ts";
import { RunLink } from "./run_page.tsx";
import { useColumns, useMatrix } from "./shards.ts";
import { Ansi, Badge, Facts, glyph, LeftOut, Long, label, Tabs, Values, Waiting } from "./ui.tsx";
import { quoted } from "./what_changed.ts";

export function TaskPage({
  index,
  id,
  name,
  route,
}: {
  index: Index;
  id: string;
  name: string;
  route: Route;
}): JSX.Element {
  const run = index.byId.get(id);
  const chunk = useChunk<RunDetail>(run?.detail ? `run/${id}` : undefined);
  const task = chunk instanceof Error ? undefined : chunk?.tasks.find((one) => one.name === name);
  const detail = useContent<Detail>(task?.detail);
  if (!run) return <h1>There is no run {id}</h1>;
  if (chunk instanceof Error || chunk === undefined) {
    return (
      <>
        <h1>{name}</h1>
        {run.detail ? <Waiting error={chunk} what="The task" /> : <LeftOut of="this run" />}
      </>
    );
  }
  if (!task) return <h1>{name} is not in this run</h1>;
  const above = (task.up ?? []).map((number) => chunk.tasks[number]!.name);
  return (
    <>
      <p class="crumbs">
        <a href={runHref(id)}>
          Run {time(run.started)} {run.branch} <span class="mono">{run.commit?.slice(0, 8)}</span>
        </a>
      </p>
      <div class="head">
        <h1>{task.name}</h1>
        <Badge of={task.status} />
        {task.accepted && <span class="tag">accepted by hand</span>}
        {task.draft && <span class="tag">draft</span>}
        <Neighbours index={index} run={run} task={name} />
      </div>
      <Copies
        of={[
          ["run id", id],
          ["commit", run.commit],
          ["nbdag show", `nbdag show ${id} ${quoted(name)}`],
          [
            "nbdag restore",
            detail && !(detail instanceof Error) && detail.outputs?.length
              ? `nbdag restore ${quoted(name)} --run ${id}`
              : undefined,
          ],
        ]}
      />
      <Why task={task} index={index} />
      <Disagreement task={task} index={index} id={id} />
      {detail === undefined || detail instanceof Error ? (
        <Waiting error={detail} what="The task" />
      ) : (
        <Scripts.Provider value={detail.scripts ?? {}}>
          <Body index={index} id={id} task={task} detail={detail} above={above} route={route} />
        </Scripts.Provider>
      )}
    </>
  );
}

/** The runs before and after that have this task, in the same view. */
function Neighbours({ index, run, task }: { index: Index; run: RunRow; task: string }): JSX.Element | null {
  const matrix = useMatrix(index);
  if (!Array.isArray(matrix)) return null;
  const letters = matrix.find(([name]) => name === task)?.[1] ?? "";
  const runs = index.newest.filter((one) => statusOf(letters[one.number]));
  const at = runs.indexOf(run);
  const link = (one: RunRow | undefined, text: string) =>
    one && (
      <a href={taskHref(one.id, task)} title={`${time(one.started)} ${one.branch ?? ""}`}>
        {text}
      </a>
    );
  return (
    <nav class="neighbours" aria-label="Other runs of the task">
      {link(runs[at + 1], "‹ previous run")}
      {link(at > 0 ? runs[at - 1] : undefined, "next run ›")}
    </nav>
  );
}

const FEW = 5;

/** The answer to the first question of a reader. */
function Why({ task, index }: { task: Task; index: Index }): JSX.Element | null {
  const [all, setAll] = useState(false);
  if (task.source) {
    return (
      <p class="why">
        This result was produced by <SourceLink index={index} id={task.source} task={task.name} />
        {task.saved ? `; using it saved ${seconds(task.saved)}` : ""}.
      </p>
    );
  }
  if (!task.reasons?.length) return null;
  return (
    <div class="why">
      {task.status === "ran" || task.status === "failed" ? "Why it ran: " : "Why: "}
      {task.reasons.length === 1 ? (
        <b>{task.reasons[0]}</b>
      ) : (
        <ul>
          {task.reasons.slice(0, all ? undefined : FEW).map((reason) => (
            <li>{reason}</li>
          ))}
          {!all && task.reasons.length > FEW && (
            <li>
              <button type="button" class="link" onClick={() => setAll(true)}>
                and {task.reasons.length - FEW} more
              </button>
            </li>
          )}
        </ul>
      )}
    </div>
  );
}

/** The same key promises the same result. */
function Disagreement({ task, index, id }: { task: Task; index: Index; id: string }): JSX.Element | null {
  const column = index.byColumn.get(`result@${task.name}`);
  const results = useColumns<string | null>(index, column ? [column] : []);
  if (!task.key || !Array.isArray(results) || !results[0]) return null;
  const numbers = new Set(disagreeing(results[0], task.key));
  const runs = index.runs.filter((run) => numbers.has(run.number));
  if (runs.length === 0) return null;
  return (
    <p class="why warning" role="note">
      <b>Not deterministic:</b> executions with this very key left different outputs. They ran in{" "}
      {runs.slice(0, 5).map((run, i) => (
        <>
          {i > 0 && ", "}
          {run.id === id ? "this run" : <a href={taskHref(run.id, task.name)}>{time(run.started)}</a>}
        </>
      ))}
      {runs.length > 5 && ` and ${runs.length - 5} more`}.
    </p>
  );
}

/** What nobody promised: a change of these files does not make the task run. */
function Undeclared({ detail, route }: { detail: Detail; route: Route }): JSX.Element | null {
  const [first, ...others] = detail.reads ?? [];
  if (first === undefined) return null;
  const more = `${others.length} more`;
  return (
    <p class="why warning" role="note">
      <b>Not declared:</b> it read <span class="mono">{first}</span>
      {others.length > 0 && (
        <> and {detail.ingredients ? <a href={changed(route, { view: "key" })}>{more}</a> : more}</>
      )}
      ; a change of {others.length > 0 ? "these files" : "this file"} alone does not make it run.
    </p>
  );
}

function SourceLink({ index, id, task }: { index: Index; id: string; task: string }): JSX.Element {
  const run = index.byId.get(id);
  if (!run) return <span class="mono">{id}</span>;
  return (
    <a href={taskHref(id, task)}>
      the run of {time(run.started)} {run.branch && `on ${run.branch}`}{" "}
      <span class="mono">{run.commit?.slice(0, 8)}</span>
    </a>
  );
}

interface BodyProps {
  index: Index;
  id: string;
  task: Task;
  detail: Detail;
  above: string[];
  route: Route;
}

function Body({ index, id, task, detail, above, route }: BodyProps): JSX.Element {
  const last = task.attempts?.at(-1);
  const failed = last?.error !== undefined;
  const view = route.query.get("view") ?? (failed ? "attempts" : detail.notebook ? "notebook" : "results");
  const tabs = [
    ...(detail.notebook ? [{ id: "notebook", label: "Notebook" }] : []),
    {
      id: "results",
      label: "Results",
      count: Object.keys(metricsOf(task)).length + (detail.artifacts?.length ?? 0),
    },
    { id: "attempts", label: "Attempts", count: task.attempts?.length ?? 0 },
    ...(detail.ingredients ? [{ id: "key", label: "Key" }] : []),
    { id: "history", label: "History" },
  ];
  return (
    <>
      <Undeclared detail={detail} route={route} />
      <Tabs label="Views of the task" at={view} to={(tab) => changed(route, { view: tab })} tabs={tabs} />
      <Guarded what="This view" key={view}>
        {view === "notebook" && detail.notebook && (
          <div class="split">
            <NotebookOf of={detail.notebook} more={last?.more} />
            <aside aria-label="About the task">
              <Values of={task.params} caption="Parameters" />
              <Values of={metricsOf(task)} caption="Metrics" />
              <Values of={task.tags} caption="Tags" />
              {detail.artifacts && (
                <>
                  <h2>Artefacts</h2>
                  <Artifacts of={detail.artifacts} task={task.name} />
                </>
              )}
            </aside>
          </div>
        )}
        {view === "results" && <Results task={task} detail={detail} />}
        {view === "attempts" && <Attempts of={task.attempts ?? []} />}
        {view === "key" && detail.ingredients && (
          <KeyView of={detail.ingredients} task={task} index={index} id={id} above={above} detail={detail} />
        )}
        {view === "history" && <TaskHistory index={index} task={task} id={id} />}
      </Guarded>
    </>
  );
}

function NotebookOf({ of, more }: { of: string; more?: string | undefined }): JSX.Element {
  const cells = useContent<Cell[]>(of);
  const timings = useContent<AttemptMore>(more);
  if (cells === undefined || cells instanceof Error) return <Waiting error={cells} what="The notebook" />;
  const known = timings instanceof Error ? undefined : timings?.cells;
  return known ? <Notebook cells={cells} timings={known} /> : <Notebook cells={cells} />;
}

function Results({ task, detail }: { task: Task; detail: Detail }): JSX.Element {
  const series = useContent<Series>(detail.series);
  return (
    <>
      <div class="columns">
        <Values of={metricsOf(task)} caption="Metrics" />
        <Values of={task.params} caption="Parameters" />
        <Values of={task.tags} caption="Tags" />
        <Values
          of={Object.fromEntries(
            (detail.outputs ?? []).map((output) => [output.path, output.digest.slice(0, 12)]),
          )}
          caption="Outputs, and their digests"
        />
      </div>
      {series && !(series instanceof Error) && (
        <>
          <h2>Series</h2>
          <div class="grid">
            {Object.entries(series).map(([name, points]) => (
              <LineChart
                title={name}
                x="step"
                y={name}
                lines={[
                  {
                    label: name,
                    points: points.flatMap(([step, item], i) =>
                      numeric(item) === undefined ? [] : [{ x: step ?? i, y: numeric(item)! }],
                    ),
                  },
                ]}
              />
            ))}
          </div>
        </>
      )}
      {detail.artifacts && (
        <>
          <h2>Artefacts</h2>
          <Artifacts of={detail.artifacts} task={task.name} />
        </>
      )}
      {detail.data && (
        <>
          <h2>Outputs</h2>
          <Artifacts of={detail.data} />
        </>
      )}
    </>
  );
}

function Attempts({ of }: { of: Attempt[] }): JSX.Element {
  if (of.length === 0) return <p class="note">Nothing was executed in this run: the result already existed.</p>;
  return (
    <>
      {[...of].reverse().map((attempt, i) => (
        <AttemptView attempt={attempt} open={i === 0} />
      ))}
    </>
  );
}

function AttemptView({ attempt, open }: { attempt: Attempt; open: boolean }): JSX.Element {
  const more = useContent<AttemptMore>(attempt.more);
  const cells = useContent<Cell[]>(more instanceof Error ? undefined : more?.notebook);
  return (
    <details class="attempt" open={open}>
      <summary>
        <h2>Attempt {attempt.n}</h2> <Badge of={attempt.outcome} />
        {attempt.error && (
          <span class="failure">
            {plain(
              attempt.outcome === "timeout"
                ? attempt.error.message
                : `${attempt.error.type}: ${attempt.error.message}`,
            )}
          </span>
        )}
      </summary>
      <Facts
        rows={[
          ["Began", time(attempt.start)],
          ["Took", attempt.end ? seconds((attempt.end - attempt.start) / 1000) : "its end was not recorded"],
          ["Waited for", attempt.pool && `${attempt.pool}, ${seconds(attempt.poolWait ?? 0)}`],
          ["Starting took", attempt.wait !== undefined && seconds(attempt.wait)],
          ["Processor", attempt.cpu !== undefined && seconds(attempt.cpu)],
          ["Memory, at most", attempt.rss !== undefined && bytes(attempt.rss)],
          ["Exit code", attempt.exit ? String(attempt.exit) : ""],
          ["Host", attempt.host],
          ["Node", attempt.node],
        ]}
      />
      {more !== undefined && !(more instanceof Error) && (
        <>
          {more.code && (
            <>
              <h3>The cell that failed</h3>
              <Code source={more.code} />
            </>
          )}
          {more.trace && (
            <div class="output raised">
              <Ansi text={more.trace} />
            </div>
          )}
          {more.log && (
            <>
              <h3>Log</h3>
              <Long text={more.log} />
            </>
          )}
          {cells && !(cells instanceof Error) && (
            <details class="data">
              <summary>The notebook as far as it ran</summary>
              {more.cells ? <Notebook cells={cells} timings={more.cells} /> : <Notebook cells={cells} />}
            </details>
          )}
        </>
      )}
    </details>
  );
}

function KeyView({
  of,
  task,
  index,
  id,
  above,
  detail,
}: {
  of: string;
  task: Task;
  index: Index;
  id: string;
  above: string[];
  detail: Detail;
}): JSX.Element {
  const ingredients = useContent<Ingredient[]>(of);
  if (ingredients === undefined || ingredients instanceof Error)
    return <Waiting error={ingredients} what="The key" />;
  return (
    <>
      <Facts
        rows={[
          ["Key", <span class="mono">{task.key}</span>],
          ["Notebook", detail.path],
          [
            "Needs",
            above.length > 0 &&
              above.map((name) => (
                <a class="item" href={taskHref(id, name)}>
                  {name}
                </a>
              )),
          ],
          ["Result of", task.source && <RunLink index={index} id={task.source} />],
        ]}
      />
      <p class="note">The result is reused as long as all of these stay the same.</p>
      <div class="scroll" tabIndex={0} role="group" aria-label="Ingredients">
        <table class="plain">
          <thead>
            <tr>
              <th scope="col">Ingredient</th>
              <th scope="col">Name</th>
              <th scope="col">Value or digest</th>
            </tr>
          </thead>
          <tbody>
            {ingredients.map(([kind, name, item, path]) => (
              <tr>
                <td>{kind}</td>
                <td>{ingredientName(kind, name, path)}</td>
                <td class="mono">{item}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {detail.reads && (
        <Values
          of={Object.fromEntries(detail.reads.map((path) => [path, "read"]))}
          caption="Read, but not declared"
        />
      )}
      {detail.writes && (
        <Values
          of={Object.fromEntries(detail.writes.map((path) => [path, "written"]))}
          caption="Written, but not declared"
        />
      )}
    </>
  );
}

function TaskHistory({ index, task, id }: { index: Index; task: Task; id: string }): JSX.Element {
  const matrix = useMatrix(index);
  const column = index.byColumn.get(`duration@${task.name}`);
  const durations = useColumns<number | null>(index, column ? [column] : []);
  if (matrix === undefined || matrix instanceof Error) return <Waiting error={matrix} what="The history" />;
  const letters = matrix.find(([name]) => name === task.name)?.[1] ?? "";
  const runs = index.newest.filter((run) => statusOf(letters[run.number])).slice(0, 200);
  const took = (Array.isArray(durations) ? durations[0] : undefined) ?? [];
  return (
    <>
      <p>
        <a href={href(["history"], { task: task.name })}>Its metrics over time</a>
      </p>
      <div class="scroll" tabIndex={0} role="group" aria-label="History of the task">
        <table class="plain">
          <thead>
            <tr>
              <th scope="col">Run</th>
              <th scope="col">Status</th>
              <th scope="col" class="num">
                Took
              </th>
              <th scope="col">Branch</th>
              <th scope="col">Commit</th>
              <th scope="col">Compare</th>
            </tr>
          </thead>
          <tbody>
            {runs.map((run) => {
              const status = statusOf(letters[run.number])!;
              return (
                <tr class={run.id === id ? "selected" : ""}>
                  <th scope="row" class="when">
                    <a href={taskHref(run.id, task.name)}>{time(run.started)}</a>
                  </th>
                  <td>
                    <span class={`badge is-${status}`}>
                      <span class="glyph" aria-hidden="true">
                        {glyph(status)}
                      </span>
                      {label(status)}
                    </span>
                  </td>
                  <td class="num">{seconds(took[run.number])}</td>
                  <td>{run.branch}</td>
                  <td class="mono">{run.commit?.slice(0, 8)}</td>
                  <td>
                    {run.id === id ? (
                      <span class="dim">this run</span>
                    ) : (
                      <a
                        href={href(["compare"], {
                          runs: joined([run.id, id]),
                          task: task.name,
                          view: "notebooks",
                        })}
                      >
                        its notebook
                      </a>
                    )}
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
      <p class="hidden">{value(runs.length)} runs</p>
    </>
  );
}
