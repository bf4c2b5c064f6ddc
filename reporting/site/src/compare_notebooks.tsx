// The notebooks and artefacts of one task in two of the runs.
import type { JSX } from "preact";
import { isMoreThanNoise } from "./align.ts";
import { Artifacts } from "./artifacts.tsx";
import { useChunks, useContent } from "./chunks.ts";
import type { Compared } from "./compare.ts";
import { DataDiff } from "./data_view.tsx";
import { Scripts } from "./figure.tsx";
import { ImageDiff } from "./image_diff.tsx";
import type { Artifact, Cell, Detail, RunDetail } from "./model.ts";
import { NotebookDiff, TextDiff } from "./notebook_diff.tsx";
import { changed, type Route, replace } from "./route.ts";
import { Waiting } from "./ui.tsx";

interface Chosen {
  task: string;
  against: number;
  tasks: string[];
}

type Props = Compared & { route: Route };

const MOST_LOOKED_AT = 24;

const againstOf = ({ details, route }: Pick<Props, "details" | "route">): number =>
  Math.min(details.length - 1, Math.max(1, Number(route.query.get("against")) || 1));

function choose(
  { details, route }: Props,
  fits: (details: [Detail, Detail]) => boolean,
  differs: (details: [Detail, Detail]) => boolean,
  known: Map<string, Detail>,
): Chosen {
  const against = againstOf({ details, route });
  const pair = (name: string) =>
    [details[0]!, details[against]!].map((run) =>
      known.get(run.tasks.find((task) => task.name === name)?.detail ?? ""),
    );
  const tasks = details[0]!.tasks
    .map((task) => task.name)
    .filter((name) => {
      const [a, b] = pair(name);
      return a && b && fits([a, b]);
    });
  const differing = tasks.find((name) => differs(pair(name) as [Detail, Detail]));
  const asked = route.query.get("task");
  return { task: asked && tasks.includes(asked) ? asked : (differing ?? tasks[0] ?? ""), against, tasks };
}

function useDetails(details: RunDetail[]): Map<string, Detail> | Error | undefined {
  const refs = [...new Set(details.flatMap((run) => run.tasks.map((task) => task.detail)))];
  const loaded = useChunks<Detail>(refs.map((ref) => `content/${ref}`));
  return Array.isArray(loaded) ? new Map(refs.map((ref, i) => [ref, loaded[i]!])) : loaded;
}

function Chooser({
  chosen,
  labels,
  route,
  differs,
}: {
  chosen: Chosen;
  labels: string[];
  route: Route;
  differs: (task: string) => boolean;
}): JSX.Element {
  const set = (changes: Record<string, string>) => replace(changed(route, changes));
  return (
    <div class="bar">
      <label>
        Task{" "}
        <select value={chosen.task} onChange={(event) => set({ task: event.currentTarget.value })}>
          {chosen.tasks.map((name) => (
            <option value={name}>
              {name}
              {differs(name) ? " •" : ""}
            </option>
          ))}
        </select>
      </label>
      {labels.length > 2 && (
        <label>
          {labels[0]} against{" "}
          <select value={String(chosen.against)} onChange={(event) => set({ against: event.currentTarget.value })}>
            {labels.slice(1).map((name, i) => (
              <option value={String(i + 1)}>{name}</option>
            ))}
          </select>
        </label>
      )}
      <span class="note">• differs</span>
    </div>
  );
}

export function NotebooksDiff(props: Props): JSX.Element {
  const known = useDetails(props.details);
  if (!(known instanceof Map)) return <Waiting error={known} what="The notebooks" />;
  return <NotebooksOf {...props} known={known} />;
}

