// What the colours of a chart stand for.
import type { JSX } from "preact";
import type { Colours } from "./colours.ts";

export function Legend({ colours: { names, ramp } }: { colours: Colours }): JSX.Element | null {
  if (!ramp && names.length < 2) return null;
  return (
    <figcaption>
      {names.map(({ text, colour }) => (
        <span class="key" style={{ "--key": colour }}>
          {text}
        </span>
      ))}
      {ramp && (
        <span class="ramp">
          {ramp[0]} <span class="bar-of-ramp" aria-hidden="true" /> {ramp[1]}
        </span>
      )}
    </figcaption>
  );
}
