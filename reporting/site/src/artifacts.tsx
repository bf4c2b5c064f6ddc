// What a task logged as files: pictures, texts, tables and pages shown, the rest to be downloaded.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { useContent } from "./chunks.ts";
import { DataOf } from "./data_view.tsx";
import { bytes } from "./format.ts";
import { Framed } from "./frame.tsx";
import { isGeo } from "./geo.ts";
import { GeoView } from "./geo_view.tsx";
import { Guarded } from "./guarded.tsx";
import { JsonView, Rows } from "./json_view.tsx";
import type { Artifact } from "./model.ts";
import { Code } from "./notebook.tsx";
import { Svg } from "./output.tsx";
import { href } from "./route.ts";
import { markdown } from "./safe.ts";
import { parseCsv, parseJson } from "./tables.ts";
import { Ansi, download, Fragment, Waiting } from "./ui.tsx";

export const isPicture = (artifact: Artifact): boolean => /\.(?:png|jpg|gif|webp)$/.test(artifact.file ?? "");

const isSound = ({ file }: Artifact): boolean => /\.(?:flac|m4a|mp3|ogg|wav)$/.test(file ?? "");
const isFilm = ({ file }: Artifact): boolean => /\.(?:mp4|webm)$/.test(file ?? "");
const isPdf = ({ file }: Artifact): boolean => file?.endsWith(".pdf") ?? false;

export function Artifacts({ of, task }: { of: Artifact[]; task?: string }): JSX.Element {
  return (
    <div class="artifacts">
      {of.map((artifact) => (
        <figure class={isPicture(artifact) ? "artifact picture" : "artifact"}>
          <figcaption>
            <b>{artifact.name}</b> <small>{bytes(artifact.size)}</small>
            {artifact.file ? (
              <a href={artifact.file} download={artifact.name.split("/").at(-1)}>
                Download
              </a>
            ) : (
              artifact.digest && (
                <small class="mono" title="its content is not in the site">
                  {artifact.digest.slice(0, 12)}
                </small>
              )
            )}
            {task && <a href={href(["artefacts"], { task, name: artifact.name })}>Over the runs</a>}
          </figcaption>
          <ArtifactContent artifact={artifact} />
        </figure>
      ))}
    </div>
  );
}

/** What is in it, as far as a page can show that. */
export function ArtifactContent({ artifact }: { artifact: Artifact }): JSX.Element | null {
  if (isPicture(artifact)) return <img src={artifact.file!} alt={artifact.name} loading="lazy" />;
  // biome-ignore lint/a11y/useMediaCaption: nobody has written captions for it
  if (isSound(artifact)) return <audio src={artifact.file!} controls preload="metadata" />;
  // biome-ignore lint/a11y/useMediaCaption: likewise
  if (isFilm(artifact)) return <video src={artifact.file!} controls preload="metadata" />;
  if (isPdf(artifact)) return <Pdf file={artifact.file!} name={artifact.name} />;
  return (
    <Guarded what={artifact.name}>
      {artifact.text !== undefined && <Text artifact={artifact} />}
      {artifact.preview !== undefined &&
        (artifact.text === undefined ? (
          <DataOf preview={artifact.preview} />
        ) : (
          <details class="data">
            <summary>Columns: types, figures, values</summary>
            <DataOf preview={artifact.preview} rows={false} />
          </details>
        ))}
    </Guarded>
  );
}

/** In the browser's own viewer, when asked for. */
function Pdf({ file, name }: { file: string; name: string }): JSX.Element {
  const [open, set] = useState(false);
  return open ? (
    <iframe class="sandbox pdf" src={file} title={name} />
  ) : (
    <button type="button" onClick={() => set(true)}>
      Show {name}
    </button>
  );
}

function Text({ artifact }: { artifact: Artifact }): JSX.Element {
  const text = useContent<string>(artifact.text);
  if (typeof text !== "string") return <Waiting error={text} what={artifact.name} />;
  return (
    <>
      <Shown artifact={artifact} text={text} />
      <button
        type="button"
        class="link"
        onClick={() => download(artifact.name.split("/").at(-1)!, text, "application/octet-stream")}
      >
        Download {artifact.name.split("/").at(-1)}
      </button>
    </>
  );
}

function Shown({ artifact: { name, type }, text }: { artifact: Artifact; text: string }): JSX.Element {
  if (type.startsWith("image/svg")) return <Svg svg={text} name={name} />;
  if (type === "text/html") return <Framed html={text} title={name} />;
  if (type === "text/markdown") return <Fragment class="prose" make={(text) => markdown(text)} of={text} />;
  if (type === "text/csv" || type === "text/tab-separated-values")
    return <Rows {...parseCsv(text, type === "text/csv" ? "," : "\t")} />;
  if (type === "application/yaml") return <Code source={text} language="yaml" />;
  if (type.endsWith("json")) {
    try {
      const value = parseJson(text);
      return isGeo(value) ? <GeoView value={value} name={name} /> : <JsonView value={value} />;
    } catch {
      return <Ansi text={text} />;
    }
  }
  return <Ansi text={text.length > 200_000 ? `${text.slice(0, 200_000)}\n…` : text} />;
}