/** Of a task whose notebooks differ in more than noise, unless another is asked for. */
function NotebooksOf(props: Props & { known: Map<string, Detail> }): JSX.Element {
  const { details, labels, route, known } = props;
  const pairs = details[0]!.tasks.flatMap((task) => {
    const [x, y] = pairOf(details, { task: task.name, against: againstOf(props), tasks: [] }, known);
    return x?.notebook && y?.notebook && x.notebook !== y.notebook ? [[x.notebook, y.notebook] as const] : [];
  });
  const wanted = [...new Set(pairs.slice(0, MOST_LOOKED_AT).flat())];
  const books = useChunks<Cell[]>(wanted.map((ref) => `content/${ref}`));
  const loaded = new Map(Array.isArray(books) ? wanted.map((ref, i) => [ref, books[i]!]) : []);
  const differ = (x: Detail, y: Detail) => {
    const [one, other] = [loaded.get(x.notebook ?? ""), loaded.get(y.notebook ?? "")];
    return x.notebook !== y.notebook && (!one || !other || isMoreThanNoise(one, other));
  };
  if (books === undefined) return <Waiting what="The notebooks" />;
  const chosen = choose(
    props,
    ([a, b]) => Boolean(a.notebook && b.notebook),
    ([a, b]) => differ(a, b),
    known,
  );
  const [a, b] = pairOf(details, chosen, known);
  if (!a?.notebook || !b?.notebook) return <p class="note">No task has a notebook in both runs.</p>;
  const differs = (name: string) => {
    const [x, y] = pairOf(details, { ...chosen, task: name }, known);
    return Boolean(x && y && differ(x, y));
  };
  return (
    <>
      <Chooser chosen={chosen} labels={labels} route={route} differs={differs} />
      <Scripts.Provider value={{ ...a.scripts, ...b.scripts }}>
        <NotebookDiff before={a.notebook} after={b.notebook} labels={[labels[0]!, labels[chosen.against]!]} />
      </Scripts.Provider>
    </>
  );
}

export function ArtifactsDiff(props: Props): JSX.Element {
  const { details, labels, route } = props;
  const known = useDetails(details);
  if (!(known instanceof Map)) return <Waiting error={known} what="The artefacts" />;
  const chosen = choose(
    props,
    (pair) => pair.some((detail) => filesOf(detail).length > 0),
    ([a, b]) => unlike(a, b),
    known,
  );
  const [a, b] = pairOf(details, chosen, known);
  if (!a || !b) return <p class="note">No task has artefacts in both runs.</p>;
  const names = [...new Set([...filesOf(a), ...filesOf(b)].map((artifact) => artifact.name))];
  const find = (detail: Detail, name: string) => filesOf(detail).find((artifact) => artifact.name === name);
  const differs = (task: string) => {
    const [x, y] = pairOf(details, { ...chosen, task }, known);
    return Boolean(x && y && unlike(x, y));
  };
  return (
    <>
      <Chooser chosen={chosen} labels={labels} route={route} differs={differs} />
      {names.map((name) => (
        <ArtifactDiff
          name={name}
          before={find(a, name)}
          after={find(b, name)}
          labels={[labels[0]!, labels[chosen.against]!]}
        />
      ))}
    </>
  );
}

/** What it logged, and the declared outputs that were looked into. */
const filesOf = (detail: Detail): Artifact[] => [...(detail.artifacts ?? []), ...(detail.data ?? [])];
const unlike = (a: Detail, b: Detail): boolean => JSON.stringify(filesOf(a)) !== JSON.stringify(filesOf(b));

function pairOf(
  details: RunDetail[],
  chosen: Chosen,
  known: Map<string, Detail>,
): [Detail | undefined, Detail | undefined] {
  const find = (run: RunDetail | undefined) =>
    known.get(run?.tasks.find((task) => task.name === chosen.task)?.detail ?? "");
  return [find(details[0]), find(details[chosen.against])];
}

interface ArtifactProps {
  name: string;
  before: Artifact | undefined;
  after: Artifact | undefined;
  labels: [string, string];
}

function ArtifactDiff({ name, before, after, labels }: ArtifactProps): JSX.Element {
  const picture = (artifact: Artifact | undefined) =>
    artifact?.file && !artifact.file.endsWith(".bin") ? artifact.file : undefined;
  const one = useContent<string>(before?.text);
  const other = useContent<string>(after?.text);
  const [x, y] = [picture(before), picture(after)];
  const same =
    before &&
    after &&
    (before.file ?? before.text ?? before.digest) === (after.file ?? after.text ?? after.digest);
  return (
    <section>
      <h2>{name}</h2>
      {same ? (
        <details class="data">
          <summary>The same in both</summary>
          <Artifacts of={[after]} />
        </details>
      ) : x && y ? (
        <ImageDiff before={x} after={y} labels={labels} name={name} />
      ) : before?.preview && after?.preview ? (
        <>
          <DataDiff before={before.preview} after={after.preview} />
          {typeof one === "string" && typeof other === "string" && (
            <details class="data">
              <summary>Line by line</summary>
              <TextDiff before={one} after={other} />
            </details>
          )}
        </>
      ) : typeof one === "string" && typeof other === "string" && before?.text && after?.text ? (
        <TextDiff before={one} after={other} />
      ) : (
        <div class="sides">
          <div>{before ? <Artifacts of={[before]} /> : <span class="dim">not in {labels[0]}</span>}</div>
          <div>{after ? <Artifacts of={[after]} /> : <span class="dim">not in {labels[1]}</span>}</div>
        </div>
      )}
    </section>
  );
}
