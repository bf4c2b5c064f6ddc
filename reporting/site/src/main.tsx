// The site's one application: its frame, its pages, and which of them the address asks for.
import { type JSX, options, render } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { guard } from "./addresses.ts";
import { ArtefactsPage } from "./artefacts_page.tsx";
import { knowShards, load, receive, renew } from "./chunks.ts";
import { ComparePage } from "./compare_page.tsx";
import { ExplorePage } from "./explore_page.tsx";
import { plural } from "./format.ts";
import { Guarded } from "./guarded.tsx";
import { HistoryPage } from "./history_page.tsx";
import { BlamePage, JudgementsPage, VerdictPage } from "./judgements_page.tsx";
import { LivePage } from "./live_page.tsx";
import { LiveTaskPage } from "./live_task.tsx";
import { MatrixPage } from "./matrix_page.tsx";
import { Index, type ShardRows, type StoredIndex } from "./model.ts";
import { href, type Route, split, useRoute } from "./route.ts";
import { RunPage } from "./run_page.tsx";
import { RunsPage } from "./runs_page.tsx";
import { loadMore, onMore } from "./shards.ts";
import { follow, isLive } from "./stream.ts";
import { TaskPage } from "./task_page.tsx";
import { TasksPage } from "./tasks_page.tsx";
import { useTexts } from "./texts.ts";
import { ThemeButton } from "./theme.tsx";
import { AnotherSite, useRevealed, Waiting } from "./ui.tsx";
import { Views } from "./views.tsx";

interface Shown {
  index: Index;
  route: Route;
}

/** The pages that are in the navigation, in its order: one entry adds one. */
const PAGES: { path: string; label: string; show: (shown: Shown) => JSX.Element }[] = [
  ...(isLive ? [{ path: "live", label: "Live", show: Live }] : []),
  { path: "runs", label: "Runs", show: RunsPage },
  { path: "tasks", label: "Tasks", show: TasksPage },
  { path: "explore", label: "Explore", show: ExplorePage },
  { path: "artefacts", label: "Artefacts", show: ArtefactsPage },
  { path: "matrix", label: "Tasks × runs", show: MatrixPage },
  { path: "compare", label: "Compare", show: ComparePage },
  { path: "history", label: "History", show: HistoryPage },
  { path: "verdicts", label: "Verdicts", show: JudgementsPage },
];
/** Under which page of the navigation the pages below stand. */
const ABOVE: Record<string, string> = { run: "runs", verdict: "verdicts", blame: "verdicts" };
const FIRST = PAGES[0]!.path;

function App({ index, failure }: { index: Index; failure: Error | undefined }): JSX.Element {
  const route = useRoute();
  const [page = FIRST, id = "", part] = route.path;
  const main = useRef<HTMLElement>(null);
  const address = route.path.join("/");
  const first = useRef(true);
  useEffect(() => {
    if (!first.current) {
      main.current!.focus({ preventScroll: true });
      scrollTo(0, 0);
    }
    first.current = false;
  }, [address]);
  useEffect(() => {
    // a page may get its heading when its data has come
    const entitle = () => {
      const heading = main.current!.querySelector("h1")?.textContent;
      const of = page === "run" && part === "task" ? ` · run ${id}` : "";
      document.title = `${heading || PAGES.find(({ path }) => path === page)?.label || "Runs"}${of} · ${name}`;
    };
    entitle();
    const observer = new MutationObserver(entitle);
    observer.observe(main.current!, { childList: true, subtree: true });
    return () => observer.disconnect();
  }, [address]);
  const pages = useRevealed(page);
  const name = index.newest[0]?.pipeline || "nbdag";
  const skip = (event: Event) => {
    event.preventDefault();
    main.current!.focus();
  };
  return (
    <>
      {/* biome-ignore lint/a11y/useValidAnchor: it is a link to the main part; only that the hash is the page's route */}
      <a class="skip" href="#main" onClick={skip}>
        Skip to content
      </a>
      <header class="top">
        <a class="brand" href={href([FIRST])}>
          <svg viewBox="0 0 24 24" width="20" height="20" aria-hidden="true">
            <path
              d="M5 6h5a3 3 0 0 1 3 3v6a3 3 0 0 0 3 3h3M13 12h6"
              fill="none"
              stroke="currentColor"
              stroke-width="1.6"
            />
            <circle cx="5" cy="6" r="2.4" />
            <circle cx="19" cy="12" r="2.4" />
            <circle cx="19" cy="18" r="2.4" />
          </svg>
          {name}
        </a>
        <nav aria-label="Pages" ref={pages}>
          {PAGES.filter(({ path }) => path !== "verdicts" || index.judgements > 0).map(({ path, label }) => (
            <a href={href([path])} aria-current={path === (ABOVE[page] ?? page) ? "page" : undefined}>
              {label}
            </a>
          ))}
        </nav>
        <Views index={index} route={route} />
        <ThemeButton />
      </header>
      <main id="main" tabIndex={-1} ref={main} key={page in ABOVE || page === "live" ? address : page}>
        <Guarded what="This page" key={address}>
          <Page index={index} route={route} failure={failure} />
        </Guarded>
      </main>
      <footer class="foot">
        {plural(index.total, "run")} · times are of your zone, {Intl.DateTimeFormat().resolvedOptions().timeZone} ·
        written by nbdag · <a href="NOTICES.txt">licences</a>
      </footer>
    </>
  );
}

