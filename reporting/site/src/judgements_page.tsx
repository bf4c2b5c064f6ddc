// What replays and blames found: a list of them, a page for each, and the links from the pages of runs and metrics.
import type { ComponentChildren, JSX } from "preact";
import { useChunk } from "./chunks.ts";
import { Copies } from "./copy.tsx";
import { ago, number, plural, seconds, time } from "./format.ts";
import type { Blame, Index, JudgementRow, TaskVerdict, Verdict } from "./model.ts";
import { href, judgementHref, taskHref } from "./route.ts";
import { RunLink } from "./run_page.tsx";
import { Badge, Facts, Waiting } from "./ui.tsx";

export function JudgementsPage({ index }: { index: Index }): JSX.Element {
  const rows = useChunk<JudgementRow[]>(index.judgements > 0 ? "judgements" : undefined);
  return (
    <>
      <div class="head">
        <h1>Verdicts</h1>
      </div>
      {index.judgements === 0 ? (
        <p class="note">
          <code>nbdag replay</code> makes results again and says whether they are the same;{" "}
          <code>nbdag blame</code> names the change that made a metric differ. What they find is listed here.
        </p>
      ) : rows === undefined || rows instanceof Error ? (
        <Waiting error={rows} what="The verdicts" />
      ) : (
        <div class="scroll" tabIndex={0} role="group" aria-label="Verdicts">
          <table class="plain">
            <thead>
              <tr>
                <th scope="col">When</th>
                <th scope="col" class="minor">
                  Of
                </th>
                <th scope="col">Verdict</th>
                <th scope="col">What</th>
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <tr>
                  <th scope="row" class="when">
                    <a href={judgementHref(row)}>{time(row.started)}</a>
                  </th>
                  <td class="minor">
                    {row.kind === "verdict" ? "run " : `${row.metric} from run `}
                    {row.before && (
                      <>
                        <RunLink index={index} id={row.before} /> to{" "}
                      </>
                    )}
                    <RunLink index={index} id={row.run} />
                  </td>
                  <td>
                    <Badge of={row.result} />
                  </td>
                  <td>{row.what}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </>
  );
}

export function VerdictPage({ index, id }: { index: Index; id: string }): JSX.Element {
  const verdict = useChunk<Verdict>(`verdict/${id}`);
  if (verdict === undefined || verdict instanceof Error) return <Missing of={verdict} id={id} />;
  return (
    <>
      <Head title="Replay of run" id={verdict.run} result={verdict.verdict} command={`nbdag show ${id}`} />
      <Facts
        rows={[
          ["Run", <RunLink index={index} id={verdict.run} />],
          ["Commit", verdict.commit && <span class="mono">{verdict.commit.slice(0, 8)}</span>],
          ["Replayed", <time title={ago(verdict.started / 1e6)}>{time(verdict.started / 1e6)}</time>],
          ["Took", seconds(verdict.duration_s)],
          ["nbdag", verdict.version],
          ["Inputs", verdict.from_scratch ? "replayed, from scratch" : "as they were recorded"],
          ["Signed by", verdict.public_key && <span class="mono">{verdict.public_key}</span>],
        ]}
      />
      <div class="scroll" tabIndex={0} role="group" aria-label="Tasks">
        <table class="plain tasks">
          <thead>
            <tr>
              <th scope="col">Task</th>
              <th scope="col">Verdict</th>
              <th scope="col" class="num minor">
                Took
              </th>
              <th scope="col">What</th>
            </tr>
          </thead>
          <tbody>
            {verdict.tasks.map((task) => (
              <tr>
                <th scope="row">
                  {index.byId.has(verdict.run) ? (
                    <a href={taskHref(verdict.run, task.name)}>{task.name}</a>
                  ) : (
                    task.name
                  )}
                </th>
                <td>
                  <Badge of={task.verdict} />
                </td>
                <td class="num minor">{task.times > 0 && seconds(task.duration_s)}</td>
                <td>
                  <Found task={task} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

/** What was found of one task: the first difference of each thing, how often, and which conditions matter. */
function Found({ task }: { task: TaskVerdict }): JSX.Element {
  const lines: ComponentChildren[] = task.differences.map(({ kind, name, where }) => (
    <>
      {kind !== "cell" && `${kind} `}
      <b>{name}</b>: {where}
    </>
  ));
  if (lines.length === 0 && task.why) lines.push(task.why);
  if (task.times > 1) lines.push(`the same ${task.same} of ${task.times} times`);
  for (const { name, matters, why } of task.conditions)
    if (matters)
      lines.push(
        <>
          <b>{name}</b> matters: {why}
        </>,
      );
    else if (why) lines.push(`${name}: ${why}`);
  lines.push(...task.notes);
  const tried = task.conditions.filter(({ matters }) => !matters).map(({ name }) => name);
  return (
    <ul class="found">
      {lines.map((line) => (
        <li>{line}</li>
      ))}
      {tried.length > 0 && <li class="dim">does not depend on {tried.join(", ")}</li>}
    </ul>
  );
}

const FINDINGS: Record<string, string> = {
  found: "The marked changes carry the difference.",
  noise: "The difference is within what executions of the same vary by: nothing is named.",
  elsewhere: "Executed again, both sides are alike: something that is not among the changes made the difference.",
  unclear: "The marked changes carry the difference, and so do the others without them.",
};

export function BlamePage({ index, id }: { index: Index; id: string }): JSX.Element {
  const blame = useChunk<Blame>(`blame/${id}`);
  if (blame === undefined || blame instanceof Error) return <Missing of={blame} id={id} />;
  const values = (list: readonly (number | string)[]) => list.map((one) => number(Number(one))).join(", ");
  return (
    <>
      <Head
        title={`${blame.metric}: ${number(Number(blame.value_before))} → ${number(Number(blame.value_after))}`}
        result={blame.finding}
        command={`nbdag blame ${blame.metric} --from ${blame.before} --to ${blame.after}`}
      />
      <p>{FINDINGS[blame.finding]}</p>
      <Facts
        rows={[
          ["Before", <RunLink index={index} id={blame.before} />],
          ["After", <RunLink index={index} id={blame.after} />],
          [
            "Task",
            index.byId.has(blame.after) ? (
              <a href={taskHref(blame.after, blame.task)}>{blame.task}</a>
            ) : (
              blame.task
            ),
          ],
          ["Explained", blame.explained !== null && number(Number(blame.explained))],
          ["By all others", blame.others !== null && number(Number(blame.others))],
          ["Noise", Number(blame.noise) !== 0 && number(Number(blame.noise))],
          ["Searched", <time title={ago(blame.started / 1e6)}>{time(blame.started / 1e6)}</time>],
          ["Took", `${seconds(blame.duration_s)}, ${plural(blame.executed, "trial")} executed`],
        ]}
      />
      <h2>Changes</h2>
      <div class="scroll" tabIndex={0} role="group" aria-label="Changes">
        <table class="plain">
          <thead>
            <tr>
              <th scope="col" class="num">
                Number
              </th>
              <th scope="col">Change</th>
              <th scope="col">Carries it</th>
              <th scope="col" class="num">
                Alone
              </th>
            </tr>
          </thead>
          <tbody>
            {blame.changes.map((change, i) => (
              <tr class={change.is_culprit ? "selected" : undefined}>
                <td class="num">{i + 1}</td>
                <td>{change.is_culprit ? <b>{change.what}</b> : change.what}</td>
                <td>{change.is_culprit && <Badge of="found" text="yes" />}</td>
                <td class="num">{change.alone !== null && number(Number(change.alone))}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {blame.machine.length > 0 && (
        <p class="note">Differs too, and cannot be mixed: {blame.machine.join(", ")}.</p>
      )}
      <h2>Trials</h2>
      <div class="scroll" tabIndex={0} role="group" aria-label="Trials">
        <table class="plain">
          <thead>
            <tr>
              <th scope="col">With the changes</th>
              <th scope="col">{blame.metric}</th>
            </tr>
          </thead>
          <tbody>
            {blame.mixes.map((mix) => (
              <tr>
                <th scope="row">
                  {mix.changes.length === 0
                    ? "none"
                    : mix.changes.length === blame.changes.length
                      ? "all"
                      : mix.changes.map((place) => place + 1).join(", ")}
                </th>
                <td>{mix.values.length > 0 ? values(mix.values) : `does not run: ${mix.problem}`}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

function Head({
  title,
  id,
  result,
  command,
}: {
  title: string;
  id?: string;
  result: string;
  command: string;
}): JSX.Element {
  return (
    <>
      <div class="head">
        <h1>
          {title} {id && <span class="mono">{id}</span>}
        </h1>
        <Badge of={result} />
        <a class="button" href={href(["verdicts"])}>
          All verdicts
        </a>
      </div>
      <Copies of={[["command", command]]} />
    </>
  );
}

function Missing({ of, id }: { of: Error | undefined; id: string }): JSX.Element {
  return (
    <>
      <h1>Verdict {id}</h1>
      <Waiting error={of} what="The verdict" />
    </>
  );
}
