// The runs that pages do not load without being asked: a menu of their shards.
import type { JSX } from "preact";
import { plural, time } from "./format.ts";
import type { Index } from "./model.ts";
import { loadMore } from "./shards.ts";
import { Menu } from "./ui.tsx";

/** What is shown, and what is to be had besides; nothing where all is loaded. */
export function Older({ index }: { index: Index }): JSX.Element | null {
  const others = index.others();
  if (others.length === 0) return null;
  const day = (at: number) => time(at).slice(0, 10);
  return (
    <Menu label={`Older runs: ${index.total - index.size}`}>
      <ul class="older">
        {others.toReversed().map(({ place, head }) => (
          <li>
            <button type="button" class="link" onClick={() => loadMore([place])}>
              {day(head.from)} to {day(head.to)}
            </button>{" "}
            <small>{plural(head.runs, "run")}</small>
          </li>
        ))}
      </ul>
      <button type="button" onClick={() => loadMore(others.map(({ place }) => place))}>
        Load all
      </button>
    </Menu>
  );
}
