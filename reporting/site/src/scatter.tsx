// Points over two axes of any kind, thousands of them: read under the pointer, chosen by drawing a rectangle.
import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { type Axis, distinct, type Scale, scaleOf, shortened, spaced } from "./axis.ts";
import { cleared, onTheme, resolved } from "./canvas.ts";
import type { Colours } from "./colours.ts";
import { plural } from "./format.ts";
import { Legend } from "./legend.tsx";
import { go } from "./route.ts";

interface Props {
  x: Axis;
  y: Axis;
  colours: Colours;
  /** The text of a point, and the address of its page. */
  told: (i: number) => string;
  leads: (i: number) => string | undefined;
  /** The points that count: the others are faint. */
  chosen: (i: number) => boolean;
  onChoose?: (chosen: ReadonlySet<number> | undefined) => void;
  title: string;
}

const MARGIN = { left: 64, right: 16, top: 26, bottom: 38 };
const HEIGHT = 380;
const REACH = 14;
/** With so few values across, points are moved aside a little, so that one sees how many they are. */
const SAME = 12;
const aside = (i: number): number => ((i * 0.618034) % 1) * 16 - 8;

const without = (count: number): string => `${count} without a place here, where a value is missing or not finite`;

interface Spot {
  i: number;
  x: number;
  y: number;
}
interface Box {
  x0: number;
  y0: number;
  x1: number;
  y1: number;
}

export function Scatter({ x, y, colours, told, leads, chosen, onChoose, title }: Props): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const [width, setWidth] = useState(640);
  const [theme, setTheme] = useState(0);
  const [near, setNear] = useState<number | undefined>();
  const [box, setBox] = useState<Box | undefined>();
  useLayoutEffect(() => {
    const measure = () => setWidth(Math.max(260, place.current!.clientWidth));
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(place.current!);
    const stop = onTheme(() => setTheme((old) => old + 1));
    return () => {
      observer.disconnect();
      stop();
    };
  }, []);
  const [scaleX, scaleY] = useMemo(
    () => [scaleOf(x, Math.max(2, Math.floor(width / 110))), scaleOf(y)],
    [x, y, width],
  );
  const [right, bottom] = [width - MARGIN.right, HEIGHT - MARGIN.bottom];
  const px = (at: number) => MARGIN.left + at * (right - MARGIN.left);
  const py = (at: number) => bottom - at * (bottom - MARGIN.top);
  const spots = useMemo(() => {
    const found: Spot[] = [];
    const same = x.values.length > 30 && distinct(x.values).length <= SAME;
    for (let i = 0; i < x.values.length; i++) {
      const [ax, ay] = [scaleX.at(x.values[i]), scaleY.at(y.values[i])];
      if (ax !== undefined && ay !== undefined) found.push({ i, x: px(ax) + (same ? aside(i) : 0), y: py(ay) });
    }
    return found;
  }, [scaleX, scaleY, width]);
  const byPoint = useMemo(() => new Map(spots.map((spot) => [spot.i, spot])), [spots]);
  useEffect(() => {
    const context = cleared(canvas.current!, width, HEIGHT);
    const dot = (spot: Spot) => {
      context.beginPath();
      context.arc(spot.x, spot.y, spots.length > 2000 ? 2.4 : 3.6, 0, 7);
      context.fill();
    };
    context.fillStyle = resolved(canvas.current!, "var(--line)");
    for (const spot of spots) if (!chosen(spot.i)) dot(spot);
    context.globalAlpha = spots.length > 400 ? 0.65 : 0.85;
    for (const spot of spots) {
      if (!chosen(spot.i)) continue;
      context.fillStyle = resolved(canvas.current!, colours.of[spot.i]!);
      dot(spot);
    }
  }, [spots, colours, chosen, theme]);

  const inside = (event: PointerEvent) => {
    const at = place.current!.getBoundingClientRect();
    return { x: event.clientX - at.left, y: event.clientY - at.top };
  };
  function track(event: PointerEvent): void {
    const at = inside(event);
    if (box) {
      setBox({ ...box, x1: at.x, y1: at.y });
      return;
    }
    let [found, least] = [undefined as number | undefined, REACH * REACH];
    for (const spot of spots) {
      const far = (spot.x - at.x) ** 2 + (spot.y - at.y) ** 2;
      if (far < least && chosen(spot.i)) [found, least] = [spot.i, far];
    }
    setNear(found);
  }
  function press(event: PointerEvent): void {
    const at = inside(event);
    (event.currentTarget as Element).setPointerCapture(event.pointerId);
    setBox({ x0: at.x, y0: at.y, x1: at.x, y1: at.y });
  }
  function release(): void {
    const drawn = box;
    setBox(undefined);
    if (!drawn) return;
    const { left, top, w, h } = sides(drawn);
    if (w < 5 && h < 5) {
      const to = near === undefined ? undefined : leads(near);
      if (to) go(to);
      else onChoose?.(undefined);
      return;
    }
    const within = spots.filter((one) => one.x >= left && one.x <= left + w && one.y >= top && one.y <= top + h);
    onChoose?.(new Set(within.map((one) => one.i)));
  }
  const at = near === undefined ? undefined : byPoint.get(near);
  return (
    <figure class="chart">
      <Legend colours={colours} />
      <div
        class="plot"
        ref={place}
        style={{ height: `${HEIGHT}px` }}
        role="img"
        aria-label={title}
        onPointerMove={track}
        onPointerDown={press}
        onPointerUp={release}
        onPointerLeave={() => setNear(undefined)}
      >
        <Frame x={x} y={y} scaleX={scaleX} scaleY={scaleY} px={px} py={py} width={width} />
        <canvas ref={canvas} aria-hidden="true" />
        <svg class="over" width={width} height={HEIGHT} aria-hidden="true">
          {at && <circle class="ring" cx={at.x} cy={at.y} r="7" />}
          {box && (
            <rect
              class="brush"
              x={sides(box).left}
              y={sides(box).top}
              width={sides(box).w}
              height={sides(box).h}
            />
          )}
        </svg>
      </div>
      <p class="reading" aria-live="polite">
        {near !== undefined ? told(near) : plural(spots.length, "point")}
        {near === undefined && spots.length < x.values.length && ` · ${without(x.values.length - spots.length)}`}
        {near === undefined && onChoose && " · draw a rectangle to choose some"}
      </p>
    </figure>
  );
}

