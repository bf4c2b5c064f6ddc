// Every task over the filtered runs: what hurts first, how long it takes, how often it fails, what the cache saves.
import type { ComponentChildren, JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import { csv } from "./csv.ts";
import { countOf, FilterBox, FilterNotes, useFiltered } from "./filtered.tsx";
import { percent, seconds, time } from "./format.ts";
import type { Index, Ledgers, Matrix, RunRow } from "./model.ts";
import { order } from "./numbers.ts";
import { changed, href, type Route, replace, taskHref } from "./route.ts";
import { useLedgers, useMatrix } from "./shards.ts";
import { Sparkline } from "./sparkline.tsx";
import { byHurt, type Complaint, type Month, months, type TaskFacts, taskFacts } from "./task_facts.ts";
import { download, Waiting } from "./ui.tsx";

const SAID: Record<Complaint, { text: string; title: string }> = {
  fails: { text: "fails", title: "its last execution failed" },
  unsteady: { text: "not deterministic", title: "executions with the same key left different outputs" },
  retried: { text: "retried", title: "some executions needed more than one attempt" },
  slower: {
    text: "slower than usual",
    title: "its last executions took longer than those before, beyond their spread",
  },
};

interface Column {
  id: string;
  label: string;
  of: (facts: TaskFacts) => number | undefined;
  show: (facts: TaskFacts) => ComponentChildren;
  title?: string;
}

const share = (part: number, of: number): number | undefined => (of ? part / of : undefined);
const shown = (part: number | undefined): string =>
  part === undefined ? "" : part > 0 && part < 0.01 ? "<1 %" : `${Math.round(part * 100)} %`;
const rate = (facts: TaskFacts, part: number) => share(part, facts.executions.length);
const hitRate = (facts: TaskFacts) => share(facts.hits, facts.hits + facts.executions.length);

const COLUMNS: Column[] = [
  { id: "usual", label: "Usually", of: (one) => one.trend?.usual, show: (one) => seconds(one.trend?.usual) },
  {
    id: "recent",
    label: "Recently",
    title: "the median of its last executions, at most five",
    of: (one) => one.trend && one.trend.recent / one.trend.usual,
    show: ({ trend }) =>
      trend && (
        <span class={trend.mark ? `verdict is-${trend.mark}` : ""}>
          {trend.mark && <span aria-hidden="true">{trend.mark === "worse" ? "▲ " : "▼ "}</span>}
          {seconds(trend.recent)}
          {trend.mark && <small> {percent(trend.usual, trend.recent)}</small>}
        </span>
      ),
  },
  {
    id: "executions",
    label: "Executed",
    of: (one) => one.executions.length,
    show: (one) => one.executions.length,
  },
  {
    id: "failed",
    label: "Failed",
    of: (one) => rate(one, one.failed),
    show: (one) => one.failed > 0 && shown(rate(one, one.failed)),
  },
  {
    id: "retried",
    label: "Retried",
    of: (one) => rate(one, one.retried),
    show: (one) => one.retried > 0 && shown(rate(one, one.retried)),
  },
  {
    id: "hits",
    label: "Reused",
    title: "of all runs with this task, those that had its result already",
    of: hitRate,
    show: (one) => shown(hitRate(one)),
  },
  {
    id: "computed",
    label: "Computed",
    title: "all executions together",
    of: (one) => one.computed,
    show: (one) => seconds(one.computed),
  },
  {
    id: "saved",
    label: "Saved",
    title: "what the reused results took when they were computed",
    of: (one) => one.saved,
    show: (one) => one.saved > 0 && seconds(one.saved),
  },
];

export function TasksPage({ index, route }: { index: Index; route: Route }): JSX.Element {
  const filtered = useFiltered(index, route);
  const matrix = useMatrix(index);
  const ledgers = useLedgers(index);
  return (
    <>
      <div class="head">
        <h1>Tasks</h1>
        <p class="note" role="status">
          over {countOf(index, filtered)} runs
        </p>
      </div>
      {matrix instanceof Error || ledgers instanceof Error || !matrix || !ledgers ? (
        <Waiting error={[matrix, ledgers].find((one) => one instanceof Error) as Error} what="The tasks" />
      ) : (
        <Body index={index} route={route} filtered={filtered} matrix={matrix} ledgers={ledgers} />
      )}
    </>
  );
}

interface BodyProps {
  index: Index;
  route: Route;
  filtered: ReturnType<typeof useFiltered>;
  matrix: Matrix;
  ledgers: Ledgers;
}

function Body({ index, route, filtered, matrix, ledgers }: BodyProps): JSX.Element {
  const byFamily = route.query.get("by") === "family";
  const sort = route.query.get("sort") ?? "";
  const column = COLUMNS.find((one) => one.id === sort.replace("-", ""));
  const runs = useMemo(() => [...filtered.runs].reverse(), [filtered.runs]);
  const facts = useMemo(
    () => taskFacts(matrix, ledgers, index.columns, runs, byFamily),
    [matrix, ledgers, runs, byFamily],
  );
  const sign = sort.startsWith("-") ? -1 : 1;
  const sorted = [...facts].sort(column ? (a, b) => order(column.of(a), column.of(b), sign) : byHurt);
  const set = (changes: Record<string, string | undefined>) => replace(changed(route, changes));
  const families = new Set(facts.map((one) => one.name.replace(/\[.*\]$/, ""))).size < facts.length || byFamily;
  return (
    <>
      <div class="bar">
        <FilterBox route={route} filtered={filtered} />
        {families && (
          <label class="check">
            <input
              type="checkbox"
              checked={byFamily}
              onChange={() => set({ by: byFamily ? undefined : "family" })}
            />
            Instances together
          </label>
        )}
        <button type="button" onClick={() => download("tasks.csv", written(sorted), "text/csv")}>
          CSV
        </button>
      </div>
      <FilterNotes index={index} route={route} filtered={filtered} />
      <Months of={months(facts, runs, monthOf)} />
      <h2>Each task{column ? "" : ", what hurts first"}</h2>
      <div class="scroll" tabIndex={0} role="group" aria-label="Tasks">
        <table class="plain tasks wide">
          <thead>
            <tr>
              <th scope="col" aria-sort={column ? "none" : "descending"}>
                <button type="button" class="link" onClick={() => set({ sort: undefined })}>
                  Task
                </button>
              </th>
              <th scope="col">Durations</th>
              {COLUMNS.map(({ id, label, title }) => (
                <th
                  scope="col"
                  class="num"
                  aria-sort={column?.id === id ? (sign < 0 ? "descending" : "ascending") : "none"}
                >
                  <button
                    type="button"
                    class="link"
                    title={title}
                    onClick={() => set({ sort: sort === `-${id}` ? id : `-${id}` })}
                  >
                    {label}
                    <span class="arrow" aria-hidden="true">
                      {column?.id === id && (sign < 0 ? " ▼" : " ▲")}
                    </span>
                  </button>
                </th>
              ))}
              <th scope="col">Last</th>
            </tr>
          </thead>
          <tbody>
            {sorted.map((one) => (
              <Row facts={one} key={one.name} />
            ))}
          </tbody>
        </table>
      </div>
      {sorted.length === 0 && <p class="note empty">No run that is left has a task.</p>}
    </>
  );
}

function Row({ facts }: { facts: TaskFacts }): JSX.Element {
  return (
    <tr>
      <th scope="row">
        {facts.task === undefined ? (
          facts.name
        ) : (
          <a href={href(["history"], { task: facts.task })}>{facts.name}</a>
        )}
        {facts.instances > 1 && <small> {facts.instances} instances</small>}
        {facts.complaints.length > 0 && (
          <div class="signs">
            {facts.complaints.map((what) => (
              <span class={`tag is-${what}`} title={SAID[what].title}>
                {SAID[what].text}
              </span>
            ))}
          </div>
        )}
      </th>
      <td>
        <Sparkline
          values={facts.executions.filter((one) => !one.failed).map((one) => one.seconds)}
          label={`Durations of ${facts.name}`}
        />
      </td>
      {COLUMNS.map((column) => (
        <td class="num">{column.show(facts)}</td>
      ))}
      <td class="when">
        {facts.task === undefined ? (
          time(facts.last!.started)
        ) : (
          <a href={taskHref(facts.last!.id, facts.task)}>{time(facts.last!.started)}</a>
        )}
      </td>
    </tr>
  );
}

const FEW = 6;
const monthOf = (run: RunRow): string => time(run.started).slice(0, 7);

/** What was computed and saved, by month, with the sums. */
function Months({ of }: { of: Month[] }): JSX.Element | null {
  const [all, setAll] = useState(false);
  if (of.length === 0) return null;
  const most = Math.max(...of.map((one) => one.computed + one.saved)) || 1;
  const sum = (name: "computed" | "saved" | "runs") => of.reduce((total, one) => total + one[name], 0);
  const bar = (part: number, kind: string) => (
    <span class={`part ${kind}`} style={{ width: `${(part / most) * 100}%` }} />
  );
  return (
    <section class="months" aria-label="By month">
      <h2>
        Saved by the cache: {seconds(sum("saved")) || "nothing yet"}
        <small> · computed: {seconds(sum("computed")) || "nothing"}</small>
      </h2>
      <div class="scroll" tabIndex={0} role="group" aria-label="Computed and saved by month">
        <table class="plain">
          <thead>
            <tr>
              <th scope="col">Month</th>
              <th scope="col" class="num">
                Runs
              </th>
              <th scope="col" class="num">
                <span class="key is-saved">Saved</span>
              </th>
              <th scope="col" class="num">
                <span class="key is-computed">Computed</span>
              </th>
              <th scope="col">
                <span class="hidden">as a bar</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {of.slice(0, all ? undefined : FEW).map((one) => (
              <tr>
                <th scope="row">{one.month}</th>
                <td class="num">{one.runs}</td>
                <td class="num">{seconds(one.saved)}</td>
                <td class="num">{seconds(one.computed)}</td>
                <td class="bars-of-month" aria-hidden="true">
                  <div>
                    {bar(one.saved, "saved")}
                    {bar(one.computed, "computed")}
                  </div>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {!all && of.length > FEW && (
        <button type="button" class="link" onClick={() => setAll(true)}>
          Show all {of.length} months
        </button>
      )}
    </section>
  );
}

const written = (facts: readonly TaskFacts[]): string =>
  csv(
    ["task", "complaints", ...COLUMNS.map((column) => column.id), "last"],
    facts.map((one) => [
      one.name,
      one.complaints.map((what) => SAID[what].text).join(", "),
      ...COLUMNS.map((column) => column.of(one)),
      one.last!.id,
    ]),
  );
