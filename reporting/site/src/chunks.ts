// Loads the data of the site: classic scripts that call `nbdag.load(key, json)`, the one way that works from file://.
import { useEffect, useState } from "preact/hooks";

type Listener = { resolve: (value: unknown) => void; reject: (error: Error) => void };

const values = new Map<string, unknown>();
const pending = new Map<string, { promise: Promise<unknown>; listener: Listener }>();
type TrustedTypes = {
  createPolicy(
    name: string,
    rules: { createScriptURL(path: string): string },
  ): { createScriptURL(path: string): string };
};

/** The only scripts that the site loads are its own chunks; with Trusted Types the browser refuses every other. */
const scripts = { createScriptURL: chunkPath };
const policy =
  (globalThis as { trustedTypes?: TrustedTypes }).trustedTypes?.createPolicy("nbdag", scripts) ?? scripts;

let version = globalThis.document?.documentElement.dataset.version ?? "";
let newer = false;
let shards: readonly string[] = [];

const shardOf = (key: string): number | undefined => {
  const number = /^shard\/(\d+)\//.exec(key)?.[1];
  return number === undefined ? undefined : Number(number);
};

/** Tell the version of each shard: those that did not change stay, here and in the caches of browsers. */
export function knowShards(versions: readonly string[]): void {
  for (const known of [values, pending]) {
    for (const key of known.keys()) {
      const shard = shardOf(key);
      if (shard !== undefined && versions[shard] !== shards[shard]) known.delete(key);
    }
  }
  shards = versions;
}

export function receive(key: string, json: string): void {
  const value: unknown = JSON.parse(json);
  if (value === null) return; // no part of the site is nothing: it is damaged
  values.set(key, value);
  pending.get(key)?.listener.resolve(value);
}

export function chunkPath(path: string): string {
  if (/^(?:maths|texts)\.js\?\w*$/.test(path)) return path;
  if (/^data\/[^?#:\\]+\.js(?:\?\w*)?$/.test(path) && !path.includes("..")) return path;
  throw new Error(`${path} is no part of the site`);
}

function path(key: string): string {
  const content = /^content\/(.*)$/.exec(key)?.[1];
  if (content) return `data/content/${content.slice(0, 2)}/${content}.js`;
  const shard = shardOf(key);
  return `data/${encodeURI(key)}.js?${shard === undefined ? version : (shards[shard] ?? version)}`;
}

const fileOf = (address: string): string => address.replace(/\?.*/, "");

export function load<T>(key: string): Promise<T> {
  if (values.has(key)) return Promise.resolve(values.get(key) as T);
  const known = pending.get(key);
  if (known) return known.promise as Promise<T>;
  let listener!: Listener;
  const promise = new Promise<unknown>((resolve, reject) => (listener = { resolve, reject }));
  pending.set(key, { promise, listener });
  if (key !== "index" || newer) {
    const script = document.createElement("script");
    script.src = policy.createScriptURL(path(key));
    script.onerror = () => {
      pending.delete(key);
      listener.reject(new Error(`${fileOf(path(key))} could not be loaded`));
    };
    script.onload = () => {
      script.remove();
      if (values.has(key)) return;
      pending.delete(key);
      listener.reject(new Error(`${fileOf(path(key))} is damaged`));
    };
    document.head.append(script);
  }
  return promise as Promise<T>;
}

type SetFormula = (tex: string, spot: HTMLElement, display: boolean) => void;
let maths: Promise<SetFormula> | undefined;

/** Load what sets formulas, with its fonts: only pages with formulas ask for it. */
export function loadMaths(): Promise<SetFormula> {
  if (maths) return maths;
  const style = document.createElement("link");
  style.rel = "stylesheet";
  style.href = `maths.css?${version}`;
  document.head.append(style);
  maths = loadScript<SetFormula>("maths");
  return maths;
}

/** Load a script of the application that its first page does without, and give what it leaves under its name. */
export function loadScript<T>(name: "maths" | "texts"): Promise<T> {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = policy.createScriptURL(`${name}.js?${version}`);
    script.onload = () => {
      const left = (window as unknown as { nbdag: Partial<Record<string, T>> }).nbdag[name];
      if (left === undefined) reject(new Error(`${name}.js is damaged`));
      else resolve(left);
    };
    script.onerror = () => reject(new Error(`${name}.js could not be loaded`));
    document.head.append(script);
  });
}

/** Load the index of a site that was written again. All that was loaded before is forgotten, except content and shards. */
export function renew<T>(to: string): Promise<T> | undefined {
  if (to === version) return undefined;
  version = to;
  newer = true;
  for (const known of [values, pending]) {
    for (const key of known.keys()) if (!/^(?:content|shard)\//.test(key)) known.delete(key);
  }
  return load<T>("index");
}

export const content = <T>(ref: string): Promise<T> => load<T>(`content/${ref}`);

/** The values of some chunks once all are there; `undefined` before, an error where one is missing. */
export function useChunks<T>(keys: readonly string[]): T[] | Error | undefined {
  const joined = keys.join("\n");
  const ready = () => (keys.every((key) => values.has(key)) ? keys.map((key) => values.get(key) as T) : undefined);
  const [state, set] = useState<{ of: string; value: T[] | Error | undefined }>({ of: joined, value: ready() });
  useEffect(() => {
    let current = true;
    const done = (value: T[] | Error) => current && set({ of: joined, value });
    Promise.all(keys.map((key) => load<T>(key))).then(done, done);
    return () => {
      current = false;
    };
  }, [joined, version]);
  return state.of === joined ? state.value : ready();
}

export function useChunk<T>(key: string | undefined): T | Error | undefined {
  const all = useChunks<T>(key === undefined ? [] : [key]);
  return all instanceof Error ? all : all?.[0];
}

export const useContent = <T>(ref: string | undefined): T | Error | undefined =>
  useChunk<T>(ref === undefined ? undefined : `content/${ref}`);
