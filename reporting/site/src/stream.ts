// Follows the events of the current run on the server: not while the page is hidden, and from there on once it is shown.
import { useEffect, useReducer } from "preact/hooks";
import { fold, type LiveEvent, type LiveRun, newRun } from "./live.ts";

/** Whether the page comes from a server that has the current run. */
export const isLive = document.documentElement.dataset.live !== undefined;

const AGAIN = 1000;
const listeners = new Set<() => void>();
let run: LiveRun | undefined;
let connected = true;
let complaint = "";
let last = "";
let source: EventSource | undefined;
let drawing = false;

function changed(): void {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    for (const listener of listeners) listener();
  });
}

function connect(renew: (version: string) => void): void {
  source?.close();
  source = undefined;
  if (document.hidden) return;
  source = new EventSource(`live/events?${encodeURIComponent(last)}`);
  source.addEventListener("run", (message) => {
    last = message.lastEventId;
    run = newRun(message.data as string);
    changed();
  });
  source.addEventListener("message", (message) => {
    last = message.lastEventId;
    for (const line of (message.data as string).split("\n")) fold(run!, JSON.parse(line) as LiveEvent);
    changed();
  });
  source.addEventListener("report", (message) => renew(message.data as string));
  source.addEventListener("complaint", (message) => {
    complaint = message.data as string;
    changed();
  });
  source.addEventListener("open", () => {
    connected = true;
    changed();
  });
  source.addEventListener("error", () => {
    source?.close();
    connected = false;
    changed();
    setTimeout(connect, AGAIN, renew);
  });
}

/** Begin; `renew` is called with the version of the site whenever it was written. */
export function follow(renew: (version: string) => void): void {
  connect(renew);
  document.addEventListener("visibilitychange", () => connect(renew));
}

/** The current run, else the last one, and the reason that no next one can begin; every change draws again. */
export function useStream(): { run: LiveRun | undefined; connected: boolean; complaint: string } {
  const [, draw] = useReducer<number, void>((count) => count + 1, 0);
  useEffect(() => {
    const listener = () => draw();
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }, []);
  return { run, connected, complaint };
}

/** The present time, which advances while something runs. */
export function useNow(moves: boolean): number {
  const [, draw] = useReducer<number, void>((count) => count + 1, 0);
  useEffect(() => {
    if (!moves) return;
    const timer = setInterval(() => draw(), 500);
    return () => clearInterval(timer);
  }, [moves]);
  return Date.now();
}
