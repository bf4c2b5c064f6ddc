"""One table ``[tasks.NAME]`` to its instances."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from nbmake_dag.core.complaints import Complaints
from nbmake_dag.core.globs import is_glob
from nbmake_dag.core.model import (
    Command,
    Function,
    Input,
    Notebook,
    Output,
    Policy,
    ProjectPath,
    Task,
    TaskName,
    Value,
    Work,
)
from nbmake_dag.core.parameters import SharedParameters, check_values
from nbmake_dag.core.paths import PathError, read_path, read_pattern, written_file, written_path
from nbmake_dag.core.settings import check_variables, resources
from nbmake_dag.core.signature import Signature
from nbmake_dag.core.templates import UnknownNameError, fill_command, fill_path, names_in

WORK_KEYS = ("notebook", "function", "command")
NOTEBOOK_KEYS = ("kernel", "notebook_output")
_POLICY_KEYS = ("timeout", "retries", "retry_delay", "cache", "store", "max_age", "strict", "sandbox")
_FUNCTION = re.compile(r"(?P<module>[^\W\d]\w*(?:\.[^\W\d]\w*)*):(?P<qualname>[^\W\d]\w*(?:\.[^\W\d]\w*)*)")
_UNKNOWN = Signature()


class Family:
    """What the instances of one task have in common.

    ``keys`` are those of the task over those of ``[defaults]``, except ``parameters``, which are the task's own.
    """

    def __init__(
        self,
        name: str,
        keys: Mapping[str, Any],
        shared: SharedParameters,
        signatures: Mapping[str, Signature],
        complaints: Complaints,
    ) -> None:
        self.name = name
        self._keys = keys
        self._own: Mapping[str, Value] = keys.get("parameters", {})
        self._shared = shared
        self._complaints = complaints
        self._path = ("tasks", name)
        self._kind = next((kind for kind in WORK_KEYS if kind in keys), "")
        self._signature = self._find_signature(signatures)
        self._work = self._make_work()
        self._check()

    def instances(
        self, points: list[tuple[TaskName, dict[str, Value]]], after: tuple[TaskName, ...], line: int
    ) -> Iterator[Task]:
        """Make a task for each point of the matrix."""
        first = points[0][1]
        visible = self._shared.visible({**self._own, **first})
        reaching = self._shared.reaching(visible, {**self._own, **first}, self._signature)
        self._shared.check_own((*self._path, "parameters"), self._own, self._signature, self._kind)
        self._shared.check_own((*self._path, "matrix"), first, self._signature, self._kind)
        keys = self._keys
        policy = Policy(
            **{key: keys[key] for key in _POLICY_KEYS if key in keys},
            resources=resources(keys.get("resources", {})),
        )
        env, secrets, tags = keys.get("env", {}), tuple(keys.get("secrets", ())), frozenset(keys.get("tags", ()))
        for name, point in points:
            values = {**visible, **point}
            copy = self._path_of("notebook_output", written_file, values)
            workdir = self._path_of("workdir", read_path, values) or ProjectPath("./")
            yield Task(
                name=name,
                family=self.name,
                work=Command(arguments=fill_command(keys["command"], values))
                if self._kind == "command"
                else self._work,
                inputs=tuple(
                    Input(path=path, name=label, is_glob=is_glob(path))
                    for label, path in self._paths_of("inputs", read_pattern, values)
                ),
                outputs=tuple(
                    Output(path=path, name=label)
                    for label, path in self._paths_of("outputs", written_path, values)
                ),
                parameters={key: value for key, value in values.items() if key in reaching},
                after=after,
                workdir=workdir if workdir.endswith("/") else ProjectPath(f"{workdir}/"),
                env=env,
                secrets=secrets,
                tags=tags,
                description=keys.get("description", ""),
                policy=policy if copy is None else replace(policy, notebook_output=copy),
                line=line,
            )

    def _find_signature(self, signatures: Mapping[str, Signature]) -> Signature:
        if self._kind == "command":
            command = self._keys["command"]
            pieces = [command] if isinstance(command, str) else command
            return Signature(names=frozenset[str]().union(*map(names_in, pieces)))
        return signatures.get(self._keys[self._kind], _UNKNOWN) if self._kind else _UNKNOWN

    def _make_work(self) -> Work:
        """Make the work of a notebook or a function; that of a command depends on the instance."""
        inject = {
            "inject_inputs": self._signature.assigns_inputs,
            "inject_outputs": self._signature.assigns_outputs,
        }
        if self._kind == "notebook":
            path = self._declared("notebook", self._keys["notebook"], ("notebook",), read_path)
            return Notebook(path=path or ProjectPath(""), kernel=self._keys.get("kernel"), **inject)
        if self._kind == "function":
            source = self._keys["function"]
            if (match := _FUNCTION.fullmatch(source)) is None:
                module, dot, name = source.rpartition(".")
                hint = f"did you mean `{module}:{name}`?" if dot and ":" not in source else ""
                self._complain("function", f"`{source}` is not `module:callable`", hint)
                return Function(module="", qualname="")
            return Function(module=match["module"], qualname=match["qualname"], **inject)
        return Command(arguments="")

    def _check(self) -> None:
        """Complain about what is the same for all instances."""
        kinds = [kind for kind in WORK_KEYS if kind in self._keys]
        if not kinds:
            hint = "give it one of `notebook`, `function` and `command`"
            self._complaints.add(self._path, f"task `{self.name}` has nothing to run", hint)
        if len(kinds) > 1:
            both = " and ".join(f"`{kind}`" for kind in kinds)
            self._complaints.add((*self._path, kinds[1]), f"task `{self.name}` has {both}", "keep one of them")
        if self._kind == "command":
            command = self._keys["command"]
            if not command or (isinstance(command, list) and not command[0]) or not "".join(command).strip():
                self._complain("command", f"the command of task `{self.name}` is empty")
            if "\0" in "".join(command):
                self._complain("command", f"the command of task `{self.name}` holds a NUL character")
        if self._kind != "notebook":
            for key in self._keys.keys() & set(NOTEBOOK_KEYS):
                self._complain(key, f"`{key}` is for notebooks, and task `{self.name}` has none")
        check_values((*self._path, "parameters"), self._own, self._complaints)
        env = self._keys.get("env", {})
        check_variables((*self._path, "env"), env, self._complaints)
        for name, value in env.items():
            if "\0" in value:
                self._complaints.add((*self._path, "env", name), f"`{name}` holds a NUL character")
        check_variables((*self._path, "secrets"), self._keys.get("secrets", ()), self._complaints)

    def _paths_of(
        self, key: str, read: Callable[[str], ProjectPath], values: Mapping[str, Value]
    ) -> Iterator[tuple[str | None, ProjectPath]]:
        declared: list[str] | dict[str, str] = self._keys.get(key, ())
        pairs = declared.items() if isinstance(declared, dict) else ((None, text) for text in declared)
        for label, text in pairs:
            path = self._filled(text, (key,) if label is None else (key, label), read, values)
            if path is not None:
                yield label, path

    def _path_of(
        self, key: str, read: Callable[[str], ProjectPath], values: Mapping[str, Value]
    ) -> ProjectPath | None:
        return self._filled(self._keys[key], (key,), read, values) if key in self._keys else None

    def _filled(
        self, template: str, at: tuple[str, ...], read: Callable[[str], ProjectPath], values: Mapping[str, Value]
    ) -> ProjectPath | None:
        try:
            text = fill_path(template, values)
        except UnknownNameError as error:
            what = f"`{template}` names `{{{error.name}}}`, which is no parameter of task `{self.name}`"
            if not error.name.isidentifier():
                what = f"`{template}` has braces around what is no name of a parameter"
            self._complaints.add((*self._path, *at), what, self._complaints.suggest(error.name, tuple(values)))
            return None
        self._shared.use(names_in(template))
        return self._declared(at[0].removesuffix("s"), text, at, read)

    def _declared(
        self, role: str, text: str, at: tuple[str, ...], read: Callable[[str], ProjectPath]
    ) -> ProjectPath | None:
        try:
            return read(text)
        except PathError as error:
            self._complaints.add((*self._path, *at), f"{role} `{text}` {error.what}", error.hint)
            return None

    def _complain(self, key: str, what: str, hint: str = "") -> None:
        self._complaints.add((*self._path, key), what, hint)