function Page({ index, route, failure }: Shown & { failure: Error | undefined }): JSX.Element {
  const [page = FIRST, id = "", part, task] = route.path;
  const reads = (page === "run" && part === "task") || (page === "live" && id === "task");
  const texts = useTexts(reads || page === "compare" || page === "artefacts");
  const named = page === "run" ? [id] : page === "compare" ? split(route.query.get("runs")) : [];
  const older = index.complete
    ? [...new Set(named.flatMap((one) => (index.byId.has(one) ? [] : index.mayHold(one))))]
    : [];
  useEffect(() => {
    if (older.length) loadMore(older);
  }, [older.join()]);
  // the table of runs begins with what comes with the index, other pages want all of it
  if (older.length || (!index.complete && page !== "runs" && page !== "live"))
    return <Unready route={route} error={failure} what="The runs" />;
  if (texts !== true) return <Unready route={route} error={texts || undefined} what="The page" />;
  if (page === "run") {
    return part === "task" && task !== undefined ? (
      <TaskPage index={index} id={id} name={task} route={route} />
    ) : (
      <RunPage index={index} id={id} route={route} />
    );
  }
  if (page === "verdict") return <VerdictPage index={index} id={id} />;
  if (page === "blame") return <BlamePage index={index} id={id} />;
  const Listed = PAGES.find(({ path }) => path === page)?.show ?? NoPage;
  return <Listed index={index} route={route} />;
}

/** A page before what it needs is there, or without it: with its heading, as each page. */
function Unready({ route, error, what }: { route: Route; error: Error | undefined; what: string }): JSX.Element {
  const [page = FIRST, id = "", , task] = route.path;
  return (
    <>
      <h1>{PAGES.find(({ path }) => path === page)?.label ?? task ?? `Run ${id}`}</h1>
      <Waiting error={error} what={what} />
    </>
  );
}

function Live({ index, route }: Shown): JSX.Element {
  const [, id, part] = route.path;
  return id === "task" && part !== undefined ? (
    <LiveTaskPage index={index} name={part} />
  ) : (
    <LivePage index={index} route={route} />
  );
}

function NoPage(): JSX.Element {
  return (
    <>
      <h1>Page not found</h1>
      <p>
        <a href={href(["runs"])}>All runs</a>
      </p>
    </>
  );
}

/** Stands below the last runs that the page has without its data. */
const Unreadable = (): JSX.Element => (
  <p class="complaint" role="alert">
    data/index.js is gone or damaged: the other pages cannot be shown. <AnotherSite />
  </p>
);

guard(options);
(window as unknown as { nbdag: unknown }).nbdag = { load: receive };

let stored: StoredIndex;
let begun = false;
let failure: Error | undefined;
const loaded = new Map<number, ShardRows>();

function show(): void {
  render(<App index={new Index(stored, loaded)} failure={failure} />, document.getElementById("app")!);
}

/** Load shards besides those that are there, and show the runs of all. */
async function add(places: readonly number[]): Promise<void> {
  try {
    const rows = await Promise.all(places.map((place) => load<ShardRows>(`shard/${place}/rows`)));
    places.forEach((place, i) => void loaded.set(place, rows[i]!));
  } catch (error) {
    failure = error as Error;
  }
  show();
}

/** Take an index in, and the shards that it recommends, unless its own rows are all of these. */
function take(index: StoredIndex): Promise<void> {
  stored = index;
  knowShards(stored.shards.map(({ version }) => version));
  const recent = [...stored.shards.keys()].slice(stored.recent);
  return add(new Index(stored).complete && loaded.size === 0 ? [] : [...new Set([...loaded.keys(), ...recent])]);
}

onMore((places) => void add(loaded.size ? places : [...stored.shards.keys()].slice(stored.recent).concat(places)));
// the script of the index has run by then
addEventListener("load", () => {
  if (!begun)
    render(<Unreadable />, document.querySelector("main.static")!.appendChild(document.createElement("div")));
});
void load<StoredIndex>("index").then((index) => {
  begun = true;
  document.getElementById("app")!.replaceChildren();
  stored = index;
  show();
  void take(index);
  if (isLive) follow((version) => void renew<StoredIndex>(version)?.then(take));
});
