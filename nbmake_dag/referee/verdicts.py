"""Verdicts: made of what replays found, and signed where there is a key. They and blames are kept as files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

import msgspec

from nbmake_dag import __version__
from nbmake_dag.core.model import TaskName
from nbmake_dag.observe.project import Project
from nbmake_dag.observe.state_file import read_regular
from nbmake_dag.record.ids import new_run_id, new_trace_id
from nbmake_dag.referee.replay import Again, Replay
from nbmake_dag_reporting.documents import BlameDocument, encode_document
from nbmake_dag_reporting.verdict import ConditionVerdict, TaskJudgement, TaskVerdict, VerdictDocument

_WORST: tuple[TaskJudgement, ...] = ("differs", "could_not_run", "equal", "identical")
_EXIT_CODES: Mapping[TaskJudgement, int] = {"differs": 1, "could_not_run": 3, "equal": 0, "identical": 0}
_SUFFIX = ".json"

D = TypeVar("D", bound=VerdictDocument | BlameDocument)


def verdict_of(
    replay: Replay,
    rounds: Sequence[Mapping[TaskName, Again]],
    conditions: Mapping[TaskName, tuple[ConditionVerdict, ...]],
    *,
    started: int,
    ended: int,
) -> VerdictDocument:
    """Judge a run by all rounds in which its tasks were executed again; times in nanoseconds since the epoch."""
    tasks = tuple(
        _task_verdict(replay, name, [found[name] for found in rounds if name in found], conditions.get(name, ()))
        for name in replay.names
    )
    run = replay.recorded.run
    return VerdictDocument(
        id=next(iter(replay.run_ids), "") or new_run_id(ended, new_trace_id()),
        run=run.id,
        pipeline=run.pipeline,
        commit=run.vcs.head_revision,
        started=started,
        duration_s=round((ended - started) / 1e9, 3),
        version=__version__,
        from_scratch=replay.wish.from_scratch,
        verdict=_worst(task.verdict for task in tasks),
        tasks=tasks,
    )


def _task_verdict(
    replay: Replay, name: TaskName, rounds: Sequence[Again], conditions: tuple[ConditionVerdict, ...]
) -> TaskVerdict:
    if why := replay.refused.get(name):
        return TaskVerdict(name=name, verdict="could_not_run", why=why)
    key = replay.records[name].key
    judgements = [again.judged for again in rounds if again.judged is not None]
    first = next((found for found in judgements if found.differences), next(iter(judgements), None))
    matters = [condition.name for condition in conditions if condition.matters]
    duration = round(rounds[0].duration_s, 3) if rounds else 0.0
    if first is None or (len(judgements) < len(rounds) and not first.differences):
        why = next((again.why for again in rounds if again.why), "it was not executed")
        return TaskVerdict(
            name=name, verdict="could_not_run", why=why, key=key, times=len(rounds), duration_s=duration
        )
    verdict: TaskJudgement = _worst(found.verdict for found in judgements)
    why = ""
    if first.differences:
        difference = first.differences[0]
        why = f"{difference.name}: {difference.where}" if difference.name else difference.where
    elif matters:
        verdict, why = "differs", f"its result depends on {' and '.join(matters)}"
    elif first.within:
        why = first.within[0]
    return TaskVerdict(
        name=name,
        verdict=verdict,
        why=why,
        key=key,
        differences=first.differences,
        notes=tuple(dict.fromkeys(note for again in rounds for note in again.notes)),
        times=len(rounds),
        same=sum(not found.differences for found in judgements),
        conditions=conditions,
        duration_s=duration,
    )


def _worst(verdicts: Iterator[TaskJudgement]) -> TaskJudgement:
    found: list[TaskJudgement] = ["identical", *verdicts]
    return min(found, key=_place)


def _place(judgement: TaskJudgement) -> int:
    return _WORST.index(judgement)


def exit_code_of(verdict: VerdictDocument) -> int:
    """Return 0 where all is as it was, 1 where something differs, 3 where something could not be asked."""
    return _EXIT_CODES[verdict.verdict]


def signed(verdict: VerdictDocument, sign: Callable[[bytes], str], public_key: str) -> VerdictDocument:
    """Sign a verdict."""
    unsigned = msgspec.structs.replace(verdict, public_key=public_key, signature=None)
    return msgspec.structs.replace(unsigned, signature=sign(signed_bytes(unsigned)))


def signed_bytes(verdict: VerdictDocument) -> bytes:
    """Return what the signature of a verdict is over."""
    document = msgspec.to_builtins(verdict)
    del document["signature"]
    return b"nbdag verdict 1\0" + msgspec.json.encode(document, order="sorted")


class Kept(Generic[D]):
    """Documents of one kind, a file each; their names sort by time."""

    def __init__(self, folder: str, kind: type[D]) -> None:
        self._folder = folder
        self._kind = kind

    def keep(self, document: D) -> None:
        """Write a document."""
        os.makedirs(self._folder, exist_ok=True)
        path = os.path.join(self._folder, f"{document.id}{_SUFFIX}")
        temporary = f"{path}.{os.getpid()}"
        with open(temporary, "wb") as file:
            file.write(msgspec.json.format(encode_document(document), indent=2) + b"\n")
        os.replace(temporary, path)

    def __iter__(self) -> Iterator[D]:
        """Yield all documents, newest first; what cannot be read is left out."""
        names: list[str] = []
        with suppress(OSError):
            names = sorted(os.listdir(self._folder), reverse=True)
        for name in names:
            if name.endswith(_SUFFIX):
                with suppress(OSError, ValueError, RecursionError):
                    yield msgspec.json.decode(read_regular(os.path.join(self._folder, name)), type=self._kind)


def verdicts_of(project: Project) -> Kept[VerdictDocument]:
    return Kept(project.verdicts, VerdictDocument)


def blames_of(project: Project) -> Kept[BlameDocument]:
    return Kept(project.blames, BlameDocument)


def last_of(project: Project, task: str) -> tuple[VerdictDocument, TaskVerdict] | None:
    """Return the newest verdict about a task."""
    return next(
        ((each, found) for each in verdicts_of(project) for found in each.tasks if found.name == task), None
    )
