// One artefact over many runs at once: a grid with one zoom, one after the other, or what differs from a baseline.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { ArtifactContent, isPicture } from "./artifacts.tsx";
import { useChunks } from "./chunks.ts";
import { Commit } from "./columns.tsx";
import { countOf, FilterBox, type Filtered, FilterNotes, useFiltered } from "./filtered.tsx";
import { plural, time } from "./format.ts";
import {
  type Artifact,
  type Detail,
  type Index,
  type Ledgers,
  type Matrix,
  type RunDetail,
  type RunRow,
  statusOf,
} from "./model.ts";
import { changed, type Route, replace, taskHref } from "./route.ts";
import { useLedgers, useMatrix } from "./shards.ts";
import { Waiting } from "./ui.tsx";

const COUNTS = [5, 10, 20, 40];
const VIEWS = ["grid", "one after the other", "difference"] as const;
type View = (typeof VIEWS)[number];

export function ArtefactsPage({ index, route }: { index: Index; route: Route }): JSX.Element {
  const filtered = useFiltered(index, route);
  const ledgers = useLedgers(index);
  const matrix = useMatrix(index);
  return (
    <>
      <div class="head">
        <h1>Artefacts</h1>
        <p class="note" role="status">
          of {countOf(index, filtered)} runs
        </p>
      </div>
      {!Array.isArray(matrix) || ledgers === undefined || ledgers instanceof Error ? (
        <Waiting error={[matrix, ledgers].find((one) => one instanceof Error) as Error} what="The artefacts" />
      ) : (
        <Chosen index={index} route={route} filtered={filtered} ledgers={ledgers} matrix={matrix} />
      )}
    </>
  );
}

interface ChosenProps {
  index: Index;
  route: Route;
  filtered: Filtered;
  ledgers: Ledgers;
  matrix: Matrix;
}

function Chosen({ index, route, filtered, ledgers, matrix }: ChosenProps): JSX.Element {
  const { query } = route;
  const tasks = matrix.filter(([name]) => ledgers[name]?.artifacts);
  if (tasks.length === 0) return <p class="note">No task has logged an artefact.</p>;
  const pictured = tasks.find(([name]) => Object.values(ledgers[name]!.artifacts!).some(isImage));
  const [task, letters] = tasks.find(([name]) => name === query.get("task")) ?? pictured ?? tasks[0]!;
  const known = Object.entries(ledgers[task]!.artifacts!);
  const name = (known.find(([one]) => one === query.get("name")) ??
    known.find(([, type]) => isImage(type)) ??
    known[0]!)[0];
  const count = Number(query.get("count")) || COUNTS[0]!;
  const runs = filtered.runs.filter((run) => run.detail && has(letters[run.number])).slice(0, count);
  const set = (changes: Record<string, string | undefined>) => replace(changed(route, changes));
  return (
    <>
      <div class="bar">
        <FilterBox route={route} filtered={filtered} />
        <label>
          Task{" "}
          <select value={task} onChange={(event) => set({ task: event.currentTarget.value, name: undefined })}>
            {tasks.map(([one]) => (
              <option>{one}</option>
            ))}
          </select>
        </label>
        <label>
          Artefact{" "}
          <select value={name} onChange={(event) => set({ name: event.currentTarget.value })}>
            {known.map(([one]) => (
              <option>{one}</option>
            ))}
          </select>
        </label>
        <label>
          Last{" "}
          <select value={count} onChange={(event) => set({ count: event.currentTarget.value })}>
            {COUNTS.map((one) => (
              <option>{one}</option>
            ))}
          </select>
        </label>
      </div>
      <FilterNotes index={index} route={route} filtered={filtered} />
      <Loaded key={`${task}\n${name}`} task={task} name={name} runs={runs} route={route} />
    </>
  );
}

const isImage = (type: string): boolean => type.startsWith("image/");
const has = (letter: string | undefined): boolean =>
  ["ran", "restored", "up_to_date"].includes(statusOf(letter) ?? "");

interface Shown {
  run: RunRow;
  artifact: Artifact | undefined;
  /** It is, byte by byte, the one of the run before. */
  same: boolean;
}

const contentOf = (artifact: Artifact | undefined): string | undefined =>
  artifact && (artifact.file ?? artifact.text ?? artifact.digest);

function Loaded({
  task,
  name,
  runs,
  route,
}: {
  task: string;
  name: string;
  runs: RunRow[];
  route: Route;
}): JSX.Element {
  const details = useChunks<RunDetail>(runs.map((run) => `run/${run.id}`));
  const refs = Array.isArray(details)
    ? details.map((run) => run.tasks.find((one) => one.name === task)?.detail ?? "")
    : [];
  const found = useChunks<Detail>([...new Set(refs.filter(Boolean))].map((ref) => `content/${ref}`));
  if (!Array.isArray(details) || !Array.isArray(found))
    return <Waiting error={[details, found].find((one) => one instanceof Error) as Error} what="The artefacts" />;
  const unique = [...new Set(refs.filter(Boolean))];
  const artifacts = refs.map((ref) => found[unique.indexOf(ref)]?.artifacts?.find((one) => one.name === name));
  const shown = runs.map((run, i) => ({
    run,
    artifact: artifacts[i],
    same: artifacts[i] !== undefined && contentOf(artifacts[i]) === contentOf(artifacts[i + 1]),
  }));
  if (shown.length === 0) return <p class="note">No run that is left has this task&#39;s result.</p>;
  if (!shown.some((one) => one.artifact))
    return (
      <p class="note">
        None of the last {plural(shown.length, "run")} with this task&#39;s result logged {name}. Look at more of
        them, or filter.
      </p>
    );
  const pictures = shown.every((one) => !one.artifact || isPicture(one.artifact));
  const wanted = route.query.get("view") as View;
  const view = pictures && VIEWS.includes(wanted) ? wanted : "grid";
  return (
    <>
      {pictures && (
        <div class="bar modes" role="radiogroup" aria-label="How to show the pictures">
          {VIEWS.map((one) => (
            <label>
              <input
                type="radio"
                name="view"
                checked={view === one}
                onChange={() => replace(changed(route, { view: one === "grid" ? undefined : one }))}
              />
              {one}
            </label>
          ))}
        </div>
      )}
      {view === "one after the other" ? (
        <Sequence shown={shown.filter((one) => one.artifact).reverse()} task={task} />
      ) : (
        <Grid shown={shown} task={task} pictures={pictures} difference={view === "difference"} />
      )}
    </>
  );
}

