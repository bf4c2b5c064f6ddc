// What the chunks hold, and the index through which every page looks at it.
import type { FigureKind } from "./figures.ts";

export type Status = "ran" | "restored" | "up_to_date" | "failed" | "skipped" | "cancelled";
export type Value = string | number | boolean | null | Value[] | { [name: string]: Value };
/** A `result` is the key of an execution and the digest of its outputs. */
export type Kind = "params" | "metrics" | "tags" | "duration" | "result";

export interface StoredColumn {
  kind: Kind;
  task: string;
  name: string;
  family?: string;
  /** The metric of whose series this is the least or the greatest value. */
  series?: string;
  /** Where it is: shards, the first columns of its bundles therein, and its places in these. */
  at: [shard: number, bundle: number, place: number][];
}

export interface Declared {
  direction: "higher" | "lower" | null;
  tolerance: number;
}

/** Some thousand runs that are loaded together: the range of their names and starts, and how many they are. */
export interface ShardHead {
  first: string;
  last: string;
  from: number;
  to: number;
  runs: number;
  version: string;
}

type Rows = Record<string, (string | number | boolean | null)[]>;

/** What a shard holds besides its columns, which are loaded when they are shown. */
export interface ShardRows {
  rows: Rows;
  columns: Omit<StoredColumn, "at">[];
  /** The first columns of the bundles, and their digests. */
  bundles: [first: number, digest: string][];
}

export interface StoredIndex {
  shards: ShardHead[];
  /** The first of the shards that are loaded without being asked for. */
  recent: number;
  /** The last rows of these. */
  rows: Rows;
  columns: StoredColumn[];
  settings: { metrics: Record<string, Declared>; views?: Record<string, string>; judgements?: number };
}

/** What the list of verdicts and blames has of one. */
export interface JudgementRow {
  kind: "verdict" | "blame";
  id: string;
  /** Milliseconds since the epoch. */
  started: number;
  /** The run that was replayed, or the later one of the two between which a change is blamed. */
  run: string;
  before?: string;
  task?: string;
  metric?: string;
  result: string;
  what: string;
}

/** The documents of `nbdag replay --json` and `nbdag blame --json`; times are nanoseconds, durations seconds. */
export interface Verdict {
  id: string;
  run: string;
  commit: string | null;
  started: number;
  duration_s: number;
  version: string;
  from_scratch: boolean;
  verdict: string;
  tasks: TaskVerdict[];
  public_key: string | null;
}

export interface TaskVerdict {
  name: string;
  verdict: string;
  why: string;
  differences: { kind: string; name: string; where: string }[];
  notes: string[];
  times: number;
  same: number;
  conditions: { name: string; matters: boolean; why: string }[];
  duration_s: number;
}

export interface Blame {
  id: string;
  started: number;
  duration_s: number;
  task: string;
  metric: string;
  before: string;
  after: string;
  value_before: Finite;
  value_after: Finite;
  finding: string;
  explained: Finite | null;
  others: Finite | null;
  noise: Finite;
  changes: { what: string; is_culprit: boolean; alone: Finite | null }[];
  machine: string[];
  mixes: { changes: number[]; values: Finite[]; problem: string }[];
  executed: number;
}

export interface RunRow {
  number: number;
  id: string;
  pipeline: string;
  started: number;
  seconds: number | null;
  result: string;
  branch: string | null;
  commit: string | null;
  dirty: boolean | null;
  repository: string | null;
  change: string | null;
  title?: string | null;
  trigger: string | null;
  profile?: string | null;
  url: string | null;
  total: number;
  ran: number;
  restored: number;
  up_to_date: number;
  failed: number;
  skipped: number;
  cancelled: number;
  saved: number;
  detail: number;
}

export interface Attempt {
  n: number;
  outcome: string;
  start: number;
  end?: number;
  cpu?: number;
  rss?: number;
  wait?: number;
  /** The pool that it waited for, and how many seconds. */
  pool?: string;
  poolWait?: number;
  exit?: number;
  error?: { type: string; message: string; cell: number | null };
  more: string;
  host?: string;
  node?: string;
}

export interface AttemptMore {
  cells?: [index: number, start: number, end: number | null, error: string][];
  log?: LongText;
  trace?: string;
  code?: string;
  notebook?: string;
}

