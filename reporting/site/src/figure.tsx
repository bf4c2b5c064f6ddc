// An interactive figure of a notebook: drawn in the sandbox when it comes into sight, by the script that its task kept.
import { createContext, type JSX } from "preact";
import { useContext, useEffect, useRef, useState } from "preact/hooks";
import { useContent } from "./chunks.ts";
import { type FigureKind, figurePage, heightOf, PACKAGES, wantsWeb } from "./figures.ts";
import { Sandbox } from "./frame.tsx";
import { Waiting } from "./ui.tsx";

/** The scripts of libraries that a task kept, by kind. */
export const Scripts = createContext<Record<string, string>>({});

export function Figure({ kind, spec, instead }: { kind: FigureKind; spec: string; instead: JSX.Element | null }) {
  const script = useContext(Scripts)[kind];
  const place = useRef<HTMLDivElement>(null);
  const [seen, see] = useState(false);
  useEffect(() => {
    if (script === undefined || seen) return;
    const observer = new IntersectionObserver((found) => found.some((one) => one.isIntersecting) && see(true), {
      rootMargin: "300px",
    });
    observer.observe(place.current!);
    return () => observer.disconnect();
  }, [script, seen]);
  if (script === undefined)
    return (
      <div class="output">
        {instead}
        <p class="note">
          An interactive figure. It is shown here if <code>{PACKAGES[kind]}</code> is installed where the notebook
          runs.
        </p>
      </div>
    );
  return (
    <div class="output figure" ref={place}>
      {seen ? <Drawn kind={kind} script={script} spec={spec} /> : <p class="note">An interactive figure</p>}
    </div>
  );
}

function Drawn({ kind, script, spec }: { kind: FigureKind; script: string; spec: string }): JSX.Element {
  const library = useContent<string>(script);
  const told = useContent<unknown>(spec);
  if (typeof library !== "string" || told === undefined || told instanceof Error)
    return <Waiting error={[library, told].find((one) => one instanceof Error) as Error} what="The figure" />;
  return (
    <>
      <Sandbox html={figurePage(kind, library, told)} title={`${kind} figure`} height={heightOf(kind, told)} />
      {wantsWeb(kind, told) && (
        <p class="note">A part of this figure, such as the outlines of a map, is on the web and not shown here.</p>
      )}
    </>
  );
}
