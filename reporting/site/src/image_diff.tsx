// Two pictures: beside each other, under a slider, one through the other, or only what differs.
import type { JSX } from "preact";
import { useId, useState } from "preact/hooks";

const MODES = ["side by side", "slider", "onion skin", "difference"] as const;
type Mode = (typeof MODES)[number];

export function ImageDiff({
  before,
  after,
  labels,
  name,
}: {
  before: string;
  after: string;
  labels: [string, string];
  name?: string;
}): JSX.Element {
  const [mode, setMode] = useState<Mode>("side by side");
  const [share, setShare] = useState(50);
  const group = useId();
  const pictures = (
    <>
      <img src={before} alt={`${name ?? "picture"}, ${labels[0]}`} />
      <img
        src={after}
        class="over"
        alt={`${name ?? "picture"}, ${labels[1]}`}
        style={
          mode === "slider"
            ? { clipPath: `inset(0 0 0 ${share}%)` }
            : mode === "onion skin"
              ? { opacity: share / 100 }
              : mode === "difference"
                ? { mixBlendMode: "difference" }
                : {}
        }
      />
      {mode === "slider" && <span class="divider" style={{ left: `${share}%` }} aria-hidden="true" />}
    </>
  );
  return (
    <figure class="images">
      <figcaption>
        <span role="radiogroup" aria-label="How to compare the pictures" class="modes">
          {MODES.map((item) => (
            <label>
              <input type="radio" name={group} checked={mode === item} onChange={() => setMode(item)} />
              {item}
            </label>
          ))}
        </span>
        {(mode === "slider" || mode === "onion skin") && (
          <label class="share">
            {labels[0]}
            <input
              type="range"
              min="0"
              max="100"
              value={share}
              aria-label={mode === "slider" ? "Position of the divider" : "Opacity of the second picture"}
              onInput={(event) => setShare(Number(event.currentTarget.value))}
            />
            {labels[1]}
          </label>
        )}
      </figcaption>
      {mode === "side by side" ? (
        <div class="sides plate">{pictures}</div>
      ) : (
        <div class={`stack plate ${mode === "difference" ? "dark" : ""}`}>{pictures}</div>
      )}
    </figure>
  );
}