function Which({ of: { run, same }, task }: { of: Shown; task: string }): JSX.Element {
  return (
    <figcaption>
      <a href={taskHref(run.id, task)}>{time(run.started)}</a>
      <span>
        {run.branch} <Commit run={run} />
      </span>
      {same && <span class="tag">unchanged</span>}
    </figcaption>
  );
}

interface GridProps {
  shown: Shown[];
  task: string;
  pictures: boolean;
  difference: boolean;
}

function Grid({ shown, task, pictures, difference }: GridProps): JSX.Element {
  const [zoom, setZoom] = useState(1);
  const [focus, setFocus] = useState<[x: number, y: number]>([50, 50]);
  const [baseline, setBaseline] = useState(shown.at(-1)!.run.id);
  const base = shown.find((one) => one.run.id === baseline)?.artifact;
  function move(event: PointerEvent): void {
    if (zoom === 1) return;
    const box = (event.currentTarget as Element).getBoundingClientRect();
    setFocus([((event.clientX - box.left) / box.width) * 100, ((event.clientY - box.top) / box.height) * 100]);
  }
  function press(event: KeyboardEvent): void {
    const steps: Record<string, [number, number]> = {
      ArrowLeft: [-5, 0],
      ArrowRight: [5, 0],
      ArrowUp: [0, -5],
      ArrowDown: [0, 5],
    };
    const step = steps[event.key];
    if (!step || zoom === 1) return;
    const clamped = (item: number) => Math.max(0, Math.min(100, item));
    setFocus([clamped(focus[0] + step[0]), clamped(focus[1] + step[1])]);
    event.preventDefault();
  }
  const style = zoom > 1 ? { transform: `scale(${zoom})`, transformOrigin: `${focus[0]}% ${focus[1]}%` } : {};
  return (
    <>
      {pictures && (
        <div class="bar">
          <label class="share">
            Zoom
            <input
              type="range"
              min="1"
              max="8"
              step="0.5"
              value={zoom}
              onInput={(event) => setZoom(Number(event.currentTarget.value))}
            />
            <span class="num">{zoom} ×</span>
          </label>
          {difference && <span class="note">What differs is three times as bright.</span>}
          {zoom > 1 && <span class="note">The pointer, or the arrow keys, move all pictures.</span>}
          {difference && (
            <label>
              Baseline{" "}
              <select value={baseline} onChange={(event) => setBaseline(event.currentTarget.value)}>
                {shown.map(({ run }) => (
                  <option value={run.id}>
                    {time(run.started)} {run.branch}
                  </option>
                ))}
              </select>
            </label>
          )}
        </div>
      )}
      <div
        class={pictures ? "multiples" : "multiples wide"}
        tabIndex={0}
        role="group"
        aria-label={`The artefact of ${plural(shown.length, "run")}`}
        onKeyDown={press}
      >
        {shown.map((one) => (
          <figure class={pictures ? "artifact multiple" : "artifact"} key={one.run.id}>
            <Which of={one} task={task} />
            <div>
              {!one.artifact ? (
                <p class="note">not logged in this run</p>
              ) : !pictures ? (
                <ArtifactContent artifact={one.artifact} />
              ) : (
                <div class={difference ? "pane dark" : "pane"} onPointerMove={move}>
                  <img
                    src={one.artifact.file!}
                    alt={`${one.artifact.name}, ${time(one.run.started)}`}
                    style={style}
                  />
                  {difference && base?.file && one.run.id !== baseline && (
                    <img src={base.file} class="over" alt="" style={{ ...style, mixBlendMode: "difference" }} />
                  )}
                </div>
              )}
              {difference && one.run.id === baseline && <p class="note">the baseline</p>}
            </div>
          </figure>
        ))}
      </div>
    </>
  );
}

/** The pictures in the order of time, under one slider. */
function Sequence({ shown, task }: { shown: Shown[]; task: string }): JSX.Element {
  const [at, setAt] = useState(shown.length - 1);
  const one = shown[Math.min(at, shown.length - 1)];
  if (!one) return <p class="note">No run that is left has it.</p>;
  return (
    <div class="sequence">
      <label class="share">
        {time(shown[0]!.run.started).slice(0, 10)}
        <input
          type="range"
          min="0"
          max={shown.length - 1}
          value={at}
          aria-label="Run"
          aria-valuetext={`${time(one.run.started)} ${one.run.branch ?? ""}`}
          onInput={(event) => setAt(Number(event.currentTarget.value))}
        />
        {time(shown.at(-1)!.run.started).slice(0, 10)}
      </label>
      <figure class="artifact picture">
        <Which of={one} task={task} />
        <img src={one.artifact!.file!} alt={`${one.artifact!.name}, ${time(one.run.started)}`} />
      </figure>
    </div>
  );
}
