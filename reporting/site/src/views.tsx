// Views: pages as somebody set them, named in `[report.views]`, and the line that names this one.
import type { JSX } from "preact";
import { Copy } from "./copy.tsx";
import type { Index } from "./model.ts";
import { changed, href, parse, type Route } from "./route.ts";
import { Menu } from "./ui.tsx";

/** A line of `[report.views]` for an address. */
export const viewLine = (name: string, address: string): string =>
  `${JSON.stringify(name)} = ${JSON.stringify(address)}`;

export function Views({ index, route }: { index: Index; route: Route }): JSX.Element {
  const views = Object.entries(index.stored.settings.views ?? {});
  return (
    <Menu label="Views">
      {views.length > 0 && (
        <ul class="views">
          {views.map(([name, address]) => {
            const { path, query } = parse(address);
            return (
              <li>
                <a href={href(path, Object.fromEntries(query))}>{name}</a>
              </li>
            );
          })}
        </ul>
      )}
      <p class="note">
        {views.length === 0 && "No view has a name yet. "}Set this page as you like it, and put its line into{" "}
        <code>[report.views]</code> of <code>pipeline.toml</code>:
      </p>
      <Copy what="the line of this page" text={viewLine("My view", changed(route, {}))} />
    </Menu>
  );
}
