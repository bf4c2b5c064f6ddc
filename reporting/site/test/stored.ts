// An index as a site has it whose runs fit into one shard.
import type { ShardHead, StoredColumn, StoredIndex } from "../src/model.ts";

type Told = Pick<StoredIndex, "rows" | "settings"> & { columns: Omit<StoredColumn, "at">[] };

export const head = (runs: number, first = "", last = "zz"): ShardHead => ({
  first,
  last,
  from: 0,
  to: 0,
  runs,
  version: "",
});

export const stored = ({ rows, columns, settings }: Told): StoredIndex => ({
  shards: [head(rows.id!.length)],
  recent: 0,
  rows,
  columns: columns.map((column) => ({ ...column, at: [[0, 0, 0]] })),
  settings,
});
