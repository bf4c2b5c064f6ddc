// Small parts that many pages share.
import type { ComponentChildren, JSX, RefObject } from "preact";
import { useEffect, useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { isWeb } from "./addresses.ts";
import { pieces } from "./ansi.ts";
import { content } from "./chunks.ts";
import { bytes, value } from "./format.ts";
import type { LongText, Status } from "./model.ts";

const GLYPHS: Record<string, [glyph: string, label: string]> = {
  ran: ["●", "ran"],
  restored: ["↺", "restored"],
  up_to_date: ["○", "up to date"],
  failed: ["✕", "failed"],
  skipped: ["–", "skipped"],
  cancelled: ["∅", "cancelled"],
  running: ["▸", "running"],
  queued: ["◌", "queued"],
  waiting: ["·", "waiting"],
  success: ["✓", "success"],
  failure: ["✕", "failure"],
  error: ["!", "error"],
  cancellation: ["∅", "cancelled"],
  interrupted: ["…", "interrupted"],
  succeeded: ["✓", "succeeded"],
  timeout: ["◷", "timed out"],
  lost: ["!", "lost"],
  identical: ["=", "identical"],
  equal: ["≈", "equal within tolerance"],
  differs: ["≠", "differs"],
  could_not_run: ["?", "could not run"],
  found: ["→", "found"],
  noise: ["~", "within noise"],
  elsewhere: ["?", "not among the changes"],
  unclear: ["?", "not the only ones"],
};

export const glyph = (status: string): string => GLYPHS[status]?.[0] ?? "?";
export const label = (status: string): string => GLYPHS[status]?.[1] ?? status;
export const STATUSES: readonly Status[] = ["ran", "restored", "up_to_date", "failed", "skipped", "cancelled"];

export function Badge({ of, text }: { of: string; text?: string | undefined }): JSX.Element {
  return (
    <span class={`badge is-${of}`}>
      <span class="glyph" aria-hidden="true">
        {glyph(of)}
      </span>
      {text ?? label(of)}
    </span>
  );
}

/** What helps where a file of the site is gone or damaged; runs whose records are gone are in the old one alone. */
export const AnotherSite = (): JSX.Element => (
  <>
    Move the folder of the site aside, and write another with <code>nbdag report</code>.
  </>
);

export const LeftOut = ({ of }: { of: string }): JSX.Element => (
  <p class="note">The details of {of} were left out, to limit the size of the site.</p>
);

/** Shown while a chunk loads, and when it cannot be loaded. */
export function Waiting({ error, what }: { error?: Error | undefined; what: string }): JSX.Element {
  return error ? (
    <p class="note" role="alert">
      {what} cannot be shown: {error.message}. <AnotherSite />
    </p>
  ) : (
    <p class="note loading">Loading {what} …</p>
  );
}

/** What a terminal would show. */
export function Coloured({ text }: { text: string }): JSX.Element {
  return (
    <>
      {pieces(text).map(({ text, classes, style }) =>
        classes || style ? (
          <span class={classes} style={style ?? {}}>
            {text}
          </span>
        ) : (
          text
        ),
      )}
    </>
  );
}

export function Ansi({ text }: { text: string }): JSX.Element {
  return (
    <pre class="text" tabIndex={0}>
      <Coloured text={text} />
    </pre>
  );
}

/** A text, or a button that loads it. */
export function Long({ text }: { text: LongText }): JSX.Element {
  const [loaded, set] = useState<string | Error | undefined>(typeof text === "string" ? text : undefined);
  if (typeof loaded === "string") return <Ansi text={loaded} />;
  if (loaded) return <Waiting error={loaded} what="The text" />;
  const { ref, size } = text as Exclude<LongText, string>;
  return (
    <button type="button" onClick={() => content<string>(ref).then(set, set)}>
      Show {bytes(size)} of text
    </button>
  );
}

export function Fragment({
  make,
  of,
  class: name,
}: {
  make: (text: string) => DocumentFragment;
  of: string;
  class: string;
}): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => place.current!.replaceChildren(make(of)), [of]);
  return <div class={name} ref={place} />;
}

/** A link out of the site, or only its text where the address is not one of the web. */
export function Outside({
  to,
  class: name,
  children,
}: {
  to: string | null | undefined;
  class?: string;
  children: ComponentChildren;
}): JSX.Element {
  return to && isWeb(to) ? (
    <a class={name ?? ""} href={to} rel="noopener noreferrer">
      {children}
    </a>
  ) : (
    <span class={name ?? ""}>{children}</span>
  );
}

export function Facts({ rows }: { rows: [name: string, value: ComponentChildren][] }): JSX.Element {
  const shown = rows.filter(([, item]) => item !== undefined && item !== null && item !== "" && item !== false);
  return (
    <dl class="facts">
      {shown.map(([name, item]) => (
        <div>
          <dt>{name}</dt>
          <dd>{item}</dd>
        </div>
      ))}
    </dl>
  );
}

/** A name that breaks after its dots, where it must. */
const breakable = (name: string): ComponentChildren =>
  name.split(/(?<=\.)/).map((part, i) => (i ? [<wbr />, part] : part));

