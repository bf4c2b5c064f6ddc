// One output of a cell, in the richest form that is safe.
import type { JSX } from "preact";
import { useContent } from "./chunks.ts";
import { Figure } from "./figure.tsx";
import { Framed } from "./frame.tsx";
import { isGeo } from "./geo.ts";
import { GeoView } from "./geo_view.tsx";
import { JsonView } from "./json_view.tsx";
import { isFormula } from "./maths.ts";
import type { LongText, Output } from "./model.ts";
import { isTable, markdown, needsFrame, sanitized } from "./safe.ts";
import { Fragment, Long, Waiting } from "./ui.tsx";

const WIDGET = "application/vnd.jupyter.widget-view+json";
const PICTURES = ["image/png", "image/jpeg", "image/webp", "image/gif"];

export function OutputView({ output }: { output: Output }): JSX.Element | null {
  switch (output.t) {
    case "stream":
      return (
        <div class={output.name === "stderr" ? "output stderr" : "output"}>
          <Long text={output.text} />
        </div>
      );
    case "error":
      return (
        <div class={output.allowed ? "output allowed" : "output raised"}>
          {output.allowed && <p class="note">an allowed error, which did not fail the task</p>}
          {typeof output.trace === "string" && !output.trace ? (
            <pre class="text">
              {output.name}: {output.value}
            </pre>
          ) : (
            <Long text={output.trace} />
          )}
        </div>
      );
    case "data":
      return <DisplayData data={output.d} />;
    case "figure":
      return (
        <Figure
          kind={output.kind}
          spec={output.spec}
          instead={Object.keys(output.d).length ? <DisplayData data={output.d} /> : null}
        />
      );
  }
}

function DisplayData({ data }: { data: Extract<Output, { t: "data" }>["d"] }): JSX.Element | null {
  for (const type of PICTURES) {
    const item = data[type];
    if (item && typeof item === "object" && "file" in item)
      return <Picture file={item.file} name={text(data["text/plain"])} />;
  }
  const plain = data["text/plain"] as LongText | undefined;
  if ("image/svg+xml" in data)
    return (
      <WithText of={data["image/svg+xml"] as LongText} show={(svg) => <Svg svg={svg} name={text(plain)} />} />
    );
  if ("text/html" in data)
    return <WithText of={data["text/html"] as LongText} show={(html) => <Html html={html} plain={plain} />} />;
  if ("text/markdown" in data)
    return (
      <WithText
        of={data["text/markdown"] as LongText}
        show={(source) => <Fragment class="output prose" make={(text) => markdown(text)} of={source} />}
      />
    );
  const latex = data["text/latex"];
  if (typeof latex === "string" && isFormula(latex))
    return <Fragment class="output prose" make={(text) => markdown(text)} of={latex} />;
  if (WIDGET in data)
    return (
      <div class="output">
        {plain !== undefined && <Long text={plain} />}
        <p class="note">A widget, which only a running kernel can show.</p>
      </div>
    );
  const json = Object.entries(data).find(([, item]) => typeof item === "object" && "json" in item);
  if (json) return <JsonRef of={(json[1] as { ref: string }).ref} />;
  const shown = plain ?? (Object.values(data)[0] as LongText);
  return (
    <div class="output">
      <Long text={shown} />
    </div>
  );
}

export function Picture({ file, name }: { file: string; name: string }): JSX.Element {
  return (
    <div class="output picture">
      <img src={file} alt={name || "a picture without a name"} loading="lazy" />
    </div>
  );
}

/** As a picture, an SVG runs no script and loads nothing. */
export function Svg({ svg, name }: { svg: string; name: string }): JSX.Element {
  return <Picture file={`data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`} name={name} />;
}

/** The sound or film in what IPython writes for one. */
const MEDIA =
  /^\s*<(audio|video)\b[\s\S]{0,500}?\bsrc="(data:(?:audio|video)\/[\w.+-]+;base64,[A-Za-z0-9+/=\s]+)"/;

function Html({ html, plain }: { html: string; plain: LongText | undefined }): JSX.Element {
  const [, kind, address] = MEDIA.exec(html) ?? [];
  if (kind)
    return (
      <div class="output">
        {/* biome-ignore lint/a11y/useMediaCaption: nobody has written captions for it */}
        {kind === "audio" ? <audio src={address!} controls /> : <video src={address!} controls />}
      </div>
    );
  return (
    <div class="output">
      {isTable(html) || !needsFrame(html) ? (
        <Fragment class="prose scroll" make={sanitized} of={html} />
      ) : (
        plain !== undefined && <Long text={plain} />
      )}
      {needsFrame(html) && <Framed html={html} title="the output as its own page" />}
    </div>
  );
}

function JsonRef({ of }: { of: string }): JSX.Element {
  const value = useContent<unknown>(of);
  return (
    <div class="output">
      {value === undefined || value instanceof Error ? (
        <Waiting error={value as undefined} what="The value" />
      ) : isGeo(value) ? (
        <GeoView value={value} name="GeoJSON" />
      ) : (
        <JsonView value={value} />
      )}
    </div>
  );
}

function WithText({ of, show }: { of: LongText; show: (text: string) => JSX.Element }): JSX.Element {
  const loaded = useContent<string>(typeof of === "string" ? undefined : of.ref);
  if (typeof of === "string") return show(of);
  return typeof loaded === "string" ? show(loaded) : <Waiting error={loaded} what="The output" />;
}

const text = (item: unknown): string => (typeof item === "string" && !item.startsWith("<") ? item : "");
