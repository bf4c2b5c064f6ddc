// Parallel coordinates: a line for each result through its parameters and metrics; a stretch of an axis chooses.
import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { type Axis, scaleOf, shortened, spaced } from "./axis.ts";
import { cleared, onTheme, resolved } from "./canvas.ts";
import type { Colours } from "./colours.ts";
import { csv } from "./csv.ts";
import { value } from "./format.ts";
import { Legend } from "./legend.tsx";
import { go } from "./route.ts";
import { DataTable, download } from "./ui.tsx";

/** Chosen stretches of axes, by the axes' ids: shares from the foot. */
export type Ranges = Readonly<Record<string, [from: number, to: number]>>;

interface Props {
  axes: readonly Axis[];
  colours: Colours;
  told: (i: number) => string;
  leads?: (i: number) => string | undefined;
  chosen?: (i: number) => boolean;
  ranges?: Ranges;
  onRanges?: (ranges: Ranges) => void;
}

const HEIGHT = 320;
const [TOP, FOOT] = [48, HEIGHT - 26];
const EACH = 120;
const REACH = 10;
const DASH = 12;
const all = () => true;

export function Parallel(props: Props): JSX.Element | null {
  const { axes, colours, told, leads, chosen = all, ranges = {}, onRanges } = props;
  const place = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const [room, setRoom] = useState(960);
  const [theme, setTheme] = useState(0);
  const [near, setNear] = useState<number | undefined>();
  const [drag, setDrag] = useState<{ id: string; from: number; to: number } | undefined>();
  useLayoutEffect(() => {
    const measure = () => setRoom(place.current!.parentElement!.clientWidth);
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(place.current!.parentElement!);
    const stop = onTheme(() => setTheme((old) => old + 1));
    return () => {
      observer.disconnect();
      stop();
    };
  }, []);
  const width = Math.max(room, axes.length * EACH);
  const edge = Math.min(74, width / axes.length / 2);
  const x = (i: number) => (axes.length < 2 ? width / 2 : edge + (i / (axes.length - 1)) * (width - 2 * edge));
  const y = (at: number) => FOOT - at * (FOOT - TOP);
  const scales = useMemo(() => axes.map((axis) => scaleOf(axis, 4)), [axes]);
  const count = axes[0]?.values.length ?? 0;
  const lines = useMemo(
    () => Array.from({ length: count }, (_, r) => axes.map((axis, i) => scales[i]!.at(axis.values[r]))),
    [axes, scales],
  );
  useEffect(() => {
    const context = cleared(canvas.current!, width, HEIGHT);
    const few = count < 40;
    const draw = (r: number) => {
      let open = false;
      context.beginPath();
      lines[r]!.forEach((at, i) => {
        if (at === undefined) open = false;
        else if (open) context.lineTo(x(i), y(at));
        else {
          context.moveTo(x(i), y(at));
          // a value between two that are missing is a dash, not nothing
          if (lines[r]![i + 1] === undefined) context.lineTo(x(i) + (i ? -DASH : DASH), y(at));
          open = true;
        }
      });
      context.stroke();
    };
    context.lineJoin = "round";
    context.lineWidth = 1;
    context.strokeStyle = resolved(canvas.current!, "var(--line)");
    for (let r = 0; r < count; r++) if (!chosen(r)) draw(r);
    context.lineWidth = few ? 1.8 : 1.1;
    context.globalAlpha = few ? 1 : Math.max(0.18, Math.min(0.7, 120 / count));
    for (let r = 0; r < count; r++) {
      if (!chosen(r)) continue;
      context.strokeStyle = resolved(canvas.current!, colours.of[r]!);
      draw(r);
    }
    if (near === undefined) return;
    context.globalAlpha = 1;
    context.lineWidth = 2.6;
    context.strokeStyle = resolved(canvas.current!, "var(--ink)");
    draw(near);
  }, [lines, colours, chosen, width, near, theme]);

  const inside = (event: PointerEvent) => {
    const at = place.current!.getBoundingClientRect();
    return { x: event.clientX - at.left, y: event.clientY - at.top };
  };
  const share = (at: number) => Math.max(0, Math.min(1, (FOOT - at) / (FOOT - TOP)));
  function track(event: PointerEvent): void {
    const at = inside(event);
    if (drag) {
      setDrag({ ...drag, to: share(at.y) });
      return;
    }
    let [found, least] = [undefined as number | undefined, REACH];
    const left = axes.findLastIndex((_, i) => x(i) <= at.x);
    if (left >= 0 && left < axes.length - 1) {
      const part = (at.x - x(left)) / (x(left + 1) - x(left));
      lines.forEach((line, r) => {
        const [a, b] = [line[left], line[left + 1]];
        if (a === undefined || b === undefined || !chosen(r)) return;
        const far = Math.abs(y(a + (b - a) * part) - at.y);
        if (far < least) [found, least] = [r, far];
      });
    }
    setNear(found);
  }
  function press(event: PointerEvent): void {
    const at = inside(event);
    const i = axes.findIndex((_, k) => Math.abs(x(k) - at.x) < 16);
    if (!onRanges || i < 0) return;
    (event.currentTarget as Element).setPointerCapture(event.pointerId);
    setDrag({ id: axes[i]!.id, from: share(at.y), to: share(at.y) });
  }
  function release(): void {
    if (drag) {
      const { [drag.id]: _, ...others } = ranges;
      const [low, high] = [Math.min(drag.from, drag.to), Math.max(drag.from, drag.to)];
      onRanges!(high - low < 0.015 ? others : { ...others, [drag.id]: [low, high] });
      setDrag(undefined);
    } else {
      const to = near === undefined ? undefined : leads?.(near);
      if (to) go(to);
    }
  }
  if (axes.length < 2) return null;
  const shownRanges: Ranges = drag
    ? { ...ranges, [drag.id]: [Math.min(drag.from, drag.to), Math.max(drag.from, drag.to)] }
    : ranges;
  const most = Math.max(8, Math.floor((width / axes.length) * 0.14));
  return (
    <figure class="chart">
      <Legend colours={colours} />
      <div class="scroll" tabIndex={0} role="group" aria-label="Parallel coordinates">
        <div
          class={onRanges ? "plot brushed" : "plot"}
          ref={place}
          style={{ width: `${width}px`, height: `${HEIGHT}px` }}
          role="img"
          aria-label={`Parallel coordinates: ${axes.map((axis) => axis.label).join(", ")}`}
          onPointerMove={track}
          onPointerDown={press}
          onPointerUp={release}
          onPointerLeave={() => setNear(undefined)}
        >
          <canvas ref={canvas} aria-hidden="true" />
          <svg class="over" width={width} height={HEIGHT} aria-hidden="true">
            {axes.map((axis, i) => (
              <g class="tick along">
                <line x1={x(i)} x2={x(i)} y1={TOP} y2={FOOT} />
                {axis.label.split(" · ").map((part, row) => {
                  const text = shortened(part, most) + (!row && scales[i]!.kind === "log" ? " (log)" : "");
                  const half = text.length * 3.5;
                  const [at, anchor] =
                    x(i) + half > width
                      ? [width - 1, "end" as const]
                      : x(i) < half
                        ? [1, "start" as const]
                        : [x(i), "middle" as const];
                  return (
                    <text class={row ? "" : "name"} x={at} y={row ? 30 : 15} text-anchor={anchor}>
                      {text}
                    </text>
                  );
                })}
                {spaced(scales[i]!.ticks, 13 / (FOOT - TOP)).map((tick) => (
                  <text class="halo" x={x(i) - 6} y={y(tick.at) + 4} text-anchor="end">
                    {shortened(tick.text, most)}
                  </text>
                ))}
                {shownRanges[axis.id] && (
                  <rect
                    class="brush"
                    x={x(i) - 9}
                    width="18"
                    y={y(shownRanges[axis.id]![1])}
                    height={y(shownRanges[axis.id]![0]) - y(shownRanges[axis.id]![1])}
                  />
                )}
              </g>
            ))}
          </svg>
        </div>
      </div>
      <p class="reading" aria-live="polite">
        {near !== undefined ? told(near) : onRanges ? "Draw along an axis to choose a stretch of it" : ""}
      </p>
      <DataTable
        head={["", ...axes.map((axis) => axis.label)]}
        rows={Array.from({ length: Math.min(count, 501) }, (_, r) => [
          told(r),
          ...axes.map((axis) => value(axis.values[r])),
        ])}
        onCsv={() =>
          download(
            "lines.csv",
            csv(
              ["", ...axes.map((axis) => axis.label)],
              Array.from({ length: count }, (_, r) => [told(r), ...axes.map((axis) => axis.values[r])]),
            ),
            "text/csv",
          )
        }
      />
    </figure>
  );
}
