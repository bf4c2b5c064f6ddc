"""`nbdag replay`."""

from __future__ import annotations

import os
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

import click

from nbmake_dag.commands.asking import add_to_summary, asking, limited
from nbmake_dag.commands.helping import Command
from nbmake_dag.commands.options import as_json, located, project_of, say
from nbmake_dag.commands.targets import prepare_file

if TYPE_CHECKING:
    from nbmake_dag.core.model import Pipeline
    from nbmake_dag.observe.project import Project
    from nbmake_dag.referee.replay import Replay
    from nbmake_dag_reporting.verdict import VerdictDocument

CONDITIONS = ("order", "time", "locale", "hashseed", "threads", "tmpdir", "machine")


def _conditions(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[str, ...]:
    if not value:
        return ()
    names = tuple(CONDITIONS) if value == "all" else tuple(filter(None, value.replace(" ", "").split(",")))
    for name in names:
        if name not in CONDITIONS:
            from nbmake_dag.core.suggest import did_you_mean  # noqa: PLC0415 - only for a mistake
            from nbmake_dag.errors import UsageError  # noqa: PLC0415 - likewise

            hint = did_you_mean(name, CONDITIONS) or f"they are {', '.join(CONDITIONS)}, or all"
            raise UsageError(f"`--vary` knows no condition `{name}`", (), hint)
    return names


@click.command(
    cls=Command,
    examples={
        "nbdag replay": "make all results of the latest run again, and compare",
        "nbdag replay train --run main": "a task of the latest run of a branch",
        "nbdag replay --times 3 --vary all": "three times, and what the results depend on",
        "nbdag replay -n": "what it would execute, and for how long",
    },
)
@click.argument("targets", nargs=-1, metavar="[TASK]...")
@located
@click.option("--run", "ref", default="latest", show_default=True, metavar="RUN", help="Replay this run.")
@click.option("--from-scratch", is_flag=True, help="Give tasks what was replayed, not what was recorded.")
@click.option("--times", type=click.IntRange(1, 100), default=1, show_default=True, metavar="N", help="Repeat.")
@click.option(
    "--vary",
    callback=_conditions,
    metavar="NAMES",
    help=f"Change conditions one by one, to see which matter: {', '.join(CONDITIONS)}, or all.",
)
@asking
@click.option("--output", metavar="FILE", help="Write the verdict to FILE too.")
@click.option("--badge", metavar="FILE", help="Write a badge as SVG.")
@as_json("verdict")
def command(  # noqa: PLR0913 - an option each
    directory: str | None,
    file: str | None,
    targets: tuple[str, ...],
    ref: str,
    *,
    times: int,
    vary: tuple[str, ...],
    from_scratch: bool,
    dry_run: bool,
    yes: bool,
    trust: bool,
    secrets: bool,
    output: str | None,
    badge: str | None,
    writes_json: bool,
) -> int:
    """Make the results of a recorded run again, and compare.

    Each TASK, or all, is executed in a private copy with the inputs, the code and the parameters that the run had.
    The workspace and the cache stay as they are. Exits with 0 if all is identical or equal within the declared
    tolerances, with 1 if something differs, with 3 if something could not be executed as it was.

    RUN is an id, a prefix of one, `latest`, `latest~N`, a git ref, or the path of a bundle.
    """
    from nbmake_dag.commands.recorded import recorded_of  # noqa: PLC0415 - not for --help
    from nbmake_dag.present.verdict_text import badge as badge_of  # noqa: PLC0415 - likewise
    from nbmake_dag.referee.environment import redacted, redactor_of  # noqa: PLC0415 - likewise
    from nbmake_dag.referee.replay import Wish, prepare_replay  # noqa: PLC0415 - likewise
    from nbmake_dag.referee.verdicts import exit_code_of, verdicts_of  # noqa: PLC0415 - likewise
    from nbmake_dag_reporting.documents import encode_document  # noqa: PLC0415 - likewise

    for path, beginning in ((output, b'{\n  "format": 1,\n  "id":'), (badge, b"<svg ")):
        if path:
            prepare_file(path, beginning)
    recorded = recorded_of(directory, file, ref)
    project = project_of(directory, file, recorded.run.profiles)
    pipeline = _pipeline_of(project)
    wish = Wish(targets=targets, from_scratch=from_scratch, trust=trust, secrets=secrets)
    replay = prepare_replay(project, recorded, pipeline, wish)
    if dry_run:
        _say_plan(replay, times, len(vary))
        return 0
    limited(*_cost(replay, times, len(vary)), yes=yes)
    verdict = _signed(redacted(_verdict(replay, times, vary), redactor_of(pipeline, os.environ)), pipeline)
    verdicts_of(project).keep(verdict)
    text = encode_document(verdict).decode()
    for path, content in ((output, text), (badge, badge_of(verdict))):
        if path:
            with open(path, "w", encoding="utf-8") as target:
                target.write(content)
    if writes_json:
        click.echo(text, nl=False)
    else:
        _say_verdict(verdict)
    return exit_code_of(verdict)


def _pipeline_of(project: Project) -> Pipeline:
    """Read the pipeline as it is now: its tolerances count, also for older runs."""
    from nbmake_dag.engine.prepare import load  # noqa: PLC0415 - not for --help
    from nbmake_dag.engine.request import Request  # noqa: PLC0415 - likewise
    from nbmake_dag.engine.state.stores import Stores  # noqa: PLC0415 - likewise

    stores = Stores.open(project)
    try:
        return load(project, Request(), stores, by_last=True)[0]
    finally:
        stores.close()


def _verdict(replay: Replay, times: int, vary: tuple[str, ...]) -> VerdictDocument:
    from nbmake_dag.referee.conditions import conditions_of  # noqa: PLC0415 - not for --help
    from nbmake_dag.referee.verdicts import verdict_of  # noqa: PLC0415 - likewise

    started = time.time_ns()
    with replay.going_on(times, vary) as goes_on:
        if goes_on:
            say("going on where the same replay was interrupted", err=True)
        rounds = [replay.once(replay.ready) for _ in range(times)] if replay.ready else []
        found = conditions_of(replay, rounds, vary, partial(say, err=True)) if vary else {}
        return verdict_of(replay, rounds, found, started=started, ended=time.time_ns())


def _signed(verdict: VerdictDocument, pipeline: Pipeline) -> VerdictDocument:
    """Sign a verdict where the key that signs shared results is there."""
    from nbmake_dag.engine.shared_cache.client import signer_of  # noqa: PLC0415 - not for --help
    from nbmake_dag.referee.verdicts import signed  # noqa: PLC0415 - likewise

    signer = signer_of(pipeline.cache.public_keys, os.environ)
    return verdict if signer is None else signed(verdict, signer.sign, signer.public_key)


def _say_plan(replay: Replay, times: int, conditions: int) -> None:
    from nbmake_dag.present.units import coarse, precise  # noqa: PLC0415 - not for --help

    for name in replay.names:
        if name in replay.refused:
            say(f"{name}  could not run: {replay.refused[name]}")
        else:
            say(f"{name}  {precise(replay.records[name].origin.duration_s)} when it was recorded")
    seconds, what = _cost(replay, times, conditions)
    say(f"{what}: about {coarse(seconds)}", err=True)


def _cost(replay: Replay, times: int, conditions: int) -> tuple[float, str]:
    """Return the seconds that it takes at most, and what takes them."""
    from nbmake_dag.referee.conditions import MOST_TRIALS  # noqa: PLC0415 - not for --help

    most = times + conditions * MOST_TRIALS
    tasks = "1 task" if len(replay.ready) == 1 else f"{len(replay.ready)} tasks"
    executions = "1 execution" if most == 1 else f"up to {most} executions"
    return replay.expected_s * most, f"{executions} of {tasks}"


def _say_verdict(verdict: VerdictDocument) -> None:
    from nbmake_dag.present.palette import Palette  # noqa: PLC0415 - not for --json
    from nbmake_dag.present.verdict_text import verdict_lines, verdict_markdown  # noqa: PLC0415 - likewise

    for line in verdict_lines(verdict, Palette(sys.stdout.isatty() and "NO_COLOR" not in os.environ)):
        say(line)
    add_to_summary(verdict_markdown(verdict))
