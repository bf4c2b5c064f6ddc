"""Change one condition at a time, and see on which of them results depend.

A task that makes the same again is executed with the condition changed: if it then makes something else, the
condition matters. A task that makes something else each time is executed with the condition held still: if it
then makes the same each time, that is what matters.

The clock is changed in Python alone. libfaketime would change it in all programs, but with its version 0.9.10
`time.sleep` fails, waiting for a condition never ends, and neither does `Sys.sleep` of R.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec

from nbmake_dag import inside
from nbmake_dag.core.model import TaskName
from nbmake_dag.referee.judgement import Rules, judged
from nbmake_dag.referee.replay import Again, Replay
from nbmake_dag_cache.record import Record
from nbmake_dag_reporting.verdict import ConditionVerdict

MOST_TRIALS = 2
"""How often a task is executed for one condition."""

_FOLDER = os.path.join(os.path.dirname(inside.__file__), "conditions")
_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "POLARS_MAX_THREADS",
    "NBDAG_VARY_THREADS",
)
_THEN, _LATER = "1000000000", "1700003661.25"
"""Two moments, of 2001 and of 2023."""
_LOCALES = ("de_DE.utf8", "fr_FR.utf8", "tr_TR.utf8", "ja_JP.utf8", "en_US.utf8")


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One way in which a condition can be, as environment variables, and what it is called."""

    name: str
    variables: Mapping[str, str]


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """What can be changed around a task."""

    name: str
    changed: tuple[Setting, ...]
    still: Setting | None = None
    """How it is held still; nothing where that is not possible."""


def conditions_of(
    replay: Replay,
    rounds: Sequence[Mapping[TaskName, Again]],
    names: Collection[str],
    tell: Callable[[str], None],
) -> dict[TaskName, tuple[ConditionVerdict, ...]]:
    """Try conditions on all tasks of a replay that were executed; ``rounds`` are without any change."""
    rounds = [*rounds, replay.once(_differing(rounds))] if len(rounds) == 1 and _differing(rounds) else rounds
    steady, restless = _parted(replay, rounds)
    found: dict[TaskName, list[ConditionVerdict]] = {name: [] for name in (*steady, *restless)}
    for condition in (each for each in known(os.environ) if each.name in names):
        tell(f"trying {condition.name}")
        for name, verdict in _changed(replay, condition, steady).items():
            found[name].append(verdict)
        for name, verdict in _held_still(replay, condition, restless).items():
            found[name].append(verdict)
    return {name: tuple(verdicts) for name, verdicts in found.items()}


def _differing(rounds: Sequence[Mapping[TaskName, Again]]) -> list[TaskName]:
    """Return the tasks that made something else than was recorded, in any round."""
    judgements = ((name, again.judged) for found in rounds for name, again in found.items())
    return [*dict.fromkeys(name for name, judged in judgements if judged is not None and judged.differences)]


def _parted(replay: Replay, rounds: Sequence[Mapping[TaskName, Again]]) -> tuple[list[TaskName], list[TaskName]]:
    """Return the tasks that made what was recorded in each round, and those that make something else each time.

    One that makes the same here, and not what was recorded, depends on none of what can be changed.
    """
    differing = _differing(rounds)
    restless: list[TaskName] = []
    for name in differing:
        records = [found[name].record for found in rounds if name in found]
        first = records[0]
        if any(a is None or first is None or _differ(replay, first, a) for a in records[1:]):
            restless.append(name)
    steady = [
        name
        for name in (rounds[0] if rounds else ())
        if name not in differing and all(found[name].judged is not None for found in rounds if name in found)
    ]
    return steady, restless


def _differ(replay: Replay, one: Record, other: Record) -> bool:
    return bool(judged(one, other, Rules(), replay.trials.read).differences)


def _changed(replay: Replay, condition: Condition, names: Sequence[TaskName]) -> dict[TaskName, ConditionVerdict]:
    found: dict[TaskName, ConditionVerdict] = {}
    left = list(names)
    for setting in condition.changed if left else ():
        for name, again in replay.once(left, setting.variables).items():
            if again.judged is None:
                why = f"with {setting.name}, {again.why}"
                found[name] = ConditionVerdict(name=condition.name, matters=True, why=why)
            elif again.judged.differences:
                first = again.judged.differences[0]
                why = f"with {setting.name}, {first.name}: {first.where}"
                found[name] = ConditionVerdict(name=condition.name, matters=True, why=why)
        left = [name for name in left if name not in found]
    return {**{name: ConditionVerdict(name=condition.name, matters=False, why="") for name in left}, **found}


