// Two to ten runs against a baseline: what differs in parameters, metrics, durations, keys, graph, notebooks, pictures.
import type { ComponentChildren, JSX } from "preact";
import { useState } from "preact/hooks";
import { useChunks, useContent } from "./chunks.ts";
import { Commit } from "./columns.tsx";
import {
  type Compared,
  durations,
  endedWell,
  graphOf,
  hasBegun,
  ingredientsOf,
  labelsOf,
  mergedGraph,
  metrics,
  parameters,
  type Row,
  rowsOf,
  tasksOf,
  verdict,
} from "./compare.ts";
import { Charts } from "./compare_charts.tsx";
import { ArtifactsDiff, NotebooksDiff } from "./compare_notebooks.tsx";
import { delta, percent, plural, seconds, time, value } from "./format.ts";
import { GraphDiff } from "./graph_diff.tsx";
import { Guarded } from "./guarded.tsx";
import { type Detail, type Index, type Ingredient, ingredientName, type RunDetail, type RunRow } from "./model.ts";
import { alike } from "./numbers.ts";
import { changed, href, joined, type Route, runHref, split, taskHref } from "./route.ts";
import { Badge, glyph, LeftOut, label, Tabs, Waiting } from "./ui.tsx";

export function ComparePage({ index, route }: { index: Index; route: Route }): JSX.Element {
  const ids = split(route.query.get("runs")).slice(0, 10);
  const runs = ids.flatMap((id) => index.byId.get(id) ?? []);
  const whole = runs.every((run) => run.detail);
  const details = useChunks<RunDetail>(whole ? runs.map((run) => `run/${run.id}`) : []);
  if (runs.length < 2) return <Choose index={index} />;
  return (
    <>
      <div class="head">
        <h1>Compare {runs.length} runs</h1>
      </div>
      <Heads runs={runs} route={route} />
      {!whole ? (
        <LeftOut of="some of these runs" />
      ) : !Array.isArray(details) ? (
        <Waiting error={details} what="A run" />
      ) : (
        <Body index={index} runs={runs} details={details} labels={labelsOf(runs)} route={route} />
      )}
    </>
  );
}

function Choose({ index }: { index: Index }): JSX.Element {
  const [last, before] = index.newest;
  return (
    <>
      <h1>Compare</h1>
      <p>
        Choose two to ten runs in the <a href={href(["runs"])}>table of runs</a>
        {last && before && (
          <>
            , or compare <a href={href(["compare"], { runs: joined([before.id, last.id]) })}>the last two</a>
          </>
        )}
        .
      </p>
    </>
  );
}

function Heads({ runs, route }: { runs: RunRow[]; route: Route }): JSX.Element {
  const others = (id: string) => runs.map((run) => run.id).filter((one) => one !== id);
  return (
    <div class="scroll" tabIndex={0} role="group" aria-label="The runs">
      <ol class="heads-of-runs">
        {runs.map((run, i) => (
          <li class={`series-${i % 8}`}>
            <a href={runHref(run.id)}>{time(run.started)}</a> <Badge of={run.result} />
            <div class="dim">
              {run.branch} <Commit run={run} /> · {seconds(run.seconds)}
            </div>
            <div class="actions">
              {i === 0 ? (
                <b>baseline</b>
              ) : (
                <a href={changed(route, { runs: joined([run.id, ...others(run.id)]) })}>make baseline</a>
              )}
              {runs.length > 2 && <a href={changed(route, { runs: joined(others(run.id)) })}>remove</a>}
            </div>
          </li>
        ))}
      </ol>
    </div>
  );
}