const sides = ({ x0, y0, x1, y1 }: Box) => ({
  left: Math.min(x0, x1),
  top: Math.min(y0, y1),
  w: Math.abs(x1 - x0),
  h: Math.abs(y1 - y0),
});

function Frame({
  x,
  y,
  scaleX,
  scaleY,
  px,
  py,
  width,
}: {
  x: Axis;
  y: Axis;
  scaleX: Scale;
  scaleY: Scale;
  px: (at: number) => number;
  py: (at: number) => number;
  width: number;
}): JSX.Element {
  const room = width - MARGIN.left - MARGIN.right;
  const most = scaleX.kind === "names" ? Math.max(6, Math.floor(room / Math.max(1, scaleX.ticks.length) / 7)) : 12;
  const longest = Math.max(0, ...scaleX.ticks.map((tick) => Math.min(most, tick.text.length)));
  const ticksX = spaced(scaleX.ticks, Math.max(46, longest * 6.2 + 6) / room);
  const ticksY = spaced(scaleY.ticks, 14 / (HEIGHT - MARGIN.top - MARGIN.bottom));
  return (
    <svg width={width} height={HEIGHT} aria-hidden="true">
      {ticksY.map((tick) => (
        <g class="tick">
          <line x1={MARGIN.left} x2={width - MARGIN.right} y1={py(tick.at)} y2={py(tick.at)} />
          <text x={MARGIN.left - 8} y={py(tick.at) + 4} text-anchor="end">
            {shortened(tick.text, 9)}
          </text>
        </g>
      ))}
      {ticksX.map((tick) => (
        <text class="axis" x={px(tick.at)} y={HEIGHT - MARGIN.bottom + 16} text-anchor="middle">
          {shortened(tick.text, most)}
        </text>
      ))}
      <text class="axis name" x={width - MARGIN.right} y={HEIGHT - 5} text-anchor="end">
        {shortened(x.label, 60)}
        {scaleX.kind === "log" && " (logarithmic)"} →
      </text>
      <text class="axis name" x="4" y="12">
        ↑ {shortened(y.label, 40)}
        {scaleY.kind === "log" && " (logarithmic)"}
      </text>
    </svg>
  );
}