export function Values({
  of,
  caption,
}: {
  of: Record<string, unknown> | undefined;
  caption: string;
}): JSX.Element | null {
  const names = Object.keys(of ?? {}).sort();
  if (names.length === 0) return null;
  return (
    <div class="scroll" tabIndex={0} role="group" aria-label={caption}>
      <table class="plain">
        <caption>{caption}</caption>
        <tbody>
          {names.map((name) => (
            <tr>
              <th scope="row">{breakable(name)}</th>
              <td class={typeof of![name] === "number" ? "num" : ""}>{value(of![name])}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export interface Tab {
  id: string;
  label: string;
  count?: number | undefined;
}

/** Where links do not fit beside each other, bring the one into sight that is `at`. */
export function useRevealed(at: string): RefObject<HTMLElement | null> {
  const place = useRef<HTMLElement>(null);
  useLayoutEffect(() => {
    const box = place.current!.getBoundingClientRect();
    const current = place.current!.querySelector("[aria-current]")?.getBoundingClientRect();
    if (current) place.current!.scrollLeft += current.left - box.left - (box.width - current.width) / 2;
  }, [at]);
  return place;
}

/** The width of an element, once it is there. */
export function useWidth(place: RefObject<HTMLElement | null>, first: number, isThere = true): number {
  const [width, set] = useState(first);
  useLayoutEffect(() => {
    if (!isThere) return;
    const measure = () => set(place.current!.clientWidth);
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(place.current!);
    return () => observer.disconnect();
  }, [isThere]);
  return width;
}

/** Tabs whose choice is in the address, so they are links. */
export function Tabs({
  tabs,
  at,
  to,
  label: name,
}: {
  tabs: Tab[];
  at: string;
  to: (id: string) => string;
  label: string;
}): JSX.Element {
  const place = useRevealed(at);
  return (
    <nav class="tabs" aria-label={name} ref={place}>
      {tabs.map((tab) => (
        <a href={to(tab.id)} aria-current={tab.id === at ? "page" : undefined}>
          {tab.label}
          {tab.count !== undefined && <small>{tab.count}</small>}
        </a>
      ))}
    </nav>
  );
}

/** A button with a panel that closes by Escape, and by a click elsewhere. */
export function Menu({ label: name, children }: { label: string; children: ComponentChildren }): JSX.Element {
  const [open, set] = useState(false);
  const id = useId();
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!open) return;
    const close = (event: Event) => {
      if (event instanceof KeyboardEvent ? event.key === "Escape" : !place.current!.contains(event.target as Node))
        set(false);
    };
    addEventListener("keydown", close);
    addEventListener("pointerdown", close);
    return () => {
      removeEventListener("keydown", close);
      removeEventListener("pointerdown", close);
    };
  }, [open]);
  return (
    <div class="menu" ref={place}>
      <button type="button" aria-expanded={open} aria-controls={id} onClick={() => set(!open)}>
        {name} <span aria-hidden="true">▾</span>
      </button>
      <div id={id} class="panel" hidden={!open}>
        {open && children}
      </div>
    </div>
  );
}

/** A chart's numbers, for readers who cannot see it. */
export function DataTable({
  head,
  rows,
  onCsv,
}: {
  head: string[];
  rows: ComponentChildren[][];
  onCsv?: () => void;
}): JSX.Element {
  return (
    <details class="data">
      <summary>Show as a table</summary>
      {onCsv && (
        <button type="button" class="link" onClick={onCsv}>
          CSV
        </button>
      )}
      <PlainTable head={head} rows={rows} show={(cell) => cell} most={500} label="The data of the chart" />
    </details>
  );
}

/** A plain table, up to some rows; numbers are aligned to the right. */
export function PlainTable<Cell>({
  head,
  rows,
  show,
  most,
  label,
}: {
  head: string[];
  rows: Cell[][];
  show: (cell: Cell) => ComponentChildren;
  most: number;
  label: string;
}): JSX.Element {
  return (
    <>
      <div class="scroll" tabIndex={0} role="group" aria-label={label}>
        <table class="plain">
          <thead>
            <tr>
              {head.map((name, i) => (
                <th scope="col" class={typeof rows[0]?.[i] === "number" ? "num" : ""}>
                  {name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, most).map((row) => (
              <tr>
                {row.map((cell) => (
                  <td class={typeof cell === "number" ? "num" : ""}>{show(cell)}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {rows.length > most && (
        <p class="note">
          The first {most} of {rows.length} rows.
        </p>
      )}
    </>
  );
}

export function BranchSelect({
  branch,
  branches,
  to,
}: {
  branch: string;
  branches: string[];
  to: (branch: string) => void;
}): JSX.Element {
  return (
    <label>
      Branch{" "}
      <select value={branch} onChange={(event) => to(event.currentTarget.value)}>
        <option value="">all</option>
        {branches.map((name) => (
          <option>{name}</option>
        ))}
      </select>
    </label>
  );
}

export function download(name: string, parts: string, type: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([parts], { type }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
