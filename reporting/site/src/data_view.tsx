// Files of data: what is in one, and what differs between two.
import type { JSX } from "preact";
import { useContent } from "./chunks.ts";
import { type ColumnDifference, dataDifference, differs, MOST_LINES, type RowDifference } from "./data_diff.ts";
import { delta, number, plural, value } from "./format.ts";
import type { DataColumn, Preview, Value } from "./model.ts";
import { PlainTable, Waiting } from "./ui.tsx";

const KNOWN: Record<string, string> = {
  csv: "CSV",
  tsv: "TSV",
  json: "JSON",
  jsonl: "JSON Lines",
  parquet: "Parquet",
  npy: "NumPy",
  npz: "NumPy",
};

export function DataOf({ preview, rows = true }: { preview: string; rows?: boolean }): JSX.Element {
  const found = useContent<Preview>(preview);
  if (found === undefined || found instanceof Error) return <Waiting error={found} what="The data" />;
  return <Looked of={found} rows={rows} />;
}

function Looked({ of, rows }: { of: Preview; rows: boolean }): JSX.Element {
  if (of.needs) return <Needs of={of} />;
  if (of.arrays)
    return (
      <>
        {Object.entries(of.arrays).map(([name, array]) => (
          <>
            <p class="note">
              {name && <b>{name} </b>}
              {array.shape.join(" × ") || "one number"} of {array.column.type}
            </p>
            <Columns of={[array.column]} />
            {rows && array.head && (
              <PlainTable
                head={(array.head[0] ?? []).map((_, i) => String(i))}
                rows={array.head}
                show={value}
                most={20}
                label="The first values"
              />
            )}
          </>
        ))}
      </>
    );
  const columns = of.columns ?? [];
  return (
    <>
      <p class="note">
        {plural(of.rows ?? 0, "row")}, {plural(columns.length + (of.leftOut ?? 0), "column")}
        {of.read !== undefined && `; figures of the first ${number(of.read)} rows`}
        {of.leftOut !== undefined && `; ${of.leftOut} columns are not shown`}
      </p>
      <Columns of={columns} />
      {rows && (
        <PlainTable
          head={columns.map((column) => column.name)}
          rows={of.head ?? []}
          show={value}
          most={100}
          label="The first rows"
        />
      )}
    </>
  );
}

const Needs = ({ of }: { of: Preview }): JSX.Element => (
  <p class="note">
    A file of {KNOWN[of.format]}: it is looked into where <code>{of.needs}</code> is installed beside nbdag.
  </p>
);

