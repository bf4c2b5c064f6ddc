// Interactive figures as pages of their own, which need no network: the library's script is written into them.
export type FigureKind = "plotly" | "vega" | "bokeh";

/** What has to be installed where a notebook runs. */
export const PACKAGES: Record<FigureKind, string> = {
  plotly: "plotly",
  vega: "vl-convert-python",
  bokeh: "bokeh",
};

const DEFAULT_HEIGHT = 460;
const [LEAST, MOST] = [120, 1200];

/** A script that nothing in it ends before its end. */
const inline = (script: string): string =>
  `<script>${script.replace(/<\/(script)/gi, "<\\/$1").replaceAll("<!--", "<\\!--")}</script>`;

/** A value as a literal that cannot end a script. */
const literal = (value: unknown): string => JSON.stringify(value).replaceAll("<", "\\u003c");

export function figurePage(kind: FigureKind, library: string, spec: unknown): string {
  return `<!doctype html><meta charset="utf-8"><style>body{margin:8px;background:#fff;font-family:sans-serif}</style>
${kind === "bokeh" ? placesOf(String(spec)) : '<div id="figure"></div>'}
${inline(library)}
${inline(drawn(kind, spec))}`;
}

function drawn(kind: FigureKind, spec: unknown): string {
  switch (kind) {
    case "plotly":
      return `var f=${literal(spec)};Plotly.newPlot("figure",f.data,f.layout,{responsive:true,displaylogo:false,...f.config})`;
    case "vega":
      return `vegaEmbed("#figure",${literal(spec)},{actions:false})`;
    case "bokeh":
      return String(spec);
  }
}

/** The elements that a script of bokeh draws into. */
function placesOf(script: string): string {
  const ids = [...script.matchAll(/"roots":\{([^{}]*)\}/g)].flatMap(([, roots]) =>
    [...roots!.matchAll(/:"([\w-]+)"/g)].map(([, id]) => id!),
  );
  return ids.map((id) => `<div id="${id}"></div>`).join("");
}

/** Whether a figure loads a part of itself from the web, which the sandbox cannot: the outlines of a map, a file. */
export function wantsWeb(kind: FigureKind, spec: unknown): boolean {
  if (kind !== "plotly")
    return /"url":\s*"(?:https?:)?\/\//.test(kind === "bokeh" ? String(spec) : JSON.stringify(spec));
  const { data } = spec as { data?: unknown };
  const types = (Array.isArray(data) ? data : []).map((trace: { type?: unknown } | null) => String(trace?.type));
  return types.some((type) => /geo$|map(?:box)?$|^choropleth/.test(type) && !/^(?:heatmap|treemap)$/.test(type));
}

/** How tall a figure says it is, as far as it says so, with room for what surrounds it. */
export function heightOf(kind: FigureKind, spec: unknown): number {
  const told =
    kind === "plotly"
      ? (spec as { layout?: { height?: unknown } }).layout?.height
      : kind === "vega"
        ? plus((spec as { height?: unknown }).height, 90)
        : plus(
            Math.max(0, ...[...String(spec).matchAll(/"height":(\d+)/g)].map(([, n]) => Number(n))) || undefined,
            30,
          );
  const height = typeof told === "number" && Number.isFinite(told) ? told + 20 : DEFAULT_HEIGHT;
  return Math.min(MOST, Math.max(LEAST, height));
}

const plus = (height: unknown, more: number): unknown => (typeof height === "number" ? height + more : undefined);
