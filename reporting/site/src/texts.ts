// The libraries for texts, which are loaded with the first page that shows any.
import { useEffect, useState } from "preact/hooks";
import { loadScript } from "./chunks.ts";
import type { Texts } from "./texts_bundle.ts";

const found = (): Texts | undefined => (globalThis as unknown as { nbdag?: { texts?: Texts } }).nbdag?.texts;

/** The libraries; only below what has waited for them. */
export const texts = (): Texts => found()!;

let loading: Promise<Texts> | undefined;

/** Whether the libraries are there, or were not wanted; an error where they cannot be loaded. */
export function useTexts(wanted: boolean): boolean | Error {
  const [state, set] = useState<boolean | Error>(false);
  useEffect(() => {
    if (!wanted || found()) return;
    loading ??= loadScript<Texts>("texts");
    loading.then(() => set(true), set);
  }, [wanted]);
  return !wanted || found() !== undefined || state;
}
