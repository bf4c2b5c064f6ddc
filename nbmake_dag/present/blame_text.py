"""What `nbdag blame` found, as lines for a person and as a document."""

from __future__ import annotations

from collections.abc import Iterator

from nbmake_dag.present.markdown import LIMIT, assemble, escaped, table
from nbmake_dag.present.text import plain
from nbmake_dag.present.units import coarse
from nbmake_dag.record.ids import new_run_id, new_trace_id
from nbmake_dag.referee.blame import Blamed, Cost, Finding, Mix
from nbmake_dag_reporting.documents import BlamedChange, BlamedMix, BlameDocument
from nbmake_dag_reporting.numbers import Number

FINDINGS = {
    "found": "the changes that made it are named",
    "noise": "within noise, nothing is named",
    "elsewhere": "none of the changes made it",
    "unclear": "several changes made it, each of them enough",
    "planned": "nothing was executed",
}


def cost_text(cost: Cost) -> str:
    """Describe what a search may cost."""
    return f"{_count(cost.changes, 'change')}: about {cost.trials} trials, {coarse(cost.seconds)} or less"


def mix_line(mix: Mix, changes: int) -> str:
    """Describe one trial."""
    what = f"with {len(mix.changes)} of {_count(changes, 'change')}"
    if not mix.values:
        return f"{what}: does not run: {plain(mix.problem)}"
    return f"{what}: {', '.join(f'{value:.6g}' for value in mix.values)}"


def blamed_lines(found: Blamed) -> Iterator[str]:
    """Yield the result in one sentence, then the changes."""
    head = f"{found.metric} {found.value_before:.6g} → {found.value_after:.6g}"
    match found.finding:
        case Finding.FOUND:
            yield f"{head}: {_explanation(found)}"
        case Finding.UNCLEAR:
            yield f"{head}: {_named(found)} {_verb(found)} it, but so do the other changes without {_it(found)}"
        case Finding.NOISE:
            yield f"{head}: within noise, nothing is named; both sides again: {_again(found)}"
            yield "hint: --times 5 measures each mix five times, which sees smaller differences"
        case Finding.ELSEWHERE:
            yield f"{head}: executed again, the two sides do not differ: {_again(found)}"
            other = ", ".join(found.machine) or "something that is not declared, or the machine"
            yield f"what made it is not among the changes: {other}"
        case Finding.PLANNED:
            yield f"{head}: {cost_text(found.cost)}"
    for place, change in enumerate(found.changes):
        yield f"  {'→' if place in found.culprits else ' '} {plain(str(change))}"
    for name in found.machine:
        yield f"    {plain(name)}: differs, and cannot be mixed"
    if found.finding is not Finding.PLANNED:
        yield f"{_count(found.executed, 'trial')} executed"


def _explanation(found: Blamed) -> str:
    total = found.value_after - found.value_before
    rest = len(found.changes) - len(found.culprits)
    told = f"{_named(found)} {_verb(found)} {_size(found.explained, total)}"
    if len(found.culprits) > 1:
        told += f"; {_parts(found)}"
    if not rest:
        return told
    others = _count(rest, "other change")
    if found.others is None:
        return f"{told}; {others} alone {'does' if rest == 1 else 'do'} not run"
    size = "nothing" if abs(found.others) <= 0.1 * abs(total) else f"{found.others:.3g}"
    return f"{told}; {others} {'explains' if rest == 1 else 'explain'} {size}"


def _parts(found: Blamed) -> str:
    """Describe an interaction, or how much each explains alone."""
    total = found.explained or 0.0
    if any(part is None for part in found.alone):
        return "only together do they run"
    parts = [part for part in found.alone if part is not None]
    if all(abs(part) <= 0.1 * abs(total) for part in parts):
        return "only together, none of them alone"
    shown = ", ".join(f"{abs(part):.3g}" for part in parts)
    return f"alone they explain {shown}"


def _size(explained: float | None, total: float) -> str:
    if explained is None:
        return "it"
    sign = "" if (explained > 0) == (total > 0) else "-"
    return f"{sign}{abs(explained):.3g} of {abs(total):.3g}"


def _named(found: Blamed) -> str:
    return " and ".join(plain(str(found.changes[place])) for place in found.culprits)


def _verb(found: Blamed) -> str:
    return "explains" if len(found.culprits) == 1 else "explain"


def _it(found: Blamed) -> str:
    return "it" if len(found.culprits) == 1 else "them"


def _again(found: Blamed) -> str:
    sides = {len(mix.changes): mix.values for mix in found.mixes}
    shown = (" and ".join(f"{value:.6g}" for value in sides.get(size, ())) for size in (0, len(found.changes)))
    return " → ".join(shown)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def blame_markdown(found: BlameDocument) -> str:
    """Write the same as a part of a job summary."""
    values = f"{float(found.value_before):.6g} → {float(found.value_after):.6g}"
    head = f"{escaped(found.metric)} {values}"
    intro = [f"### {head}: {FINDINGS[found.finding]}", "", f"Runs {found.before} and {found.after}", ""]
    rows = (
        ("**it**" if each.is_culprit else "", escaped(each.what), _alone(each.alone)) for each in found.changes
    )
    return assemble(intro, [table("Changes", ("", "change", "alone"), rows)], LIMIT)


def _alone(effect: Number | None) -> str:
    return "" if effect is None else f"{float(effect):.3g}"


def blame_document(found: Blamed, *, started: int, ended: int) -> BlameDocument:
    """Describe the same for programs; times in nanoseconds since the epoch."""
    alone = dict(zip(found.culprits, found.alone, strict=False))
    return BlameDocument(
        id=new_run_id(ended, new_trace_id()),
        pipeline=found.pipeline,
        started=started,
        duration_s=round((ended - started) / 1e9, 3),
        task=found.task,
        metric=str(found.metric),
        before=found.before,
        after=found.after,
        value_before=found.value_before,
        value_after=found.value_after,
        finding=found.finding.value,
        explained=found.explained,
        others=found.others,
        noise=found.noise,
        changes=tuple(
            BlamedChange(what=str(change), is_culprit=place in found.culprits, alone=alone.get(place))
            for place, change in enumerate(found.changes)
        ),
        machine=found.machine,
        mixes=tuple(
            BlamedMix(
                changes=tuple(sorted(mix.changes)), values=mix.values, run_ids=mix.run_ids, problem=mix.problem
            )
            for mix in found.mixes
        ),
        executed=found.executed,
        seconds=found.cost.seconds,
    )
