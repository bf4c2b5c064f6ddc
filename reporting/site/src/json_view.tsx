// A JSON value to look into: tables as tables, the rest by levels.
import type { JSX } from "preact";
import { value as shown } from "./format.ts";
import { type Table, table } from "./tables.ts";
import { PlainTable } from "./ui.tsx";

const MOST = 200;

export function JsonView({ value, level = 0 }: { value: unknown; level?: number }): JSX.Element {
  const rows = table(value);
  if (rows) return <Rows {...rows} />;
  if (value === null || typeof value !== "object") return <code>{JSON.stringify(value)}</code>;
  const entries = Object.entries(value);
  if (entries.length === 0) return <code>{Array.isArray(value) ? "[]" : "{}"}</code>;
  return (
    <details class="json" open={level < 2}>
      <summary>{Array.isArray(value) ? `${entries.length} items` : `${entries.length} names`}</summary>
      <dl>
        {entries.slice(0, MOST).map(([name, item]) => (
          <div>
            <dt>{name}</dt>
            <dd>
              <JsonView value={item} level={level + 1} />
            </dd>
          </div>
        ))}
      </dl>
      {entries.length > MOST && <p class="note">and {entries.length - MOST} more</p>}
    </details>
  );
}

export const Rows = ({ head, body }: Table): JSX.Element => (
  <PlainTable head={head} rows={body} show={shown} most={MOST} label="A table" />
);
