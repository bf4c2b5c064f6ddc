// The commands that find out what made a metric worse, to be copied from where that shows.
import type { RunRow } from "./model.ts";
import type { Mark } from "./regress.ts";

/** The newest run that was worse, and the one before it that was not; repeated measurements do not count. */
export function regression<R>(
  runs: readonly R[],
  found: readonly Mark[],
  reused: readonly boolean[],
): { before: R; after: R } | undefined {
  const at = found.lastIndexOf("worse");
  for (let i = at - 1; i >= 0; i--)
    if (!reused[i] && found[i] !== "worse") return { before: runs[i]!, after: runs[at]! };
  return undefined;
}

export function commands(
  task: string,
  metric: string,
  before: Pick<RunRow, "id" | "commit">,
  after: Pick<RunRow, "id" | "commit">,
): [what: string, text: string][] {
  const name = quoted(`${task}:${metric}`);
  const blame: [string, string] = ["blame", `nbdag blame ${name} --from ${before.id} --to ${after.id}`];
  if (!before.commit || !after.commit || before.commit === after.commit) return [blame];
  return [["bisect", `nbdag bisect ${name} --good ${before.commit} --bad ${after.commit}`], blame];
}

/** A word as a shell takes it. */
export const quoted = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`;
