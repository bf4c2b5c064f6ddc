"""Resolve the parameters that reach each task, by precedence.

``[parameters]`` < ``[defaults]`` < the task < its instances < ``-p``. Those of ``[parameters]``, of ``[defaults]``
and of ``-p`` reach the tasks that know the name, and must reach one; a task must know all of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nbmake_dag.config.complaints import Complaints
from nbmake_dag.config.values import name_fault, value_fault
from nbmake_dag.core.model import Signature, Value

_HINTS = {
    "notebook": "assign it in the cell that is tagged `parameters` (`nbdag help notebooks`)",
    "function": "name it in the function's signature",
    "command": "use it in the command as `{{{name}}}`",
}


def check_values(path: tuple[str, ...], values: Mapping[str, Value], complaints: Complaints) -> None:
    """Complain about names and values that are not possible for a parameter."""
    for name, value in values.items():
        if fault := name_fault(name):
            complaints.add((*path, name), f"`{name}` cannot be a parameter: it {fault}")
        if fault := value_fault(value):
            complaints.add((*path, name), f"`{name}` cannot have this value: it {fault}", "write it as a string")


def check_overrides(overrides: Mapping[str, Value], complaints: Complaints) -> None:
    """Complain about names and values of ``-p`` that are not possible for a parameter."""
    for name, value in overrides.items():
        if fault := name_fault(name):
            complaints.add_unplaced(f"`{name}` cannot be a parameter: it {fault}")
        elif fault := value_fault(value):
            complaints.add_unplaced(f"`{name}` cannot have this value: it {fault}")


class SharedParameters:
    """The shared parameters of one file, whose place is ``at``, and which of them were used."""

    def __init__(
        self,
        everywhere: Mapping[str, Value],
        defaults: Mapping[str, Value],
        overrides: Mapping[str, Value],
        complaints: Complaints,
        at: tuple[str, ...] = (),
    ) -> None:
        self._everywhere = everywhere
        self._defaults = defaults
        self.overrides = overrides
        self._complaints = complaints
        self._used: set[str] = set()
        self.known: set[str] = set()
        """The names that the signatures of tasks have."""
        self._at = at
        check_values((*at, "parameters"), everywhere, complaints)
        check_values((*at, "defaults", "parameters"), defaults, complaints)

    def visible(self, own: Mapping[str, Value]) -> dict[str, Value]:
        """Return what paths of a task can name."""
        return {**self._everywhere, **self._defaults, **own, **self.overrides}

    def reaching(
        self, visible: Mapping[str, Value], own: Mapping[str, Value], signature: Signature
    ) -> frozenset[str]:
        """Return the names of those that reach the work of a task."""
        if signature.names is None:
            names = frozenset(visible)
        elif signature.takes_any:
            names = frozenset(visible) & (signature.names | own.keys())
        else:
            names = frozenset(visible) & signature.names
        self.known |= signature.names or set()
        self._used |= names
        return names

    def use(self, names: frozenset[str]) -> None:
        """Note that paths name these."""
        self._used |= names

    def check_own(
        self, task: str, path: tuple[str, ...], own: Mapping[str, Value], signature: Signature, kind: str
    ) -> None:
        """Complain about parameters of a task that it does not know."""
        if signature.names is None or signature.takes_any:
            return
        for name in sorted(own.keys() - signature.names):
            if name_fault(name) is None:
                hint = self._complaints.suggest(name, tuple(signature.names)) or _HINTS[kind].format(name=name)
                self._complaints.add((*path, name), f"task `{task}` has no parameter `{name}`", hint)

    def is_lost(self, name: str) -> bool:
        """Return whether a name that can be a parameter has reached no task."""
        return name not in self._used and name_fault(name) is None

    def complain_of_lost(self) -> None:
        """Complain about parameters of the file that reach no task."""
        for path, values in (("parameters",), self._everywhere), (("defaults", "parameters"), self._defaults):
            for name in filter(self.is_lost, values):
                hint = self._complaints.suggest(name, tuple(self.known))
                self._complaints.add((*self._at, *path, name), f"no task has a parameter `{name}`", hint)


def check_used(shared: Sequence[SharedParameters], overrides: Mapping[str, Value], complaints: Complaints) -> None:
    """Complain about parameters that reach no task; to be called after all tasks were made.

    ``shared`` are those of all files, and those of ``-p`` must reach a task of one of them.
    """
    for each in shared:
        each.complain_of_lost()
    known = tuple(name for each in shared for name in each.known)
    for name in overrides:
        if all(each.is_lost(name) for each in shared):
            complaints.add_unplaced(f"no task has a parameter `{name}`", complaints.suggest(name, known))
