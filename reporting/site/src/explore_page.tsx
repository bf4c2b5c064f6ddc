// Explore: what goes with a result over all filtered runs, as a list, points, parallel coordinates and groups.
import type { ComponentChildren, JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import { type Axis, distinct, scaleOf } from "./axis.ts";
import { coloursOf } from "./colours.ts";
import { csv } from "./csv.ts";
import {
  type Group,
  groupsOf,
  type Item,
  itemsOf,
  type Outcome,
  outcomes,
  parted,
  type Relation,
  readerOf,
  relation,
} from "./explore.ts";
import { countOf, FilterBox, type Filtered, FilterNotes, useFiltered } from "./filtered.tsx";
import { even, number, plural, seconds, time, value } from "./format.ts";
import { Guarded } from "./guarded.tsx";
import type { Declared, Index, Matrix, StoredColumn } from "./model.ts";
import { Parallel, type Ranges } from "./parallel.tsx";
import { changed, href, joined, type Route, replace, split, taskHref } from "./route.ts";
import { Scatter } from "./scatter.tsx";
import { useMatrix } from "./shards.ts";
import { DataTable, download, Menu, Waiting } from "./ui.tsx";

/** Something that an item has a value of. */
interface Variable {
  id: string;
  label: string;
  values: readonly unknown[];
  show?: (item: number) => string;
  isTime?: boolean;
  /** Whether somebody chose it before the result was known. */
  isCause: boolean;
}

/** Beyond this many parameters, and metrics, the others are not loaded. */
const MOST = 150;
const MOST_AXES = 6;
const MOST_COMPARED = 10;

const week = (at: number): string => {
  const date = new Date(at);
  const monday = new Date(date.getFullYear(), date.getMonth(), date.getDate() - ((date.getDay() + 6) % 7));
  return time(monday.getTime()).slice(0, 10);
};

/** Facts of the run of an item. */
const OF_RUN: (Pick<Variable, "id" | "label" | "show" | "isTime"> & { of: (item: Item) => unknown })[] = [
  {
    id: "started",
    label: "started",
    of: ({ run }) => run.started,
    show: (at) => time(at).slice(0, 10),
    isTime: true,
  },
  { id: "week", label: "week of", of: ({ run }) => week(run.started) },
  { id: "branch", label: "branch", of: ({ run }) => run.branch },
  { id: "profile", label: "profile", of: ({ run }) => run.profile },
  { id: "trigger", label: "trigger", of: ({ run }) => run.trigger },
  { id: "dirty", label: "uncommitted changes", of: ({ run }) => run.dirty },
  { id: "task", label: "task", of: ({ task }) => task },
];

/** Columns by kind and name, whatever their tasks. */
function named(index: Index, kind: StoredColumn["kind"]): [name: string, columns: StoredColumn[]][] {
  const found = new Map<string, StoredColumn[]>();
  for (const column of index.columns)
    if (column.kind === kind) found.set(column.name, [...(found.get(column.name) ?? []), column]);
  return [...found].slice(0, MOST);
}

export function ExplorePage({ index, route }: { index: Index; route: Route }): JSX.Element {
  const all = useMemo(() => outcomes(index), [index]);
  const outcome = all.find((one) => one.id === route.query.get("y")) ?? all[0];
  const known = useMemo(
    () => ({ params: named(index, "params"), metrics: named(index, "metrics"), tags: named(index, "tags") }),
    [index],
  );
  const columns = useMemo(
    () => [
      ...(outcome?.columns ?? []),
      ...Object.values(known).flatMap((lists) => lists.flatMap(([, columns]) => columns)),
    ],
    [known, outcome],
  );
  const filtered = useFiltered(index, route, columns);
  const matrix = useMatrix(index);
  return (
    <>
      <div class="head">
        <h1>Explore</h1>
        <p class="note" role="status">
          over {countOf(index, filtered)} runs
        </p>
      </div>
      {outcome === undefined ? (
        <p class="note">No run has logged a metric, or executed a task.</p>
      ) : !Array.isArray(matrix) || (!filtered.ready && !filtered.failed) ? (
        <Waiting error={matrix instanceof Error ? matrix : undefined} what="The results" />
      ) : (
        <Explored {...{ index, route, outcome, all, known, filtered, matrix }} />
      )}
    </>
  );
}

interface ExploredProps {
  index: Index;
  route: Route;
  outcome: Outcome;
  all: Outcome[];
  known: Record<"params" | "metrics" | "tags", [name: string, columns: StoredColumn[]][]>;
  filtered: Filtered;
  matrix: Matrix;
}

function Explored({ index, route, outcome, all, known, filtered, matrix }: ExploredProps): JSX.Element {
  const { query } = route;
  const reused = query.get("reused") === "1";
  const letters = useMemo(() => new Map(matrix), [matrix]);
  const items = useMemo(
    () => itemsOf(outcome, filtered.runs, letters, filtered.values, reused),
    [outcome, filtered.runs, filtered.ready, letters, reused],
  );
  const { result, variables, relations } = useMemo(() => {
    const read = (columns: StoredColumn[]) => items.map(readerOf(columns, filtered.values));
    const result = read(outcome.columns);
    const stored = (["params", "metrics", "tags"] as const).flatMap((kind) =>
      known[kind]
        .filter(([name]) => !(kind === "metrics" && name === outcome.name))
        .map(([name, columns]) => ({
          id: `${kind}.${name}`,
          label: kind === "params" ? name : `${name} · ${kind === "metrics" ? "metric" : "tag"}`,
          values: read(columns),
          isCause: kind === "params",
        })),
    );
    const facts = OF_RUN.map(({ of, ...fact }) => ({ ...fact, values: items.map(of), isCause: false }));
    const variables: Variable[] = [...stored, ...facts].filter((one) =>
      one.values.some((item) => item !== null && item !== undefined),
    );
    const relations = variables
      .filter((one) => one.isCause)
      .flatMap((variable) => {
        const found = relation(variable.values, result);
        return found ? [{ variable, ...found }] : [];
      })
      .sort((a, b) => Number(a.chance) - Number(b.chance) || b.strength - a.strength);
    return { result, variables, relations };
  }, [items, known]);
  const set = (changes: Record<string, string | undefined>) => replace(changed(route, changes));
  const find = (id: string | null) => variables.find((one) => one.id === id);
  const axisY: Axis = {
    id: outcome.id,
    label: `${outcome.label} · ${outcome.family}`,
    values: result,
    log: wish(query.get("logy")),
  };
  return (
    <>
      <div class="bar">
        <FilterBox route={route} filtered={filtered} />
        <label>
          Result{" "}
          <select value={outcome.id} onChange={(event) => set({ y: event.currentTarget.value, x: undefined })}>
            {all.map((one) => (
              <option value={one.id}>
                {one.label} · {one.family}
              </option>
            ))}
          </select>
        </label>
        <label class="check" title="A reused result is the same measurement again">
          <input type="checkbox" checked={reused} onChange={() => set({ reused: reused ? undefined : "1" })} />
          Reused results too
        </label>
      </div>
      <FilterNotes index={index} route={route} filtered={filtered} />
      <Guarded what="This page" key={outcome.id}>
        <section>
          <h2>Which parameter goes with it</h2>
          <Relations of={relations} at={query.get("x")} to={(id) => set({ x: id })} items={items.length} />
        </section>
        <Charts
          key={outcome.id}
          {...{ items, variables, axisY, result, route, set }}
          x={find(query.get("x")) ?? relations[0]?.variable ?? find("started")}
          colour={find(query.get("colour"))}
          axes={
            query.has("axes")
              ? split(query.get("axes")).flatMap((id) => find(id) ?? [])
              : relations.slice(0, MOST_AXES).map((one) => one.variable)
          }
        />
        <Groups
          {...{ variables, result, outcome, set }}
          declared={index.declared.get(outcome.name)}
          by={find(query.get("group")) ?? relations[0]?.variable ?? find("branch")}
        />
      </Guarded>
    </>
  );
}

const wish = (text: string | null): boolean | undefined => (text === null ? undefined : text === "1");

const hasDirection = ({ rank, strength }: Relation): boolean =>
  rank !== undefined && Math.abs(rank) >= strength - 0.05;

function direction(relation: Relation): string {
  if (!hasDirection(relation)) return "differs from value to value, in no one direction";
  return relation.rank! > 0 ? "higher where it is higher" : "lower where it is higher";
}

const measured = (relation: Relation): string =>
  hasDirection(relation) ? `ρ = ${relation.rank!.toFixed(2)}` : `ε = ${relation.strength.toFixed(2)}`;

function Relations({
  of,
  at,
  to,
  items,
}: {
  of: ({ variable: Variable } & Relation)[];
  at: string | null;
  to: (id: string) => void;
  items: number;
}): JSX.Element {
  const [whole, setWhole] = useState(false);
  if (of.length === 0)
    return (
      <p class="note">
        {items === 0
          ? "No result was computed in these runs."
          : items < 4
            ? "Fewer than four results were computed in these runs."
            : "No parameter varies here."}
      </p>
    );
  const few = 8;
  return (
    <>
      <div class="scroll" tabIndex={0} role="group" aria-label="Parameters, by how they go with the result">
        <table class="plain relations">
          <thead>
            <tr>
              <th scope="col">Parameter</th>
              <th scope="col">How closely</th>
              <th scope="col">The result is</th>
              <th scope="col" class="num">
                Results
              </th>
              <th scope="col" class="num">
                Values
              </th>
            </tr>
          </thead>
          <tbody>
            {of.slice(0, whole ? undefined : few).map((one) => (
              <tr class={one.variable.id === at ? "selected" : ""}>
                <th scope="row">
                  <button type="button" class="link" onClick={() => to(one.variable.id)}>
                    {one.variable.label}
                  </button>
                </th>
                <td class="close">
                  <span class="strength" aria-hidden="true">
                    <span
                      class={one.chance ? "chance" : hasDirection(one) && one.rank! < 0 ? "falls" : ""}
                      style={{ width: `${Math.min(1, one.strength) * 100}%` }}
                    />
                  </span>
                  <span class="mono">{measured(one)}</span>
                </td>
                <td class={one.chance ? "dim" : ""}>{one.chance ? "so much may be chance" : direction(one)}</td>
                <td class="num">{one.count}</td>
                <td class="num">{one.different}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {!whole && of.length > few && (
        <button type="button" class="link" onClick={() => setWhole(true)}>
          and {of.length - few} more
        </button>
      )}
      <p class="note">
        Ranks are compared: ρ is Spearman&#39;s, ε² the part that the values explain. The effects of parameters
        that changed together are mixed.
      </p>
    </>
  );
}

interface ChartsProps {
  items: Item[];
  variables: Variable[];
  axisY: Axis;
  result: unknown[];
  x: Variable | undefined;
  colour: Variable | undefined;
  axes: Variable[];
  route: Route;
  set: (changes: Record<string, string | undefined>) => void;
}

function Charts({ items, variables, axisY, x, colour, axes, route, set }: ChartsProps): JSX.Element {
  const [ranges, setRanges] = useState<Ranges>({});
  const [drawn, setDrawn] = useState<ReadonlySet<number> | undefined>();
  const logX = route.query.get("logx");
  const axisX = useMemo(() => x && { ...x, log: wish(logX) }, [x, logX]);
  const y = useMemo(() => axisY, [axisY.values, axisY.log]);
  const parallel = useMemo(
    () => [...axes, y].map((axis) => ({ ...axis, label: axis.label })),
    [axes.map((axis) => axis.id).join(), variables, y],
  );
  const colours = useMemo(() => coloursOf(colour, items.length), [colour, items]);
  const byResult = useMemo(() => coloursOf(y, items.length), [y, items]);
  const chosen = useMemo(() => {
    const tests = parallel.flatMap((axis) => {
      const range = ranges[axis.id];
      const scale = range && scaleOf(axis, 4);
      return scale ? [(i: number) => within(scale.at(axis.values[i]), range)] : [];
    });
    const fits = items.map((_, i) => (!drawn || drawn.has(i)) && tests.every((test) => test(i)));
    return (i: number) => fits[i]!;
  }, [parallel, ranges, drawn, items]);
  const isChosen = drawn !== undefined || Object.keys(ranges).length > 0;
  const told = (i: number) => {
    const { run, task } = items[i]!;
    const more = [axisX, colour].flatMap((one) => (one ? [`${one.label} ${shown(one, one.values[i])}`] : []));
    return [
      `${axisY.label} ${value(axisY.values[i])}`,
      ...more,
      task,
      run.branch,
      run.commit?.slice(0, 8),
      time(run.started),
    ]
      .filter(Boolean)
      .join(", ");
  };
  const address = (i: number) => taskHref(items[i]!.run.id, items[i]!.task);
  const runs = isChosen ? [...new Set(items.filter((_, i) => chosen(i)).map(({ run }) => run.id))] : [];
  const clear = () => {
    setRanges({});
    setDrawn(undefined);
  };
  return (
    <>
      <section>
        <h2>Each result</h2>
        <div class="bar">
          <Choose label="Across" at={x?.id} variables={variables} to={(id) => set({ x: id, logx: undefined })} />
          <Choose
            label="Colour"
            at={colour?.id}
            none="none"
            variables={variables}
            to={(id) => set({ colour: id })}
          />
          {axisX && <Log axis={axisX} label="across" to={(log) => set({ logx: log })} />}
          <Log axis={y} label="up" to={(log) => set({ logy: log })} />
          {isChosen && (
            <span class="note" role="status">
              {items.filter((_, i) => chosen(i)).length} of {items.length} chosen, from{" "}
              {plural(runs.length, "run")}{" "}
              {runs.length >= 2 && runs.length <= MOST_COMPARED && (
                <a href={href(["compare"], { runs: joined(runs) })}>Compare them</a>
              )}{" "}
              <button type="button" class="link" onClick={clear}>
                Show all
              </button>
            </span>
          )}
        </div>
        {axisX && (
          <>
            <Scatter
              {...{ colours, told, chosen }}
              x={axisX}
              y={y}
              leads={address}
              onChoose={setDrawn}
              title={`${y.label} over ${axisX.label}`}
            />
            <Listed items={items} axes={[axisX, y, ...(colour ? [colour] : [])]} chosen={chosen} />
          </>
        )}
      </section>
      <section>
        <h2>Parallel coordinates</h2>
        <Axes variables={variables} axes={axes} to={(ids) => set({ axes: joined(ids) })} />
        {parallel.length > 1 ? (
          <Parallel
            axes={parallel}
            colours={colour ? colours : byResult}
            {...{ told, chosen, ranges }}
            leads={address}
            onRanges={setRanges}
          />
        ) : (
          <p class="note">Choose axes to see lines.</p>
        )}
      </section>
    </>
  );
}

const within = (at: number | undefined, [low, high]: readonly [number, number]): boolean =>
  at !== undefined && at >= low && at <= high;

const shown = (axis: Pick<Axis, "show">, item: unknown): string =>
  typeof item === "number" ? (axis.show ?? number)(item) : value(item);

function Choose({
  label,
  at,
  variables,
  none,
  to,
}: {
  label: string;
  at: string | undefined;
  variables: Variable[];
  none?: string;
  to: (id: string) => void;
}): JSX.Element {
  return (
    <label>
      {label}{" "}
      <select value={at ?? ""} onChange={(event) => to(event.currentTarget.value)}>
        {none && <option value="">{none}</option>}
        {variables.map((one) => (
          <option value={one.id}>{one.label}</option>
        ))}
      </select>
    </label>
  );
}

function Log({ axis, label, to }: { axis: Axis; label: string; to: (log: string) => void }): JSX.Element | null {
  const scale = useMemo(() => scaleOf(axis), [axis]);
  if (!scale.mayLog || axis.show) return null;
  const on = scale.kind === "log";
  return (
    <label class="check">
      <input type="checkbox" checked={on} onChange={() => to(on ? "0" : "1")} />
      logarithmic {label}
    </label>
  );
}

/** Which axes there are, and in what order. */
function Axes({
  variables,
  axes,
  to,
}: {
  variables: Variable[];
  axes: Variable[];
  to: (ids: string[]) => void;
}): JSX.Element {
  const ids = axes.map((axis) => axis.id);
  const moved = (i: number, by: number) => {
    const next = [...ids];
    [next[i], next[i + by]] = [next[i + by]!, next[i]!];
    to(next);
  };
  const others = variables.filter((one) => !ids.includes(one.id));
  return (
    <div class="bar">
      <Menu label={`Axes ${ids.length + 1}`}>
        <div class="scroll chooser" tabIndex={0} role="group" aria-label="Axes">
          <ol class="axes">
            {axes.map((axis, i) => (
              <li>
                <span>{axis.label}</span>
                <button
                  type="button"
                  class="icon"
                  disabled={i === 0}
                  onClick={() => moved(i, -1)}
                  aria-label={`Move ${axis.label} to the left`}
                >
                  ←
                </button>
                <button
                  type="button"
                  class="icon"
                  disabled={i === axes.length - 1}
                  onClick={() => moved(i, 1)}
                  aria-label={`Move ${axis.label} to the right`}
                >
                  →
                </button>
                <button
                  type="button"
                  class="icon"
                  onClick={() => to(ids.filter((id) => id !== axis.id))}
                  aria-label={`Remove ${axis.label}`}
                >
                  ✕
                </button>
              </li>
            ))}
          </ol>
          <fieldset>
            <legend>Add</legend>
            {others.map((one) => (
              <label>
                <input type="checkbox" checked={false} onChange={() => to([...ids, one.id])} />
                {one.label}
              </label>
            ))}
          </fieldset>
        </div>
      </Menu>
    </div>
  );
}

function Listed({
  items,
  axes,
  chosen,
}: {
  items: Item[];
  axes: readonly Axis[];
  chosen: (i: number) => boolean;
}): JSX.Element {
  const head = ["run", "task", ...axes.map((axis) => axis.label)];
  const rows = items.flatMap((item, i) => (chosen(i) ? [{ item, i }] : []));
  return (
    <DataTable
      head={head}
      rows={rows
        .slice(0, 501)
        .map(({ item: { run, task }, i }): ComponentChildren[] => [
          <a href={taskHref(run.id, task)}>{time(run.started)}</a>,
          task,
          ...axes.map((axis) => shown(axis, axis.values[i])),
        ])}
      onCsv={() =>
        download(
          "results.csv",
          csv(
            head,
            rows.map(({ item: { run, task }, i }) => [run.id, task, ...axes.map((axis) => axis.values[i])]),
          ),
          "text/csv",
        )
      }
    />
  );
}

interface GroupsProps {
  variables: Variable[];
  result: unknown[];
  outcome: Outcome;
  by: Variable | undefined;
  declared: Declared | undefined;
  set: (changes: Record<string, string | undefined>) => void;
}

function Groups({ variables, result, outcome, by, declared, set }: GroupsProps): JSX.Element | null {
  const groups = useMemo(() => (by ? groupsOf(parted(by.values, by.show ?? number), result) : []), [by, result]);
  if (!by) return null;
  const show = outcome.name ? even : seconds;
  const low = Math.min(...groups.map((one) => one.least));
  const high = Math.max(...groups.map((one) => one.most));
  const better = declared?.direction === "lower" ? "least" : "most";
  return (
    <section>
      <h2>Groups</h2>
      <div class="bar">
        <Choose label="By" at={by.id} variables={variables} to={(id) => set({ group: id })} />
      </div>
      <div class="scroll" tabIndex={0} role="group" aria-label={`${outcome.label} by ${by.label}`}>
        <table class="plain groups">
          <thead>
            <tr>
              <th scope="col">{by.label}</th>
              <th scope="col" class="num">
                Results
              </th>
              <th scope="col" class="num">
                Mean
              </th>
              <th scope="col" class="num">
                ± spread
              </th>
              <th scope="col">
                <span class="hidden">as a drawing</span>
              </th>
              <th scope="col" class="num">
                Least
              </th>
              <th scope="col" class="num">
                Most
              </th>
            </tr>
          </thead>
          <tbody>
            {groups.slice(0, 100).map((group) => (
              <tr>
                <th scope="row">{shown(by, group.name)}</th>
                <td class="num">{group.count}</td>
                <td class="num">{show(group.mean)}</td>
                <td class="num">
                  {group.spread === undefined ? <span class="dim">one alone</span> : show(group.spread)}
                </td>
                <td class="span">
                  <Span group={group} low={low} high={high} />
                </td>
                <td class={better === "least" && declared?.direction && group.least === low ? "num best" : "num"}>
                  {show(group.least)}
                </td>
                <td class={better === "most" && declared?.direction && group.most === high ? "num best" : "num"}>
                  {show(group.most)}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {groups.length > 100 && <p class="note">The first 100 of {distinct(by.values).length} groups.</p>}
    </section>
  );
}

/** From least to most, with the mean and its spread. */
function Span({ group, low, high }: { group: Group; low: number; high: number }): JSX.Element {
  const x = (item: number) => 2 + ((Math.max(low, Math.min(high, item)) - low) / (high - low || 1)) * 96;
  const spread = group.spread ?? 0;
  return (
    <svg width="100%" height="18" aria-hidden="true">
      <line class="whisker" x1={`${x(group.least)}%`} x2={`${x(group.most)}%`} y1="9" y2="9" />
      <line class="spread" x1={`${x(group.mean - spread)}%`} x2={`${x(group.mean + spread)}%`} y1="9" y2="9" />
      <circle cx={`${x(group.mean)}%`} cy="9" r="4" />
    </svg>
  );
}