export interface Task {
  name: string;
  family: string;
  status: Status;
  type?: string;
  reasons?: string[];
  key?: string;
  start?: number;
  end?: number;
  up?: number[];
  source?: string;
  saved?: number;
  draft?: boolean;
  accepted?: boolean;
  params?: Record<string, Value>;
  metrics?: Record<string, number | string>;
  tags?: Record<string, string>;
  detail: string;
  attempts?: Attempt[];
}

export interface Graph {
  nodes: [x: number, y: number][];
  edges: [from: number, to: number, points: [number, number][]][];
  width: number;
  height: number;
}

/** A graph of families, each with the numbers of its tasks. */
export interface Folded {
  graph: Graph;
  groups: [family: string, tasks: number[]][];
}

export interface RunDetail {
  id: string;
  tasks: Task[];
  graph: string;
  /** Its families, where there are any. */
  folded?: string;
  targets: string[];
  parameters: Record<string, Value>;
  resource: Record<string, Value>;
}

export interface Artifact {
  name: string;
  size: number;
  type: string;
  file?: string;
  text?: string;
  digest?: string;
  /** What is in it, where it is a file of data. */
  preview?: string;
}

type Finite = number | string;

/** The figures of a column, as far as its values have them. */
export interface DataColumn {
  name: string;
  type: string;
  missing: number;
  notFinite?: number;
  different?: number;
  least?: number;
  most?: number;
  mean?: number;
  spread?: number;
  bars?: number[];
  often?: [value: Value, count: number][];
}

/** A table, arrays, or only the name of the package that would be needed to look into the file. */
export interface Preview {
  format: string;
  needs?: string;
  rows?: number;
  /** How many rows the figures are of, where that is not all. */
  read?: number;
  leftOut?: number;
  columns?: DataColumn[];
  head?: Value[][];
  arrays?: Record<string, { shape: number[]; column: DataColumn; head?: Finite[][] }>;
}

export interface Detail {
  path?: string;
  outputs?: { path: string; digest: string }[];
  /** Declared outputs that were looked into. */
  data?: Artifact[];
  artifacts?: Artifact[];
  /** The libraries that draw its interactive figures, by kind. */
  scripts?: Record<string, string>;
  reads?: string[];
  writes?: string[];
  series?: string;
  notebook?: string;
  ingredients?: string;
}

export type LongText = string | { ref: string; size: number };
export type Series = Record<string, [step: number | null, value: number | string][]>;
export type Ingredient = [kind: string, name: string, value: string, path: string];

