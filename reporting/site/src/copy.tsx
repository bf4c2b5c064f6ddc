// Buttons that copy a text: an identifier, a command, the address of what is seen.
import type { JSX } from "preact";
import { useState } from "preact/hooks";

export function Copy({ text, what }: { text: string; what: string }): JSX.Element {
  const [state, set] = useState<"" | "copied" | "not copied">("");
  const copy = () =>
    navigator.clipboard.writeText(text).then(
      () => set("copied"),
      () => set("not copied"),
    );
  return (
    <button type="button" class="copy" title={text} onClick={() => void copy()} onBlur={() => set("")}>
      <svg viewBox="0 0 16 16" width="13" height="13" aria-hidden="true">
        <path d="M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3" fill="none" stroke="currentColor" stroke-width="1.3" />
      </svg>
      {what}
      <span role="status">{state && ` ${state}`}</span>
    </button>
  );
}

export function Copies({ of }: { of: [what: string, text: string | null | undefined][] }): JSX.Element {
  return (
    <p class="copies">
      {of.map(([what, text]) => text && <Copy what={what} text={text} />)}
      <Copy what="link" text={location.href} />
    </p>
  );
}
