// The whole state of a page is its hash: `#/run/<id>/task/<name>?view=graph`.
import { useEffect, useMemo, useState } from "preact/hooks";

export interface Route {
  path: string[];
  query: URLSearchParams;
}

export function parse(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  return { path: path.split("/").filter(Boolean).map(decode), query: new URLSearchParams(query) };
}

export function href(path: readonly string[], query: Record<string, string | undefined> = {}): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value) parameters.set(name, value);
  const text = parameters.toString();
  return `#/${path.map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
}

/** Change some of the query and keep the rest; `undefined` and empty text remove. */
export function changed(route: Route, changes: Record<string, string | undefined>): string {
  return href(route.path, { ...Object.fromEntries(route.query), ...changes });
}

/** Replace the state without an entry in the history: for changes at every key stroke. */
export function replace(hash: string): void {
  history.replaceState(null, "", hash);
  dispatchEvent(new HashChangeEvent("hashchange"));
}

export function go(hash: string): void {
  location.hash = hash;
}

export function useRoute(): Route {
  const [hash, set] = useState(location.hash);
  useEffect(() => {
    const update = () => set(location.hash);
    addEventListener("hashchange", update);
    // it may have changed between the first drawing and now
    update();
    return () => removeEventListener("hashchange", update);
  }, []);
  return useMemo(() => parse(hash), [hash]);
}

export const runHref = (id: string): string => href(["run", id]);
export const judgementHref = (row: { kind: string; id: string }): string => href([row.kind, row.id]);
export const taskHref = (id: string, task: string): string => href(["run", id, "task", task]);

/** Lists of names in one parameter: each is escaped, so that they may hold commas. */
export const joined = (names: readonly string[]): string => names.map(encodeURIComponent).join(",");
export const split = (text: string | null): string[] => (text ? text.split(",").map(decode) : []);

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
