"""Profiles: what a pipeline file says instead, for commands that are given the name of one.

A profile lies over `[parameters]`, `[defaults]` and keys of tasks. It sets nothing that protects: neither where
results are shared and published, nor what is a secret. Nor does it add tasks, so that a name that was mistyped is
found.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast

from nbmake_dag.config.complaints import Complaints
from nbmake_dag.config.tables import Document, ProfileTable
from nbmake_dag.config.tasks import MERGED_KEYS, over

Place: TypeAlias = tuple[str, ...]
_NAME = re.compile(r"[\w.-]+")
_ELSEWHERE = frozenset(Document.__struct_fields__) - frozenset(ProfileTable.__struct_fields__)
_WHAT_IT_SETS = "a profile sets `parameters`, `defaults`, and keys of `tasks` but `secrets`"


def refuse(content: dict[str, Any], complaints: Complaints) -> None:
    """Take out of a file what no profile may set, and complain about it."""
    for name, profile in _tables(content.get("profiles")):
        for key in [key for key in profile if key in _ELSEWHERE]:
            complaints.add(
                ("profiles", name, key), f"profile `{name}` sets `{key}`, which no profile may", _WHAT_IT_SETS
            )
            del profile[key]
        tables: list[tuple[Place, Any]] = [(("defaults",), profile.get("defaults"))]
        tables += [(("tasks", task), keys) for task, keys in _tables(profile.get("tasks"))]
        for place, table in tables:
            if isinstance(table, dict) and "secrets" in table:
                what = f"profile `{name}` sets `secrets`, which no profile may"
                complaints.add(("profiles", name, *place, "secrets"), what, _WHAT_IT_SETS)
                del table["secrets"]


def profiles_of(content: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the profiles of a file."""
    return tuple(name for name, _ in _tables(content.get("profiles")))


def check(
    content: Mapping[str, Any], chosen: Sequence[str], complaints: Complaints, elsewhere: Sequence[str] = ()
) -> None:
    """Complain about profiles that are named wrongly, and about tasks that are not there for them.

    ``elsewhere`` are the profiles of other files, which can be chosen too.
    """
    profiles = dict(_tables(content.get("profiles")))
    tasks = tuple(name for name, _ in _tables(content.get("tasks")))
    for name, profile in profiles.items():
        if not _NAME.fullmatch(name):
            hint = "use letters, digits, `-`, `_` and `.`"
            complaints.add(("profiles", name), f"`{name}` cannot be the name of a profile", hint)
        for task, _ in _tables(profile.get("tasks")):
            if task not in tasks:
                hint = complaints.suggest(task, tasks) or "a profile adds no tasks"
                what = f"profile `{name}` sets keys of `{task}`, which is not a task"
                complaints.add(("profiles", name, "tasks", task), what, hint)
    known = {*profiles, *elsewhere}
    for name in chosen:
        if name not in known:
            several = name.split(",")
            hint = (
                f"give each by itself: `{' '.join(f'--profile {each}' for each in several)}`"
                if len(several) > 1 and known.issuperset(several)
                else complaints.suggest(name, tuple(sorted(known)))
            ) or (
                f"there are {', '.join(f'`{each}`' for each in sorted(known))}"
                if known
                else f"write it as a table `[profiles.{name}]`"
            )
            complaints.add_unplaced(f"there is no profile `{name}`", hint)


def overlaid(content: Mapping[str, Any], chosen: Sequence[str]) -> tuple[dict[str, Any], dict[Place, Place]]:
    """Lay profiles over a file without faults, the later over the earlier ones.

    Returns what counts, and the place in the file of each key that a profile has set.
    """
    whole = {key: value for key, value in content.items() if key != "profiles"}
    moved: dict[Place, Place] = {}
    for name in chosen:
        profile, at = content["profiles"][name], ("profiles", name)
        parameters = profile.get("parameters", {})
        whole["parameters"] = {**whole.get("parameters", {}), **parameters}
        moved.update({("parameters", key): (*at, "parameters", key) for key in parameters})
        whole["defaults"] = _over(whole.get("defaults", {}), profile.get("defaults", {}), ("defaults",), at, moved)
        whole["tasks"] = {
            **whole.get("tasks", {}),
            **{
                task: _over(whole["tasks"][task], keys, ("tasks", task), at, moved)
                for task, keys in profile.get("tasks", {}).items()
            },
        }
    return whole, moved


def _over(
    lower: Mapping[str, Any], upper: Mapping[str, Any], place: Place, at: Place, moved: dict[Place, Place]
) -> dict[str, Any]:
    for key, value in upper.items():
        names = [(key, inner) for inner in value] if key in MERGED_KEYS and key in lower else [(key,)]
        moved.update({(*place, *name): (*at, *place, *name) for name in names})
    return over(lower, upper)


def _tables(value: object) -> list[tuple[str, dict[str, Any]]]:
    """Return the tables in what may be a table of tables."""
    items = cast("dict[str, Any]", value).items() if isinstance(value, dict) else ()
    return [(name, item) for name, item in items if isinstance(item, dict)]