function Body({ route, ...compared }: Compared & { route: Route }): JSX.Element {
  const { index, details } = compared;
  const [all, setAll] = useState(false);
  const view = route.query.get("view") ?? "values";
  const rows = {
    params: rowsOf(details, parameters, hasBegun),
    metrics: rowsOf(details, metrics, endedWell),
    durations: rowsOf(details, durations),
  };
  const tasks = tasksOf(details);
  const changedKeys = tasks.filter((task) => task.keyed.some(Boolean));
  const pick = (list: Row[]) => (all ? list : list.filter((row) => row.differs));
  return (
    <>
      <Tabs
        label="Views of the comparison"
        at={view}
        to={(id) => changed(route, { view: id })}
        tabs={[
          {
            id: "values",
            label: "Values",
            count:
              rows.params.filter((row) => row.differs).length + rows.metrics.filter((row) => row.differs).length,
          },
          { id: "tasks", label: "Tasks and keys", count: changedKeys.length },
          { id: "notebooks", label: "Notebooks" },
          { id: "pictures", label: "Artefacts and data" },
          { id: "charts", label: "Charts" },
        ]}
      />
      <Guarded what="This view" key={view}>
        {view === "values" && (
          <>
            <p class="bar">
              <label class="check">
                <input type="checkbox" checked={!all} onChange={() => setAll(!all)} /> Only differences
              </label>
            </p>
            <Section title="Parameters" rows={pick(rows.params)} compared={compared} show={value} />
            <Section
              title="Metrics"
              rows={pick(rows.metrics)}
              compared={compared}
              show={value}
              judge={(row, to) => judged(index, row, to)}
            />
            <Section
              title="Durations"
              rows={pick(rows.durations)}
              compared={compared}
              show={(item) => seconds(item as number)}
              judge={(row, to) =>
                typeof to === "number" && typeof row.values[0] === "number" ? (
                  <small>{percent(row.values[0], to)}</small>
                ) : null
              }
            />
            <Section title="Environment" rows={pick(environment(details))} compared={compared} show={value} />
          </>
        )}
        {view === "tasks" && <TasksView {...compared} />}
        {view === "notebooks" && <NotebooksDiff {...compared} route={route} />}
        {view === "pictures" && <ArtifactsDiff {...compared} route={route} />}
        {view === "charts" && <Charts {...compared} params={rows.params} metrics={rows.metrics} />}
      </Guarded>
    </>
  );
}

function environment(details: RunDetail[]): Row[] {
  const names = [...new Set(details.flatMap((run) => Object.keys(run.resource)))].filter(
    (name) => !/^(cicd|vcs|nbdag|process\.pid)/.test(name),
  );
  return names.map((name) => {
    const values = details.map((run) => run.resource[name]);
    return {
      task: "",
      name,
      values,
      without: values.map(() => undefined),
      differs: values.some((item) => !alike(item, values[0])),
    };
  });
}

function judged(index: Index, row: Row, to: unknown): ComponentChildren {
  const from = row.values[0];
  const found = verdict(from, to, index.declared.get(row.name));
  if (found === "same" && alike(from, to)) return null;
  if (!Number.isFinite(from) || !Number.isFinite(to)) return <span class={`verdict is-${found}`}>{found}</span>;
  const sign = { better: "▲", worse: "▼", same: "≈", changed: "", new: "", gone: "" }[found];
  return (
    <span class={`verdict is-${found}`}>
      <span aria-hidden="true">{sign}</span> {delta((to as number) - (from as number))}{" "}
      <small>{percent(from as number, to as number)}</small>
      <span class="hidden">{found}</span>
    </span>
  );
}

/** Whether a run's value is held against that of the baseline. */
const isCompared = (row: Row, run: number): boolean =>
  run > 0 && row.without[0] === undefined && row.without[run] === undefined;

interface SectionProps {
  title: string;
  rows: Row[];
  compared: Compared;
  show: (item: unknown) => ComponentChildren;
  judge?: (row: Row, to: unknown) => ComponentChildren;
}

