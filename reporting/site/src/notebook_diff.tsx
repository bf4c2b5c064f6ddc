// Two executed notebooks side by side, cell by cell: code by lines and words, texts without noise, pictures laid over.
import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import { align, isOwn, type Pair, quietText } from "./align.ts";
import { useContent } from "./chunks.ts";
import { plural } from "./format.ts";
import { ImageDiff } from "./image_diff.tsx";
import type { Cell, LongText, Output } from "./model.ts";
import { Code } from "./notebook.tsx";
import { OutputView } from "./output.tsx";
import { markdown } from "./safe.ts";
import { texts } from "./texts.ts";
import { Fragment, Waiting } from "./ui.tsx";

const LABELS: Record<Pair["change"], string> = {
  same: "same",
  outputs: "outputs differ",
  source: "source differs",
  added: "added",
  removed: "removed",
};

export function NotebookDiff({
  before,
  after,
  labels,
}: {
  before: string;
  after: string;
  labels: [string, string];
}): JSX.Element {
  const left = useContent<Cell[]>(before);
  const right = useContent<Cell[]>(after);
  const [all, setAll] = useState(false);
  const pairs = useMemo(
    () => (Array.isArray(left) && Array.isArray(right) ? align(left.filter(isOwn), right.filter(isOwn)) : []),
    [left, right],
  );
  if (!Array.isArray(left) || !Array.isArray(right))
    return (
      <Waiting
        error={left instanceof Error ? left : right instanceof Error ? right : undefined}
        what="The notebooks"
      />
    );
  const different = pairs.filter((pair) => pair.change !== "same");
  return (
    <div class="diff">
      <p class="bar">
        <span class="note">
          {different.length === 0
            ? "The notebooks are the same, except for noise."
            : `${plural(different.length, "cell")} of ${pairs.length} differ${different.length === 1 ? "s" : ""}.`}
        </span>
        <label class="check">
          <input type="checkbox" checked={all} onChange={() => setAll(!all)} /> Show all cells
        </label>
      </p>
      <div class="sides heads">
        <b>{labels[0]}</b>
        <b>{labels[1]}</b>
      </div>
      {pairs.map((pair, i) =>
        pair.change === "same" && !all ? (
          <Fold pairs={pairs} at={i} />
        ) : (
          <div class={`pair is-${pair.change}`} role="group" aria-label={`Cell: ${LABELS[pair.change]}`}>
            {pair.change !== "same" && <p class="what">{LABELS[pair.change]}</p>}
            <Source pair={pair} />
            <Outputs before={pair.before?.o ?? []} after={pair.after?.o ?? []} labels={labels} />
          </div>
        ),
      )}
    </div>
  );
}

/** Injected parameters are compared as values, not as code. */

/** One line for a stretch of cells that are the same. */
function Fold({ pairs, at }: { pairs: Pair[]; at: number }): JSX.Element | null {
  if (at > 0 && pairs[at - 1]!.change === "same") return null;
  let end = at;
  while (end < pairs.length && pairs[end]!.change === "same") end++;
  return <p class="fold">{plural(end - at, "cell")} the same</p>;
}

function Source({ pair: { before, after, change } }: { pair: Pair }): JSX.Element {
  const cell = (after ?? before)!;
  if (change === "source") return <TextDiff before={before!.s} after={after!.s} />;
  const shown =
    cell.t === "markdown" ? (
      <Fragment class="prose" make={(text) => markdown(text, cell.p)} of={cell.s} />
    ) : (
      <Code source={cell.s} />
    );
  if (change === "same" || change === "outputs") return shown;
  return (
    <div class="sides">
      <div>{before && shown}</div>
      <div>{after && shown}</div>
    </div>
  );
}

interface Side {
  text: string;
  kind: "same" | "removed" | "added";
  words?: { text: string; changed: boolean }[];
}

/** Lines side by side; a removed line is compared by words with the added line beside it. */
export function TextDiff({ before, after }: { before: string; after: string }): JSX.Element {
  const rows: [Side | undefined, Side | undefined][] = [];
  let removed: string[] = [];
  const lines = (text: string) => text.replace(/\n$/, "").split("\n");
  const flush = (added: string[]) => {
    for (let i = 0; i < Math.max(removed.length, added.length); i++) {
      const [a, b] = [removed[i], added[i]];
      const words = a !== undefined && b !== undefined ? texts().diffWordsWithSpace(a, b) : undefined;
      rows.push([
        a === undefined
          ? undefined
          : {
              text: a,
              kind: "removed",
              ...(words && {
                words: words.filter((w) => !w.added).map((w) => ({ text: w.value, changed: w.removed })),
              }),
            },
        b === undefined
          ? undefined
          : {
              text: b,
              kind: "added",
              ...(words && {
                words: words.filter((w) => !w.removed).map((w) => ({ text: w.value, changed: w.added })),
              }),
            },
      ]);
    }
    removed = [];
  };
  for (const part of texts().diffLines(before, after)) {
    if (part.removed) removed.push(...lines(part.value));
    else if (part.added) flush(lines(part.value));
    else {
      flush([]);
      for (const text of lines(part.value))
        rows.push([
          { text, kind: "same" },
          { text, kind: "same" },
        ]);
    }
  }
  flush([]);
  return (
    <div class="sides lines" role="group" aria-label="Differences by line">
      {[0, 1].map((side) => (
        <pre tabIndex={0}>
          {rows.map((row) => (
            <Line side={row[side]} />
          ))}
        </pre>
      ))}
    </div>
  );
}

function Line({ side }: { side: Side | undefined }): JSX.Element {
  if (!side) return <span class="line none">{"\n"}</span>;
  const sign = { same: " ", removed: "−", added: "+" }[side.kind];
  return (
    <span class={`line ${side.kind}`}>
      <span class="sign">{sign}</span>
      {side.words ? side.words.map((word) => (word.changed ? <mark>{word.text}</mark> : word.text)) : side.text}
      {"\n"}
    </span>
  );
}

function Outputs({
  before,
  after,
  labels,
}: {
  before: Output[];
  after: Output[];
  labels: [string, string];
}): JSX.Element {
  const rows = Array.from(
    { length: Math.max(before.length, after.length) },
    (_, i) => [before[i], after[i]] as const,
  );
  return (
    <>
      {rows.map(([a, b]) => {
        const [one, other] = [picture(a), picture(b)];
        if (one && other && one !== other) return <ImageDiff before={one} after={other} labels={labels} />;
        const [x, y] = [plain(a), plain(b)];
        if (x !== undefined && y !== undefined && quietText(x) !== quietText(y))
          return <TextDiff before={x} after={y} />;
        if (JSON.stringify(a) === JSON.stringify(b) || (x !== undefined && y !== undefined))
          return <OutputView output={(b ?? a)!} />;
        return (
          <div class="sides">
            <div>{a && <OutputView output={a} />}</div>
            <div>{b && <OutputView output={b} />}</div>
          </div>
        );
      })}
    </>
  );
}

function picture(output: Output | undefined): string | undefined {
  if (output?.t !== "data" && output?.t !== "figure") return undefined;
  for (const item of Object.values(output.d)) if (typeof item === "object" && "file" in item) return item.file;
  return undefined;
}

function plain(output: Output | undefined): string | undefined {
  if (output?.t === "figure") return undefined;
  const text: LongText | undefined =
    output?.t === "stream"
      ? output.text
      : output?.t === "error"
        ? `${output.name}: ${output.value}`
        : (output?.d["text/plain"] as LongText | undefined);
  return typeof text === "string" ? text : undefined;
}