/** A value of a task above is named by a list: its task, its kind, and its own name. */
const READ = /^\["((?:[^"\\])+)","(\w+)",(?:null|"((?:[^"\\])+)")\]$/;

/** The name of an ingredient as it is shown: of a declared file, its label and its path. */
export function ingredientName(kind: string, name: string, path: string): string {
  const [, task, values, one] = (kind === "read" && READ.exec(name)) || [];
  if (task) return `${task} ${values}${one ? `.${one}` : ""}`;
  return path === "" ? name : `${name}: ${path}`;
}

export type Output =
  | { t: "stream"; name: string; text: LongText }
  | { t: "error"; name: string; value: string; trace: LongText; allowed?: true }
  | { t: "data"; d: Shown }
  | { t: "figure"; kind: FigureKind; spec: string; d: Shown };

type Shown = Record<string, LongText | { file: string } | { ref: string; json: true }>;

export interface Cell {
  t: string;
  s: string;
  i?: number;
  n?: number;
  o?: Output[];
  injected?: boolean;
  /** Where the pictures are that its prose shows, by the names that it gives them. */
  p?: Record<string, string>;
}

const LETTERS: Record<string, Status> = {
  R: "ran",
  r: "restored",
  u: "up_to_date",
  f: "failed",
  s: "skipped",
  c: "cancelled",
};

/** For each task, one letter for each run. */
export type Matrix = [task: string, letters: string][];

export type Pairs = [run: number, value: number][];

/** What is known of a task over all runs, by their numbers: see `site_tasks.py`. */
export interface Ledger {
  took?: Pairs;
  retried?: Pairs;
  saved?: Pairs;
  unsteady?: number[];
  /** Media types of what it logged, by name. */
  artifacts?: Record<string, string>;
}
export type Ledgers = Record<string, Ledger>;

export const statusOf = (letter: string | undefined): Status | undefined => (letter ? LETTERS[letter] : undefined);

/** Columns are named as in a filter: `metrics.auc`, and `@task` where more than one task has it. */
export function columnId(column: Omit<StoredColumn, "at">): string {
  return column.name === "" ? `${column.kind}@${column.task}` : `${column.kind}.${column.name}@${column.task}`;
}

function rowsOf(rows: Rows, first: number): RunRow[] {
  const names = Object.keys(rows);
  const lists = Object.values(rows);
  return Array.from({ length: rows.id?.length ?? 0 }, (_, place) => {
    const row: Record<string, unknown> = { number: first + place };
    for (let i = 0; i < names.length; i++) row[names[i]!] = lists[i]![place];
    return row as unknown as RunRow;
  });
}

function columnsOf(loaded: ReadonlyMap<number, ShardRows>): StoredColumn[] {
  const found = new Map<string, StoredColumn>();
  for (const [shard, { columns, bundles }] of [...loaded].sort(([a], [b]) => b - a)) {
    let bundle = 0;
    columns.forEach((column, i) => {
      while (bundle + 1 < bundles.length && bundles[bundle + 1]![0] <= i) bundle++;
      const first = bundles[bundle]![0];
      const id = columnId(column);
      const at: StoredColumn["at"] = found.get(id)?.at ?? [];
      at.push([shard, first, i - first]);
      if (at.length === 1) found.set(id, { ...column, at });
    });
  }
  return [...found.values()];
}

/** What is known of the runs of the shards that are loaded; before any is, of the last runs. */
export class Index {
  readonly runs: RunRow[];
  readonly newest: RunRow[];
  readonly columns: StoredColumn[];
  readonly declared: Map<string, Declared>;
  /** How many verdicts and blames there are. */
  readonly judgements: number;
  readonly byId = new Map<string, RunRow>();
  readonly byColumn = new Map<string, StoredColumn>();
  /** The shards that this is of, and the number of the first run of each. */
  readonly shards: { place: number; first: number }[];
  /** The runs of these shards, and of all. */
  readonly size: number;
  readonly total: number;
  /** Whether all runs of these shards are known. */
  readonly complete: boolean;

  constructor(
    readonly stored: StoredIndex,
    loaded: ReadonlyMap<number, ShardRows> = new Map(),
  ) {
    const heads = stored.shards;
    const places = loaded.size ? [...loaded.keys()].sort((a, b) => a - b) : [...heads.keys()].slice(stored.recent);
    let size = 0;
    this.shards = places.map((place) => {
      const first = size;
      size += heads[place]!.runs;
      return { place, first };
    });
    this.size = size;
    this.total = heads.reduce((sum, head) => sum + head.runs, 0);
    this.runs = loaded.size
      ? this.shards.flatMap(({ place, first }) => rowsOf(loaded.get(place)!.rows, first))
      : rowsOf(stored.rows, size - (stored.rows.id?.length ?? 0));
    this.complete = this.runs.length === size;
    for (const run of this.runs) this.byId.set(run.id, run);
    this.newest = [...this.runs].sort((a, b) => b.started - a.started || (a.id < b.id ? 1 : -1));
    this.columns = loaded.size ? columnsOf(loaded) : stored.columns;
    for (const column of this.columns) this.byColumn.set(columnId(column), column);
    this.declared = new Map(Object.entries(stored.settings.metrics));
    this.judgements = stored.settings.judgements ?? 0;
  }

  /** The shards that are not loaded. */
  others(): { place: number; head: ShardHead }[] {
    const loaded = new Set(this.shards.map(({ place }) => place));
    return this.stored.shards.flatMap((head, place) => (loaded.has(place) ? [] : [{ place, head }]));
  }

  /** Those of them that may have a run of this name. */
  mayHold(id: string): number[] {
    return this.others().flatMap(({ place, head }) => (head.first <= id && id <= head.last ? [place] : []));
  }

  /** The run before another, of the same pipeline and branch if there is one. */
  before(run: RunRow): RunRow | undefined {
    const older = this.newest
      .slice(this.newest.indexOf(run) + 1)
      .filter((other) => other.pipeline === run.pipeline);
    return older.find((other) => other.branch === run.branch) ?? older[0];
  }
}
