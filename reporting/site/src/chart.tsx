// Lines and points over two axes, as SVG at its true size, with a reading under the pointer, and the numbers as a table.
import type { ComponentChildren, JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import { moment } from "./axis.ts";
import { csv } from "./csv.ts";
import { number } from "./format.ts";
import { go } from "./route.ts";
import { logTicks, moments, nearest, placed, range, smoothed, stretches, thin, ticks } from "./scale.ts";
import { DataTable, download, useWidth } from "./ui.tsx";

export interface Point {
  x: number;
  /** Where it is not finite, the line has a gap, with a mark at the edge. */
  y: number;
  /** A point that is not a new measurement is hollow. */
  hollow?: boolean;
  mark?: "worse" | "better" | undefined;
  title?: string;
  href?: string;
}

export interface Line {
  label: string;
  points: Point[];
}

interface Props {
  title: string;
  x: string;
  y: string;
  lines: Line[];
  showX?: (x: number) => string;
  /** The values across are times, in milliseconds. */
  isTime?: boolean;
  /** Columns of the table besides the two axes. */
  more?: { head: string[]; of: (point: Point) => { shown: ComponentChildren; raw: unknown }[] };
}

const MARGIN = { left: 62, right: 14, top: 14, bottom: 36 };
/** Beyond this many points, only marks and the one under the pointer are drawn as links. */
const SEPARATE = 200;
const SMOOTH = 9;
const HEIGHT = 220;

export const series = (i: number): string => `series-${i % 8}`;

export function LineChart(props: Props): JSX.Element {
  const { title, lines } = props;
  const [log, setLog] = useState(false);
  const [smooth, setSmooth] = useState(false);
  const [zoom, setZoom] = useState<[number, number] | undefined>();
  const all = lines.flatMap((line) => line.points).filter((point) => Number.isFinite(point.x));
  const finite = all.filter((point) => Number.isFinite(point.y)).map((point) => point.y);
  if (all.length === 0) return <p class="note">{title}: no values.</p>;
  const [least, most] = range(finite);
  const mayLog = finite.length > 1 && finite.every((y) => y > 0) && most / least >= 20;
  const maySmooth = lines.some((line) => line.points.length > 3 * SMOOTH);
  const has = (what: (point: Point) => unknown) => all.some(what);
  return (
    <figure class="chart">
      <figcaption>
        {title}
        {lines.length > 1 && lines.map((line, i) => <span class={`key ${series(i)}`}>{line.label}</span>)}
        {has((point) => point.hollow) && (
          <>
            <span class="key point">measured</span>
            <span class="key hollow">reused</span>
          </>
        )}
        {has((point) => point.mark === "worse") && <span class="key is-worse">worse than before</span>}
        {has((point) => point.mark === "better") && <span class="key is-better">better</span>}
        {has((point) => !Number.isFinite(point.y)) && <span class="key is-unending">not a finite number</span>}
        {mayLog && (
          <label class="check">
            <input type="checkbox" checked={log} onChange={() => setLog(!log)} /> logarithmic
          </label>
        )}
        {maySmooth && (
          <label class="check">
            <input type="checkbox" checked={smooth} onChange={() => setSmooth(!smooth)} /> mean of {SMOOTH}
          </label>
        )}
        {zoom && (
          <button type="button" class="link" onClick={() => setZoom(undefined)}>
            Show all
          </button>
        )}
      </figcaption>
      <Drawing {...props} log={log && mayLog} smooth={smooth} zoom={zoom} onZoom={setZoom} />
      <Numbers {...props} />
    </figure>
  );
}

interface Drawn extends Props {
  log: boolean;
  smooth: boolean;
  zoom: [number, number] | undefined;
  onZoom: (to: [number, number] | undefined) => void;
}

function Drawing(props: Drawn): JSX.Element {
  const { title, x: nameX, lines, showX = number, isTime, log, smooth, zoom, onZoom } = props;
  const place = useRef<HTMLDivElement>(null);
  const width = Math.max(220, useWidth(place, 560));
  const [at, setAt] = useState(-1);
  const [from, setFrom] = useState<number | undefined>();
  const inside = (point: Point) =>
    Number.isFinite(point.x) && (!zoom || (point.x >= zoom[0] && point.x <= zoom[1]));
  const known = lines.map((line) => ({ ...line, points: line.points.filter(inside) }));
  const all = known.flatMap((line, i) => line.points.map((point) => ({ point, line: i })));
  const rangeX = range(all.map(({ point }) => point.x));
  const rangeY = range(all.map(({ point }) => point.y));
  const ticksY = log ? logTicks(rangeY) : ticks(rangeY, 5);
  const ticksX = (isTime ? moments : ticks)(rangeX, Math.max(2, Math.min(6, Math.floor(width / 95))))
    .filter((tick) => tick >= rangeX[0] && tick <= rangeX[1])
    .map((at) => ({ at, text: isTime ? moment(at, rangeX[1] - rangeX[0]) : showX(at) }))
    .filter(({ text }) => text !== "")
    .filter(({ text }, i, those) => text !== those[i - 1]?.text);
  const lowY = Math.min(rangeY[0], ticksY[0] ?? rangeY[0]);
  const highY = Math.max(rangeY[1], ticksY.at(-1) ?? rangeY[1]);
  const [left, right] = [MARGIN.left, width - MARGIN.right];
  const [top, bottom] = [MARGIN.top, HEIGHT - MARGIN.bottom];
  const scaled = log ? Math.log10 : placed;
  const x = (item: number) => left + ((placed(item) - rangeX[0]) / (rangeX[1] - rangeX[0])) * (right - left);
  const share = (item: number) => (scaled(item) - scaled(lowY)) / (scaled(highY) - scaled(lowY));
  const y = (item: number) =>
    Number.isFinite(item) ? bottom - share(item) * (bottom - top) : item > 0 ? top : bottom;
  const spots = all.map(({ point }) => ({ x: x(point.x), y: y(point.y) }));
  const near = at >= 0 ? all[at] : undefined;
  const path = (points: readonly Point[]) =>
    stretches(points)
      .map((part) => `M${part.map((point) => `${x(point.x).toFixed(1)} ${y(point.y).toFixed(1)}`).join("L")}`)
      .join("");
  const across = (event: PointerEvent) => event.clientX - place.current!.getBoundingClientRect().left;
  const back = (px: number) => rangeX[0] + ((px - left) / (right - left)) * (rangeX[1] - rangeX[0]);

  function track(event: PointerEvent): void {
    const box = place.current!.getBoundingClientRect();
    setAt(nearest(spots, { x: event.clientX - box.left, y: event.clientY - box.top }));
  }
  function release(event: PointerEvent): void {
    const start = from;
    setFrom(undefined);
    if (start === undefined) return;
    const end = across(event);
    if (Math.abs(end - start) > 12) onZoom([back(Math.min(start, end)), back(Math.max(start, end))]);
    else if (near?.point.href && !(event.target as Element).closest("a")) go(near.point.href);
  }
  function press(event: KeyboardEvent): void {
    if (event.key === "ArrowRight") setAt(Math.min(all.length - 1, at + 1));
    else if (event.key === "ArrowLeft") setAt(Math.max(0, at - 1));
    else if (event.key === "Enter" && near?.point.href && event.target === event.currentTarget)
      go(near.point.href);
    else return;
    event.preventDefault();
  }
  const told = (one: (typeof all)[number]) =>
    one.point.title ??
    `${lines.length > 1 ? `${lines[one.line]!.label}: ` : ""}${number(one.point.y)} at ${nameX} ${showX(one.point.x) || number(one.point.x)}`;
  const lineTitle = lines.length > 1 ? `${title}: ${lines.map((line) => line.label).join(", ")}` : title;
  return (
    <div class="drawing" ref={place}>
      <svg
        width={width}
        height={HEIGHT}
        viewBox={`0 0 ${width} ${HEIGHT}`}
        role="group"
        aria-label={lineTitle}
        {...(all.length > SEPARATE ? { tabindex: 0 } : {})}
        onKeyDown={press}
        onPointerMove={track}
        onPointerLeave={() => setAt(-1)}
        onPointerDown={(event) => setFrom(across(event))}
        onPointerUp={release}
      >
        {ticksY.map((tick) => (
          <g class="tick">
            <line x1={left} x2={right} y1={y(tick)} y2={y(tick)} />
            <text x={left - 8} y={y(tick) + 4} text-anchor="end">
              {number(tick)}
            </text>
          </g>
        ))}
        {ticksX.map(({ at, text }) => (
          <text class="axis" x={x(at)} y={bottom + 16} text-anchor="middle">
            {text}
          </text>
        ))}
        <text class="axis name" x={right} y={HEIGHT - 4} text-anchor="end">
          {nameX}
        </text>
        {known.map((line, i) => (
          <g class={series(i)}>
            {line.points.length > 1 && <path class={smooth ? "line faint" : "line"} d={path(thin(line.points))} />}
            {smooth && <path class="line" d={path(thin(smoothed(line.points, SMOOTH)))} />}
            {line.points
              .filter((one) => line.points.length <= SEPARATE || one.mark || !Number.isFinite(one.y))
              .map((one) => (
                <Mark point={one} x={x(one.x)} y={y(one.y)} foot={bottom} />
              ))}
            {line.points.length > SEPARATE && <Dots points={thin(line.points)} x={x} y={y} />}
          </g>
        ))}
        {near && (
          <g class={`near ${series(near.line)}`}>
            <circle cx={spots[at]!.x} cy={spots[at]!.y} r="6.5" />
          </g>
        )}
      </svg>
      <p class="reading" aria-live="polite">
        {near && <Reading point={near.point} text={told(near)} />}
      </p>
    </div>
  );
}

const Reading = ({ point, text }: { point: Point; text: string }): JSX.Element =>
  point.href ? <a href={point.href}>{text}</a> : <span>{text}</span>;

/** The points of a long line, in two shapes instead of thousands. */
function Dots({
  points,
  x,
  y,
}: {
  points: readonly Point[];
  x: (item: number) => number;
  y: (item: number) => number;
}): JSX.Element {
  const dots = (of: (point: Point) => boolean) =>
    points
      .filter((point) => of(point) && !point.mark && Number.isFinite(point.y))
      .map((point) => `M${(x(point.x) - 2).toFixed(1)} ${y(point.y).toFixed(1)}a2 2 0 1 0 4 0a2 2 0 1 0 -4 0`)
      .join("");
  return (
    <>
      <path class="point" d={dots((point) => !point.hollow)} />
      <path class="point hollow" d={dots((point) => Boolean(point.hollow))} />
    </>
  );
}

function Numbers({ x, y, lines, showX = number, more, title }: Props): JSX.Element {
  const many = lines.length > 1;
  const head = [x, ...(many ? ["line"] : []), y, ...(more?.head ?? [])];
  const points = lines.flatMap((line) => line.points.map((point) => ({ point, label: line.label })));
  const note = (point: Point) => [point.hollow && "reused", point.mark].filter(Boolean).join(", ");
  return (
    <DataTable
      head={head}
      rows={points.map(({ point, label }) => [
        showX(point.x) || number(point.x),
        ...(many ? [label] : []),
        `${number(point.y)}${note(point) && ` (${note(point)})`}`,
        ...(more?.of(point).map((cell) => cell.shown) ?? []),
      ])}
      onCsv={() =>
        download(
          `${title}.csv`,
          csv(
            [...head, "note"],
            points.map(({ point, label }) => [
              point.x,
              ...(many ? [label] : []),
              point.y,
              ...(more?.of(point).map((cell) => cell.raw) ?? []),
              note(point),
            ]),
          ),
          "text/csv",
        )
      }
    />
  );
}

/** A mark below its point stands above it where there is no room above the foot. */
function Mark({ point, x, y, foot }: { point: Point; x: number; y: number; foot: number }): JSX.Element {
  const shape = (
    <>
      {point.title && <title>{point.title}</title>}
      {point.mark && (
        <path
          class={`mark is-${point.mark}`}
          d={
            point.mark === "better"
              ? `M${x - 6} ${y - 8}h12l-6 -9z`
              : `M${x - 6} ${y + 17 <= foot ? y + 8 : y - 17}h12l-6 9z`
          }
        />
      )}
      {Number.isFinite(point.y) ? (
        <circle class={point.hollow ? "point hollow" : "point"} cx={x} cy={y} r={point.mark ? 4.5 : 3.2} />
      ) : (
        <path class="unending" d={`M${x - 4} ${y - 4}l8 8m0 -8l-8 8`}>
          <title>{point.title ?? number(point.y)}</title>
        </path>
      )}
    </>
  );
  return point.href ? (
    <a href={point.href} aria-label={point.title ?? number(point.y)}>
      {shape}
    </a>
  ) : (
    <g>{shape}</g>
  );
}