def _held_still(
    replay: Replay, condition: Condition, names: Sequence[TaskName]
) -> dict[TaskName, ConditionVerdict]:
    if condition.still is None or not names:
        return {}
    first, second = (replay.once(names, condition.still.variables) for _ in range(2))
    found: dict[TaskName, ConditionVerdict] = {}
    for name in names:
        a, b = first[name].record, second[name].record
        if a is None or b is None:
            why = f"with {condition.still.name}, {first[name].why or second[name].why}"
            found[name] = ConditionVerdict(name=condition.name, matters=False, why=why)
            continue
        is_same = not _differ(replay, a, b)
        why = f"with {condition.still.name} it is the same each time" if is_same else ""
        found[name] = ConditionVerdict(name=condition.name, matters=is_same, why=why)
    return found


def known(environ: Mapping[str, str]) -> tuple[Condition, ...]:
    """Return all conditions, as far as this machine can change them."""
    processors = os.cpu_count() or 1
    return (
        Condition(
            name="order",
            changed=(_python("folders listed backwards", NBDAG_VARY_ORDER="reversed"),),
            still=_python("folders listed by name", NBDAG_VARY_ORDER="sorted"),
        ),
        Condition(
            name="time",
            changed=(
                _python("the clock of 2023 in another time zone", NBDAG_VARY_TIME=_LATER, TZ=_zone(environ)),
            ),
            still=_python("a clock that stands still", NBDAG_VARY_TIME=_THEN),
        ),
        Condition(name="locale", changed=tuple(_locales(environ))),
        Condition(
            name="hashseed",
            changed=tuple(
                Setting(name=f"PYTHONHASHSEED={seed}", variables={"PYTHONHASHSEED": seed}) for seed in ("1", "2")
            ),
            still=Setting(name="PYTHONHASHSEED=0", variables={"PYTHONHASHSEED": "0"}),
        ),
        Condition(
            name="threads",
            changed=tuple(
                _python("1 thread" if count == 1 else f"{count} threads", **dict.fromkeys(_THREADS, str(count)))
                for count in (1, processors + 3)
            ),
            still=_python("1 thread", **dict.fromkeys(_THREADS, "1")),
        ),
        Condition(
            name="tmpdir",
            changed=(Setting(name="another folder for temporary files", variables={"TMPDIR": _other_folder()}),),
        ),
        Condition(
            name="machine",
            changed=(
                _python(
                    "another name of machine and user",
                    NBDAG_VARY_MACHINE="elsewhere",
                    HOSTNAME="elsewhere",
                    USER="somebody",
                    LOGNAME="somebody",
                ),
            ),
        ),
    )


def _python(name: str, **variables: str) -> Setting:
    """Make a setting that Python processes obey."""
    path = os.pathsep.join(filter(None, (_FOLDER, os.environ.get("PYTHONPATH"))))
    return Setting(name=name, variables={**variables, "PYTHONPATH": path})


def _other_folder() -> str:
    """Return a folder for temporary files that is there, and is not the usual one."""
    usual = tempfile.gettempdir()
    folders = ("/var/tmp", "/dev/shm", "/tmp")  # noqa: S108 - tasks make names of their own there
    return next((path for path in folders if path != usual and os.access(path, os.W_OK)), usual)


def _zone(environ: Mapping[str, str]) -> str:
    return "Pacific/Auckland" if environ.get("TZ") != "Pacific/Auckland" else "America/New_York"


def _locales(environ: Mapping[str, str]) -> list[Setting]:
    """Return two other locales, of those that are installed."""
    now = environ.get("LC_ALL") or environ.get("LANG") or "C"
    try:
        listed = subprocess.run(["locale", "-a"], capture_output=True, text=True, check=False).stdout.split()
    except OSError:
        listed = []
    usable = [name for name in (*_LOCALES, "C.utf8", "C") if name in listed and not _is_same(name, now)]
    return [Setting(name=f"LC_ALL={name}", variables={"LC_ALL": name, "LANG": name}) for name in usable[:2]]


def _is_same(locale: str, other: str) -> bool:
    return locale.lower().replace("-", "") == other.lower().replace("-", "").replace("posix", "c")
