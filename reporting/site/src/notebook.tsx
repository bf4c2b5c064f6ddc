// A notebook as it was executed: prose, code, outputs, and how long each cell took.
import type { JSX } from "preact";
import { seconds } from "./format.ts";
import { coloured } from "./highlight.ts";
import type { AttemptMore, Cell } from "./model.ts";
import { OutputView } from "./output.tsx";
import { markdown } from "./safe.ts";
import { Fragment } from "./ui.tsx";

export function Code({ source, language }: { source: string; language?: "json" | "yaml" }): JSX.Element {
  return (
    <pre class="code" tabIndex={0}>
      <code>
        {coloured(source, language).map((piece) =>
          piece.classes ? <span class={piece.classes}>{piece.text}</span> : piece.text,
        )}
      </code>
    </pre>
  );
}

export function Notebook({ cells, timings }: { cells: Cell[]; timings?: AttemptMore["cells"] }): JSX.Element {
  const took = new Map(
    (timings ?? []).map(([index, start, end]) => [index, end === null ? undefined : (end - start) / 1000]),
  );
  const longest = Math.max(0.001, ...[...took.values()].map((time) => time ?? 0));
  return (
    <div class="notebook">
      {cells.map((cell) =>
        cell.t === "markdown" ? (
          <Fragment class="cell prose" make={(text) => markdown(text, cell.p)} of={cell.s} />
        ) : (
          <CodeCell cell={cell} time={cell.i === undefined ? undefined : took.get(cell.i)} longest={longest} />
        ),
      )}
    </div>
  );
}

function CodeCell({
  cell,
  time,
  longest,
}: {
  cell: Cell;
  time: number | undefined;
  longest: number;
}): JSX.Element {
  return (
    <div class="cell" role="group" aria-label={cell.injected ? "Injected parameters" : `Cell ${cell.n ?? ""}`}>
      <div class="margin" aria-hidden="true">
        {cell.injected ? (
          <span title="written by nbdag">params</span>
        ) : (
          cell.n !== undefined && <span>[{cell.n}]</span>
        )}
        {time !== undefined && time >= 0.05 && (
          <span class={time > longest / 2 && time > 0.5 ? "took slow" : "took"}>{seconds(time)}</span>
        )}
      </div>
      <div class="body">
        {cell.s && <Code source={cell.s} />}
        {cell.o?.map((output) => (
          <OutputView output={output} />
        ))}
      </div>
    </div>
  );
}