function Columns({ of }: { of: readonly DataColumn[] }): JSX.Element {
  return (
    <div class="scroll" tabIndex={0} role="group" aria-label="Columns">
      <table class="plain figures">
        <thead>
          <tr>
            <th scope="col">Column</th>
            <th scope="col">Type</th>
            <th scope="col" class="num">
              Missing
            </th>
            <th scope="col" class="num">
              Different
            </th>
            <th scope="col" class="num">
              Least
            </th>
            <th scope="col" class="num">
              Mean
            </th>
            <th scope="col" class="num">
              Most
            </th>
            <th scope="col">Values</th>
          </tr>
        </thead>
        <tbody>
          {of.map((column) => (
            <tr>
              <th scope="row">{column.name || "all values"}</th>
              <td class="dim">{column.type}</td>
              <td class="num">{column.missing + (column.notFinite ?? 0) || ""}</td>
              <td class="num">{value(column.different)}</td>
              <td class="num">{value(column.least)}</td>
              <td class="num">{value(column.mean)}</td>
              <td class="num">{value(column.most)}</td>
              <td>
                <Values of={column} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Values({ of, class: name = "" }: { of: DataColumn; class?: string }): JSX.Element | null {
  if (of.bars) {
    const most = Math.max(...of.bars);
    const width = 110 / of.bars.length;
    return (
      <svg
        class={`histogram ${name}`}
        width="110"
        height="26"
        role="img"
        aria-label={`How often: ${of.bars.join(", ")}`}
      >
        {of.bars.map((count, i) => (
          <rect x={i * width} width={width - 1} y={26 - (count / most) * 26} height={(count / most) * 26} />
        ))}
      </svg>
    );
  }
  if (!of.often) return null;
  return (
    <span class="often">
      {of.often.slice(0, 3).map(([item, count]) => (
        <span>
          {value(item)} <small>{count}</small>
        </span>
      ))}
    </span>
  );
}

export function DataDiff({ before, after }: { before: string; after: string }): JSX.Element {
  const [a, b] = [useContent<Preview>(before), useContent<Preview>(after)];
  for (const one of [a, b])
    if (one === undefined || one instanceof Error) return <Waiting error={one} what="The data" />;
  return <Difference before={a as Preview} after={b as Preview} />;
}

function Difference({ before, after }: { before: Preview; after: Preview }): JSX.Element {
  if (before.needs || after.needs) return <Needs of={before.needs ? before : after} />;
  if (before.arrays || after.arrays) return <Arrays before={before} after={after} />;
  const found = dataDifference(before, after);
  const [old, now] = found.rows;
  return (
    <div class="datadiff">
      <ul class="facts-of-data">
        <li>
          {old === now ? plural(now, "row") : `${number(old)} → ${plural(now, "row")} (${delta(now - old)})`}
        </li>
        {found.added.length > 0 && (
          <li>
            {found.added.length === 1 ? "new column" : "new columns"} <b>{found.added.join(", ")}</b>
          </li>
        )}
        {found.removed.length > 0 && (
          <li>
            without <b>{found.removed.join(", ")}</b>
          </li>
        )}
        {found.types.map((one) => (
          <li>
            <b>{one.name}</b> was {one.before}, is {one.after}
          </li>
        ))}
      </ul>
      {found.figures.length > 0 && <Figures of={found.figures} />}
      <Lines {...found} />
    </div>
  );
}

function Figures({ of }: { of: ColumnDifference[] }): JSX.Element {
  const pair = (a: unknown, b: unknown) =>
    value(a) === value(b) ? (
      <span class="dim">{value(b)}</span>
    ) : (
      <>
        <span class="dim">{value(a) || "–"} →</span> {value(b) || "–"}
      </>
    );
  return (
    <div class="scroll" tabIndex={0} role="group" aria-label="Columns that differ">
      <table class="plain figures">
        <thead>
          <tr>
            <th scope="col">Column</th>
            <th scope="col" class="num">
              Missing
            </th>
            <th scope="col" class="num">
              Different
            </th>
            <th scope="col" class="num">
              Least
            </th>
            <th scope="col" class="num">
              Mean
            </th>
            <th scope="col" class="num">
              Most
            </th>
            <th scope="col">Before</th>
            <th scope="col">After</th>
          </tr>
        </thead>
        <tbody>
          {of.map(({ name, before, after }) => (
            <tr>
              <th scope="row">{name || "all values"}</th>
              {(["missing", "different", "least", "mean", "most"] as const).map((figure) => (
                <td class="num">{pair(before![figure], after![figure])}</td>
              ))}
              <td>
                <Values of={before!} class="before" />
              </td>
              <td>
                <Values of={after!} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Lines({
  lines,
  names,
  by,
  partly,
}: {
  lines: RowDifference[];
  names: string[];
  by: string | undefined;
  partly: boolean;
}): JSX.Element {
  const among = partly ? " among the first rows" : "";
  if (lines.length === 0) return <p class="note">No row differs{among}.</p>;
  return (
    <>
      <p class="note">
        {lines.length === 1 ? "One row differs" : `${lines.length} rows differ`}
        {among}
        {lines.length > MOST_LINES && `; the first ${MOST_LINES} of them`}
        {by === undefined ? ", compared by their place" : `, compared by ${by}`}:
      </p>
      <div class="scroll" tabIndex={0} role="group" aria-label="Rows that differ">
        <table class="plain">
          <thead>
            <tr>
              <th scope="col">
                <span class="hidden">What happened</span>
              </th>
              {names.map((name, i) => (
                <th scope="col" class={isNumber(lines[0]!, i)}>
                  {name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {lines.slice(0, MOST_LINES).map(({ change, before, after }) => (
              <tr class={`row-${change}`}>
                <td class="dim">{change}</td>
                {names.map((_, i) => (
                  <Cell before={before?.[i]} after={after?.[i]} changed={change === "changed"} />
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

const isNumber = ({ before, after }: RowDifference, i: number): string =>
  typeof (after?.[i] ?? before?.[i]) === "number" ? "num" : "";

function Cell({
  before,
  after,
  changed,
}: {
  before: Value | undefined;
  after: Value | undefined;
  changed: boolean;
}): JSX.Element {
  const isNumber = typeof (after ?? before) === "number" ? "num" : "";
  if (!changed || !differs(before, after)) return <td class={isNumber}>{value(after ?? before)}</td>;
  return (
    <td class={isNumber}>
      <del>{value(before) || "nothing"}</del> <ins>{value(after) || "nothing"}</ins>
    </td>
  );
}

function Arrays({ before, after }: { before: Preview; after: Preview }): JSX.Element {
  const names = [...new Set([...Object.keys(before.arrays ?? {}), ...Object.keys(after.arrays ?? {})])];
  return (
    <>
      {names.map((name) => {
        const [a, b] = [before.arrays?.[name], after.arrays?.[name]];
        if (!a || !b)
          return (
            <p>
              <b>{name || "the array"}</b> {a ? "is not there any more" : "is new"}
            </p>
          );
        const [x, y] = [`${a.shape.join(" × ")} ${a.column.type}`, `${b.shape.join(" × ")} ${b.column.type}`];
        return (
          <>
            <p class="note">
              {name && <b>{name} </b>}
              {x === y ? y : `${x} → ${y}`}
            </p>
            <Figures of={[{ name: "", before: a.column, after: b.column }]} />
          </>
        );
      })}
    </>
  );
}
