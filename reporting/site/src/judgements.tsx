// Links to what replays and blames found, for the pages of runs and metrics.
import type { JSX } from "preact";
import { useChunk } from "./chunks.ts";
import { time } from "./format.ts";
import type { Index, JudgementRow } from "./model.ts";
import { href, judgementHref } from "./route.ts";
import { Badge } from "./ui.tsx";

/** The rows of all verdicts and blames, newest first; none where the site has none. */
export function useJudgements(index: Index): readonly JudgementRow[] {
  const rows = useChunk<JudgementRow[]>(index.judgements > 0 ? "judgements" : undefined);
  return Array.isArray(rows) ? rows : [];
}

/** Links to what was judged of a run, or of a metric of a task. */
export function JudgementLinks({
  rows,
  label,
}: {
  rows: readonly JudgementRow[];
  label: string;
}): JSX.Element | null {
  if (rows.length === 0) return null;
  return (
    <ul class="judgements" aria-label={label}>
      {rows.slice(0, 5).map((row) => (
        <li>
          <Badge of={row.result} />{" "}
          <a href={judgementHref(row)}>
            {row.kind === "verdict" ? "replay" : `blame of ${row.metric}`} of {time(row.started)}
          </a>
          {row.what && <span class="dim"> {row.what}</span>}
        </li>
      ))}
      {rows.length > 5 && (
        <li>
          <a href={href(["verdicts"])}>{rows.length - 5} more</a>
        </li>
      )}
    </ul>
  );
}
