// How each task fares over some runs, without a page: durations, failures, retries, hits, what they saved.
import { type Ledger, type Ledgers, type Matrix, type RunRow, type StoredColumn, statusOf } from "./model.ts";
import { durationTrend, type Trend } from "./regress.ts";

export interface Execution {
  run: RunRow;
  seconds: number;
  failed: boolean;
}

export interface TaskFacts {
  name: string;
  /** The task, unless several instances are taken together. */
  task: string | undefined;
  instances: number;
  executions: Execution[];
  failed: number;
  retried: number;
  hits: number;
  /** Seconds of all executions, and those that hits saved. */
  computed: number;
  saved: number;
  trend: Trend | undefined;
  /** The last run that executed it, or used its result. */
  last: RunRow | undefined;
  complaints: Complaint[];
}

/** What hurts, the worst first. */
export const COMPLAINTS = ["fails", "unsteady", "retried", "slower"] as const;
export type Complaint = (typeof COMPLAINTS)[number];

interface Member {
  name: string;
  letters: string;
  ledger: Ledger;
}

/** What is known of each task, or of each family of instances; `runs` are those that count, the oldest first. */
export function taskFacts(
  matrix: Matrix,
  ledgers: Ledgers,
  columns: readonly StoredColumn[],
  runs: readonly RunRow[],
  byFamily: boolean,
): TaskFacts[] {
  const families = new Map(columns.flatMap((column) => (column.family ? [[column.task, column.family]] : [])));
  const groups = new Map<string, Member[]>();
  for (const [task, letters] of matrix) {
    const name = byFamily ? (families.get(task) ?? task.replace(/\[.*\]$/, "")) : task;
    const members = groups.get(name) ?? [];
    groups.set(name, members);
    members.push({ name: task, letters, ledger: ledgers[task] ?? {} });
  }
  return [...groups].map(([name, members]) => factsOf(name, members, runs)).filter((facts) => facts.last);
}

function factsOf(name: string, members: readonly Member[], runs: readonly RunRow[]): TaskFacts {
  const facts: TaskFacts = {
    name,
    task: members.length === 1 ? members[0]!.name : undefined,
    instances: members.length,
    executions: [],
    failed: 0,
    retried: 0,
    hits: 0,
    computed: 0,
    saved: 0,
    trend: undefined,
    last: undefined,
    complaints: [],
  };
  let fails = false;
  let unsteady = false;
  const known = members.map(({ letters, ledger }) => ({
    letters,
    took: new Map(ledger.took),
    retried: new Map(ledger.retried),
    saved: holding(ledger.saved ?? []),
    unsteady: new Set(ledger.unsteady),
  }));
  for (const run of runs) {
    for (const member of known) {
      const status = statusOf(member.letters[run.number]);
      if (status === "up_to_date" || status === "restored") {
        facts.hits += 1;
        facts.saved += member.saved(run.number);
      } else if (status === "ran" || status === "failed") {
        const seconds = member.took.get(run.number);
        fails = status === "failed";
        if (fails) facts.failed += 1;
        if (member.retried.has(run.number)) facts.retried += 1;
        if (member.unsteady.has(run.number)) unsteady = true;
        if (seconds === undefined) continue;
        facts.executions.push({ run, seconds, failed: fails });
        facts.computed += seconds;
      } else continue;
      facts.last = run;
    }
  }
  facts.trend = durationTrend(facts.executions.filter((one) => !one.failed).map((one) => one.seconds));
  const complaints: Record<Complaint, boolean> = {
    fails,
    unsteady,
    retried: facts.retried > 0,
    slower: facts.trend?.mark === "worse",
  };
  facts.complaints = COMPLAINTS.filter((what) => complaints[what]);
  return facts;
}

/** Read a value that holds from a run on until the next that is named. */
function holding(pairs: readonly [run: number, value: number][]): (run: number) => number {
  return (run) => {
    let [low, high] = [0, pairs.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (pairs[middle]![0] <= run) low = middle + 1;
      else high = middle;
    }
    return pairs[low - 1]?.[1] ?? 0;
  };
}

/** The worst complaint first, then what took most time. */
export function byHurt(a: TaskFacts, b: TaskFacts): number {
  const weight = (facts: TaskFacts) =>
    facts.complaints.reduce((sum, what) => sum + 2 ** (COMPLAINTS.length - COMPLAINTS.indexOf(what)), 0);
  return weight(b) - weight(a) || b.computed - a.computed;
}

export interface Month {
  month: string;
  runs: number;
  computed: number;
  saved: number;
}

/** What was computed and saved in each month, the newest first. */
export function months(
  facts: readonly TaskFacts[],
  runs: readonly RunRow[],
  monthOf: (run: RunRow) => string,
): Month[] {
  const found = new Map<string, Month>();
  for (const run of runs) {
    const month = monthOf(run);
    const one = found.get(month) ?? { month, runs: 0, computed: 0, saved: 0 };
    found.set(month, one);
    one.runs += 1;
    one.saved += run.saved;
  }
  for (const { run, seconds } of facts.flatMap((task) => task.executions))
    found.get(monthOf(run))!.computed += seconds;
  return [...found.values()].sort((a, b) => (a.month < b.month ? 1 : -1));
}
