// The facts of a run that can be a column of the table of runs, and a name in a filter: one entry for each.
import { seconds, value, zoned } from "./format.ts";
import type { RunRow } from "./model.ts";

export interface Fact {
  /** What filters compare and columns sort by. */
  of: (run: RunRow) => unknown;
  /** Whether it is a number, shown at the right. */
  numeric: boolean;
  /** The heading of its column, if that is not its name. */
  label?: string;
  /** When it is a column although nobody chose it. */
  shown?: "always" | "if any run has it";
  /** Its text in a cell; what is more than text is in `columns.tsx`. */
  text?: (item: unknown) => string;
}

const count = (name: "ran" | "restored" | "up_to_date" | "failed" | "skipped" | "cancelled"): Fact => ({
  of: (run) => run[name],
  numeric: true,
});

/** In the order of the columns. */
export const FACTS: Record<string, Fact> = {
  id: { of: (run) => run.id, numeric: false },
  pipeline: { of: (run) => run.pipeline, numeric: false },
  started: { of: (run) => zoned(run.started), numeric: false, shown: "always" },
  result: { of: (run) => run.result, numeric: false, shown: "always" },
  duration: {
    of: (run) => run.seconds,
    numeric: true,
    shown: "always",
    text: (item) => seconds(item as number | null),
  },
  tasks: { of: (run) => run.total, numeric: false, label: "what ran", shown: "always" },
  saved: {
    of: (run) => run.saved,
    numeric: true,
    label: "time saved",
    shown: "always",
    text: (item) => (item ? seconds(item as number) : ""),
  },
  branch: { of: (run) => run.branch, numeric: false, shown: "always" },
  commit: { of: (run) => run.commit, numeric: false, shown: "always" },
  dirty: {
    of: (run) => run.dirty,
    numeric: false,
    text: (item) => (item === null ? "" : item ? "yes" : "no"),
  },
  change: { of: (run) => run.change, numeric: false },
  trigger: { of: (run) => run.trigger, numeric: false, shown: "if any run has it" },
  profile: { of: (run) => run.profile ?? null, numeric: false, shown: "if any run has it" },
  ran: count("ran"),
  restored: count("restored"),
  up_to_date: { ...count("up_to_date"), label: "up to date" },
  failed: count("failed"),
  skipped: count("skipped"),
  cancelled: count("cancelled"),
};

/** The facts that are columns although nobody chose them. */
export const shownFacts = (runs: RunRow[]): string[] =>
  Object.entries(FACTS)
    .filter(([, { of, shown }]) => shown === "always" || (shown && runs.some((run) => Boolean(of(run)))))
    .map(([name]) => name);

export const text = (fact: Fact, item: unknown): string => (fact.text ? fact.text(item) : value(item));
