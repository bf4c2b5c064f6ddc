// What a notebook made as a page of its own: shown in a frame without our origin, without network, when asked for.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

export function Framed({ html, title }: { html: string; title: string }): JSX.Element {
  const [open, set] = useState(false);
  return open ? (
    <Sandbox html={html} title={title} />
  ) : (
    <button type="button" onClick={() => set(true)}>
      Show {title} <small>runs its script in a sandbox</small>
    </button>
  );
}

export function Sandbox({ html, title, height }: { html: string; title: string; height?: number }): JSX.Element {
  const place = useRef<HTMLIFrameElement>(null);
  useEffect(() => {
    const ready = (event: MessageEvent) => {
      if (event.source !== place.current?.contentWindow || event.origin !== "null") return;
      removeEventListener("message", ready);
      place.current!.contentWindow!.postMessage(html, "*");
    };
    addEventListener("message", ready);
    return () => removeEventListener("message", ready);
  }, [html]);
  return (
    <iframe
      ref={place}
      class="sandbox"
      src="frame.html"
      sandbox="allow-scripts"
      referrerpolicy="no-referrer"
      title={title}
      style={height === undefined ? {} : { height: `${height}px` }}
    />
  );
}
