// When each task was executed: its attempts as bars, the critical path underlined, on a cluster a lane for each node.
import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import { shortened } from "./axis.ts";
import { took } from "./critical.ts";
import { seconds } from "./format.ts";
import { inLanes } from "./lanes.ts";
import type { Attempt, RunRow, Task } from "./model.ts";
import { timeStep } from "./scale.ts";
import { DataTable, glyph, label, useWidth } from "./ui.tsx";

const ROW = 24;
/** Beside the last bar, for how long it took. */
const TOOK = 74;

interface Props {
  tasks: Task[];
  run: Pick<RunRow, "started" | "seconds">;
  critical: Set<number>;
  /** The address of a task. */
  to: (task: string) => string;
}

const kindOf = ({ outcome }: Attempt): string =>
  ({ succeeded: "ran", running: "running", waiting: "pool" })[outcome] ?? "failed";
const hasWaited = ({ wait }: Attempt): boolean => wait !== undefined && wait > 0.01;

export function Timeline({ tasks, run, critical, to }: Props): JSX.Element {
  const executed = tasks
    .map((task, i) => ({ task, i }))
    .filter(({ task }) => task.attempts?.length)
    .sort((a, b) => (a.task.start ?? 0) - (b.task.start ?? 0));
  const { rows, lanes } = inLanes(executed);
  const place = useRef<HTMLDivElement>(null);
  const width = Math.max(420, useWidth(place, 960, rows.length > 0));
  const names = width < 700 ? 130 : 200;
  if (rows.length === 0) return <p class="note">Nothing was executed: every result already existed.</p>;
  const ends = rows.flatMap(({ attempts }) => attempts.map((attempt) => attempt.end ?? attempt.start));
  const total = Math.max(run.seconds ?? 0, (Math.max(...ends) - run.started) / 1000, 0.001);
  const last = run.started + total * 1000;
  const x = (milliseconds: number) =>
    names + ((milliseconds - run.started) / 1000 / total) * (width - names - TOOK);
  const step = timeStep((total * 90) / (width - names));
  const drawn = new Set(rows.flatMap(({ attempts }) => attempts.map(kindOf)));
  const pools = rows.some(({ attempts }) => attempts.some(({ pool }) => pool !== undefined));
  const starting = rows.some(({ attempts }) => attempts.some(hasWaited));
  const height = (rows.length + lanes.length) * ROW + 28;
  return (
    <figure class="chart">
      <div class="scroll" tabIndex={0} role="group" aria-label="Timeline" ref={place}>
        <svg width={width} height={height} class="timeline" role="list">
          {Array.from({ length: Math.floor(total / step) + 1 }, (_, i) => (
            <g class="tick">
              <line
                x1={x(run.started + i * step * 1000)}
                x2={x(run.started + i * step * 1000)}
                y1="20"
                y2={height}
              />
              <text x={x(run.started + i * step * 1000)} y="13" text-anchor="middle">
                {tick(i * step, step)}
              </text>
            </g>
          ))}
          {lanes.map(({ node, at }) => (
            <g class="lane" role="listitem">
              <line x1="0" x2={width} y1={24 + at * ROW} y2={24 + at * ROW} />
              <text x={names - 10} y={24 + at * ROW + 16} text-anchor="end">
                {node}
              </text>
            </g>
          ))}
          {rows.map(({ task, i, attempts, at }) => {
            const y = 24 + at * ROW;
            const end = Math.max(...attempts.map((attempt) => attempt.end ?? last));
            return (
              <g role="listitem">
                <title>{`${task.name}: ${label(task.status)}, ${seconds(took(task) / 1000)}${critical.has(i) ? ", on the critical path" : ""}`}</title>
                <a href={to(task.name)}>
                  <text class="name" x={names - 10} y={y + 15} text-anchor="end">
                    {shortened(task.name, Math.floor((names - 12) / 7.8))}
                  </text>
                  {attempts.map((attempt) => {
                    const from = x(attempt.start);
                    const long = Math.max(2, x(attempt.end ?? last) - from);
                    const kind = kindOf(attempt);
                    const waited = (attempt.poolWait ?? 0) * 1000;
                    return (
                      <g aria-hidden="true">
                        <title>{`${task.name}, attempt ${attempt.n}: ${outcome(attempt)}${attempt.end ? `, ${seconds((attempt.end - attempt.start) / 1000)}` : ""}`}</title>
                        {waited > 10 && (
                          <rect
                            class="bar is-pool"
                            x={x(attempt.start - waited)}
                            y={y + 6}
                            width={from - x(attempt.start - waited)}
                            height={ROW - 14}
                          />
                        )}
                        <rect class={`bar is-${kind}`} x={from} y={y + 3} width={long} height={ROW - 8} rx="3" />
                        {hasWaited(attempt) && (
                          <rect
                            class="wait"
                            x={from}
                            y={y + 3}
                            width={Math.min(long, x(attempt.start + attempt.wait! * 1000) - from)}
                            height={ROW - 8}
                            rx="3"
                          />
                        )}
                        {kind === "pool" && (
                          <text
                            class="waits"
                            x={from + (from < width / 2 ? 6 : -6)}
                            y={y + 15}
                            text-anchor={from < width / 2 ? "start" : "end"}
                          >
                            {outcome(attempt)}
                          </text>
                        )}
                        {kind === "failed" && long > 14 && (
                          <text
                            class="glyph on"
                            aria-hidden="true"
                            x={from + long / 2}
                            y={y + 15.5}
                            text-anchor="middle"
                          >
                            {glyph(attempt.outcome)}
                          </text>
                        )}
                      </g>
                    );
                  })}
                  {critical.has(i) && (
                    <rect
                      class="path"
                      x={x(attempts[0]!.start)}
                      y={y + ROW - 4}
                      width={Math.max(2, x(end) - x(attempts[0]!.start))}
                      height="2.5"
                      rx="1"
                    />
                  )}
                  <text class="took" x={x(end) + 6} y={y + 15}>
                    {seconds(took(task) / 1000)}
                  </text>
                </a>
              </g>
            );
          })}
        </svg>
      </div>
      <figcaption>
        {drawn.has("ran") && <span class="key is-ran">executed</span>}
        {drawn.has("running") && <span class="key is-running">running</span>}
        {pools && <span class="key is-pool">waiting for a pool</span>}
        {starting && <span class="key is-wait">starting</span>}
        {drawn.has("failed") && <span class="key is-failed">an attempt that failed</span>}
        {critical.size > 0 && <span class="key is-path">critical path</span>}
      </figcaption>
      <DataTable
        head={["task", "attempt", ...(lanes.length ? ["node"] : []), "outcome", "begins after", "takes"]}
        rows={rows.flatMap(({ task, attempts }) =>
          attempts.map((attempt) => [
            task.name,
            attempt.n,
            ...(lanes.length ? [attempt.node ?? ""] : []),
            outcome(attempt),
            seconds((attempt.start - run.started) / 1000),
            attempt.end ? seconds((attempt.end - attempt.start) / 1000) : "",
          ]),
        )}
      />
    </figure>
  );
}

/** How an attempt ended, and what it waited for. */
const outcome = ({ outcome, pool, poolWait }: Attempt): string => {
  if (pool === undefined) return label(outcome);
  return outcome === "waiting"
    ? `waits for ${pool}`
    : `${label(outcome)}, waited ${seconds(poolWait ?? 0)} for ${pool}`;
};

const tick = (at: number, step: number): string => {
  if (at === 0) return "0";
  if (step < 60) return at < 60 ? `${Number(at.toPrecision(6))} s` : seconds(at);
  return step < 3600 ? `${Math.round(at / 60)} min` : `${Math.round(at / 3600)} h`;
};
