// Which columns the table has: found by name, in groups.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { RunColumn } from "./columns.tsx";
import { Menu } from "./ui.tsx";

const GROUPS: [id: string, label: string][] = [
  ["run", "The run"],
  ["metrics", "Metrics"],
  ["params", "Parameters"],
  ["tags", "Tags"],
  ["duration", "Durations of tasks"],
];

interface Props {
  all: Map<string, RunColumn>;
  chosen: string[];
  onChange: (names: string[]) => void;
}

export function ColumnChooser(props: Props): JSX.Element {
  return (
    <Menu label={`Columns ${props.chosen.length}`}>
      <Chooser {...props} />
    </Menu>
  );
}

function Chooser({ all, chosen, onChange }: Props): JSX.Element {
  const [text, set] = useState("");
  const has = new Set(chosen);
  const wanted = text.toLowerCase();
  const found = [...all.values()].filter((column) =>
    `${column.label} ${column.task ?? ""}`.toLowerCase().includes(wanted),
  );
  const toggle = (id: string) => onChange(has.has(id) ? chosen.filter((one) => one !== id) : [...chosen, id]);
  return (
    <div class="chooser">
      <input
        type="search"
        placeholder="Find a column"
        aria-label="Find a column"
        value={text}
        onInput={(event) => set(event.currentTarget.value)}
      />
      <div class="scroll" tabIndex={0} role="group" aria-label="Columns">
        {GROUPS.map(([id, label]) => {
          const columns = found.filter((column) => column.group === id);
          return (
            columns.length > 0 && (
              <fieldset>
                <legend>{label}</legend>
                {columns.slice(0, 100).map((column) => (
                  <label>
                    <input type="checkbox" checked={has.has(column.id)} onChange={() => toggle(column.id)} />
                    {column.label} <small>{column.task}</small>
                  </label>
                ))}
                {columns.length > 100 && <p class="note">and {columns.length - 100} more: type to find them</p>}
              </fieldset>
            )
          );
        })}
      </div>
    </div>
  );
}
