// One task of the run under way: its cell, what it prints, and what went wrong.
import type { JSX } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { age, seconds } from "./format.ts";
import { type LiveAttempt, waiting } from "./live.ts";
import type { Index } from "./model.ts";
import { href, taskHref } from "./route.ts";
import { useNow, useStream } from "./stream.ts";
import { Badge, Coloured, Facts } from "./ui.tsx";

export function LiveTaskPage({ index, name }: { index: Index; name: string }): JSX.Element {
  const { run, connected } = useStream();
  const task = run?.tasks.get(name);
  const now = useNow(task?.status === "running" && connected);
  return (
    <>
      <p class="crumbs">
        <a href={href(["live"])}>Live</a>
      </p>
      <div class="head">
        <h1>{name}</h1>
        {task && <Badge of={task.status} text={waiting(task)} />}
        {run?.ended !== undefined && index.byId.has(run.id) && (
          <a class="button" href={taskHref(run.id, name)}>
            Open in the report
          </a>
        )}
      </div>
      <Connection lost={!connected} />
      {!task && <p class="note">It is not in the current build.</p>}
      {task?.reasons[0] && (
        <p class="why">
          Why: <b>{task.reasons[0]}</b>
        </p>
      )}
      {task?.attempts.toReversed().map((attempt) => (
        <section class="live whole" aria-label={`Attempt ${attempt.n}`}>
          <h2>
            Attempt {attempt.n} <Badge of={attempt.outcome} />
          </h2>
          <Facts
            rows={[
              ["Took", attempt.end ? seconds((attempt.end - attempt.start) / 1000) : age(now - attempt.start)],
            ]}
          />
          <Progress attempt={attempt} now={now} />
          <Failure attempt={attempt} lines={Infinity} />
          <Tail attempt={attempt} label={`Output of attempt ${attempt.n}`} />
        </section>
      ))}
    </>
  );
}

export function Connection({ lost }: { lost: boolean }): JSX.Element {
  return (
    <p class="error" role="alert">
      {lost && "nbdag cannot be reached: it has ended, or is stopped. This is its last known state."}
    </p>
  );
}

/** The present cell among those that count. */
export function Progress({ attempt, now }: { attempt: LiveAttempt; now: number }): JSX.Element | null {
  const cell = attempt.cell;
  if (!cell || attempt.end !== undefined) return null;
  return (
    <p class="cellnow">
      <span class="num">
        cell {cell.position}/{cell.total}
      </span>
      <code>{cell.first}</code>
      <small>{age(now - cell.start)}</small>
    </p>
  );
}

/** What went wrong; of a long traceback the last lines. */
export function Failure({
  attempt,
  lines,
}: {
  attempt: LiveAttempt | undefined;
  lines: number;
}): JSX.Element | null {
  const error = attempt?.error;
  if (!error) return null;
  return (
    <>
      <p class="failure">
        <b>{error.type}</b>
        {error.message && `: ${error.message}`}
      </p>
      {error.trace && (
        <Text of={error.trace.trimEnd().split("\n").slice(-lines).join("\n")} label="Traceback" class="raised" />
      )}
    </>
  );
}

export function Tail({ attempt, label }: { attempt: LiveAttempt; label: string }): JSX.Element | null {
  return attempt.text ? <Text of={`${attempt.cut ? "…" : ""}${attempt.text}`} label={label} class="" /> : null;
}

/** Text that is shown from its end, and follows it as it grows, unless the reader has scrolled away. */
function Text({ of, label, class: name }: { of: string; label: string; class: string }): JSX.Element {
  const place = useRef<HTMLPreElement>(null);
  const follows = useRef(true);
  useLayoutEffect(() => {
    if (follows.current) place.current!.scrollTop = place.current!.scrollHeight;
  }, [of]);
  const scrolled = () => {
    const { scrollTop, clientHeight, scrollHeight } = place.current!;
    follows.current = scrollTop + clientHeight > scrollHeight - 8;
  };
  return (
    <pre class={`text ${name}`} tabIndex={0} role="group" aria-label={label} ref={place} onScroll={scrolled}>
      <Coloured text={of} />
    </pre>
  );
}