function Section({ title, rows, compared: { labels, runs }, show, judge }: SectionProps): JSX.Element {
  return (
    <section>
      <h2>{title}</h2>
      {rows.length === 0 ? (
        <p class="note">No differences.</p>
      ) : (
        <div class="scroll" tabIndex={0} role="group" aria-label={title}>
          <table class="plain compare">
            <thead>
              <tr>
                <th scope="col">Task</th>
                {rows.some((row) => row.name) && <th scope="col">Name</th>}
                {labels.map((name, i) => (
                  <th scope="col" class="num">
                    <span class={`key series-${i % 8}`}>{name}</span>
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <tr>
                  <td>{row.task && <a href={taskHref(runs.at(-1)!.id, row.task)}>{row.task}</a>}</td>
                  {rows.some((one) => one.name) && <th scope="row">{row.name}</th>}
                  {row.values.map((item, i) => (
                    <td class={`num ${isCompared(row, i) && !alike(item, row.values[0]) ? "differs" : ""}`}>
                      {item !== undefined && show(item)}
                      {row.without[i] ? (
                        <span class="dim"> {label(row.without[i])}</span>
                      ) : (
                        item === undefined && <span class="dim">–</span>
                      )}
                      {isCompared(row, i) && judge?.(row, item)}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function TasksView({ runs, details, labels }: Compared): JSX.Element {
  const tasks = tasksOf(details);
  const graphs = details.slice(1).map((detail) => graphOf(details[0]!, detail));
  return (
    <>
      <h2>How each task ended</h2>
      <div class="scroll" tabIndex={0} role="group" aria-label="Tasks">
        <table class="plain">
          <thead>
            <tr>
              <th scope="col">Task</th>
              {labels.map((name, i) => (
                <th scope="col">
                  <span class={`key series-${i % 8}`}>{name}</span>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {tasks.map((task) => (
              <tr>
                <th scope="row">{task.name}</th>
                {task.statuses.map((status, i) => (
                  <td class={task.keyed[i] ? "differs" : ""}>
                    {status ? (
                      <a class={`badge is-${status}`} href={taskHref(runs[i]!.id, task.name)}>
                        <span class="glyph" aria-hidden="true">
                          {glyph(status)}
                        </span>
                        {label(status)}
                      </a>
                    ) : (
                      <span class="dim">not in this run</span>
                    )}
                    {task.keyed[i] && <small> other key</small>}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <h2>The graph</h2>
      {graphs.map((graph, i) => (
        <>
          <p>
            <span class={`key series-${(i + 1) % 8}`}>{labels[i + 1]}</span>:{" "}
            {[
              graph.added.length > 0 && `adds ${graph.added.join(", ")}`,
              graph.removed.length > 0 && `has no ${graph.removed.join(", ")}`,
              graph.edgesAdded.length > 0 &&
                `${plural(graph.edgesAdded.length, "new edge")}: ${graph.edgesAdded.map((edge) => edge.join(" → ")).join(", ")}`,
              graph.edgesRemoved.length > 0 &&
                `${plural(graph.edgesRemoved.length, "edge")} less: ${graph.edgesRemoved.map((edge) => edge.join(" → ")).join(", ")}`,
            ]
              .filter(Boolean)
              .join("; ") || "the same tasks and edges"}
            .
          </p>
          <GraphDiff
            graph={mergedGraph(details[0]!, details[i + 1]!)}
            label={`Graph of ${labels[i + 1]} against the baseline`}
          />
        </>
      ))}
      <h2>Ingredients of the keys</h2>
      {tasks
        .filter((task) => task.keyed.some(Boolean))
        .map((task) => (
          <KeyDifference name={task.name} details={details} labels={labels} />
        ))}
      {!tasks.some((task) => task.keyed.some(Boolean)) && <p class="note">No task has another key.</p>}
    </>
  );
}

/** The baseline's ingredients against those of the last run that has another key. */
function KeyDifference({
  name,
  details,
  labels,
}: {
  name: string;
  details: RunDetail[];
  labels: string[];
}): JSX.Element | null {
  const find = (detail: RunDetail) => detail.tasks.find((task) => task.name === name);
  const from = find(details[0]!);
  const other = details.findLastIndex(
    (detail) => find(detail)?.key !== undefined && find(detail)!.key !== from?.key,
  );
  const a = useContent<Detail>(from?.detail);
  const b = useContent<Detail>(find(details[other]!)?.detail);
  const before = useContent<Ingredient[]>(a instanceof Error ? undefined : a?.ingredients);
  const after = useContent<Ingredient[]>(b instanceof Error ? undefined : b?.ingredients);
  if (a === undefined || b === undefined) return null;
  if (!Array.isArray(before) || !Array.isArray(after)) {
    const gone = [a, b].some((detail) => detail instanceof Error || !detail.ingredients);
    return gone ? <p class="note">{name}: the record of one of its keys is not kept any more.</p> : null;
  }
  const found = ingredientsOf(before, after);
  if (found.length === 0) return <p class="note">{name}: every ingredient that its records name is the same.</p>;
  return (
    <details class="data" open>
      <summary>
        {name} <small>{labels[other]}</small>
      </summary>
      <div class="scroll" tabIndex={0} role="group" aria-label={`Ingredients of ${name}`}>
        <table class="plain">
          <tbody>
            {found.map((item) => (
              <tr>
                <td>{item.kind}</td>
                <th scope="row">{ingredientName(item.kind, item.name, item.path)}</th>
                <td class="mono removed">{item.from ?? "–"}</td>
                <td class="mono added">{item.to ?? "–"}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}
