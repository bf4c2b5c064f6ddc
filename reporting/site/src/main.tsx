// The site's one application: its frame, its pages, and which of them the address asks for.
import { type JSX, options, render } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { guard } from "./addresses.ts";
import { ArtefactsPage } from "./artefacts_page.tsx";
import { load, receive, renew } from "./chunks.ts";
import { ComparePage } from "./compare_page.tsx";
import { ExplorePage } from "./explore_page.tsx";
import { plural } from "./format.ts";
import { Guarded } from "./guarded.tsx";
import { HistoryPage } from "./history_page.tsx";
import { BlamePage, JudgementsPage, VerdictPage } from "./judgements_page.tsx";
import { LivePage } from "./live_page.tsx";
import { LiveTaskPage } from "./live_task.tsx";
import { MatrixPage } from "./matrix_page.tsx";
import { Index, type StoredIndex } from "./model.ts";
import { href, type Route, useRoute } from "./route.ts";
import { RunPage } from "./run_page.tsx";
import { RunsPage } from "./runs_page.tsx";
import { follow, isLive } from "./stream.ts";
import { TaskPage } from "./task_page.tsx";
import { TasksPage } from "./tasks_page.tsx";
import { ThemeButton } from "./theme.tsx";

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

function App({ index }: { index: Index }): JSX.Element {
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
        <nav aria-label="Pages">
          {PAGES.filter(({ path }) => path !== "verdicts" || index.judgements > 0).map(({ path, label }) => (
            <a href={href([path])} aria-current={path === (ABOVE[page] ?? page) ? "page" : undefined}>
              {label}
            </a>
          ))}
        </nav>
        <ThemeButton />
      </header>
      <main id="main" tabIndex={-1} ref={main} key={page in ABOVE || page === "live" ? address : page}>
        <Guarded what="This page" key={address}>
          <Page index={index} route={route} />
        </Guarded>
      </main>
      <footer class="foot">
        {plural(index.runs.length, "run")} · times are of your zone,{" "}
        {Intl.DateTimeFormat().resolvedOptions().timeZone} · written by nbdag · <a href="NOTICES.txt">licences</a>
      </footer>
    </>
  );
}

function Page({ index, route }: Shown): JSX.Element {
  const [page = FIRST, id = "", part, task] = route.path;
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

guard(options);
(window as unknown as { nbdag: unknown }).nbdag = { load: receive };
function show(stored: StoredIndex): void {
  render(<App index={new Index(stored)} />, document.getElementById("app")!);
}

void load<StoredIndex>("index").then((stored) => {
  document.getElementById("app")!.replaceChildren();
  show(stored);
  if (isLive) follow((version) => void renew<StoredIndex>(version)?.then(show));
});
