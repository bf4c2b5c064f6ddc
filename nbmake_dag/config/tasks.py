"""One table ``[tasks.NAME]`` to its instances."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import permutations
from typing import Any

from msgspec.structs import replace

from nbmake_dag.config import matrix
from nbmake_dag.config.complaints import Complaints
from nbmake_dag.config.instances import Instances
from nbmake_dag.config.parameters import SharedParameters, check_values
from nbmake_dag.config.paths import PathError, read_path, read_pattern, written_notebook, written_path
from nbmake_dag.config.remote_inputs import KEYS as REMOTE_KEYS
from nbmake_dag.config.remote_inputs import is_url, read_url
from nbmake_dag.config.settings import check_variables, resources
from nbmake_dag.config.templates import (
    FIELD,
    UnknownNameError,
    fill_command,
    fill_known,
    fill_path,
    names_in,
    path_glob,
)
from nbmake_dag.core.globs import is_glob
from nbmake_dag.core.model import (
    Command,
    CompareRule,
    EnvironmentSettings,
    Function,
    Input,
    Notebook,
    Output,
    Policy,
    ProjectPath,
    Signature,
    Task,
    TaskName,
    Value,
    Work,
)
from nbmake_dag.core.urls import copy_of, scrubbed
from nbmake_dag.core.vocabulary import CompareKind

WORK_KEYS = ("notebook", "function", "command")
NOTEBOOK_KEYS = ("format", "kernel", "allow_errors", "notebook_output")
MERGED_KEYS = ("parameters", "env", "resources")
"""Tables of a task that are merged by key; any other value is replaced as a whole."""
_POLICY_KEYS = (
    "timeout",
    "retries",
    "retry_delay",
    "priority",
    "check",
    "cache",
    "store",
    "max_age",
    "strict",
    "sandbox",
)
EITHER = (("matrix", "instances"), ("kernel", "environment"))
"""Keys of which a task has one at most."""
_FUNCTION = re.compile(r"(?P<module>[^\W\d]\w*(?:\.[^\W\d]\w*)*):(?P<qualname>[^\W\d]\w*(?:\.[^\W\d]\w*)*)")
_FORMAT = re.compile(r"(?P<extension>[A-Za-z]+):[a-z]+")
_UNKNOWN = Signature()
_EVERY_BYTE = CompareRule()
TOLERANT: Mapping[str, tuple[CompareKind, ...]] = {
    "rtol": ("numeric",),
    "atol": ("numeric", "image"),
    "ignore_columns": ("numeric",),
}
"""The keys of an output that say what may differ, and the ways to compare that know them."""


def is_format_of(notebook: str, form: str) -> bool:
    """Return whether a Jupytext format fits a notebook's extension; Jupytext itself knows the names."""
    found = _FORMAT.fullmatch(form)
    return found is not None and notebook.endswith(f".{found['extension']}") and found["extension"] != "ipynb"


def fits_another(notebook: str, form: str) -> bool:
    """Return whether a Jupytext format is well formed, and of another extension than a notebook has."""
    return _FORMAT.fullmatch(form) is not None and not is_format_of(notebook, form)


@lru_cache(maxsize=1024)
def _shared(inputs: tuple[Input, ...]) -> tuple[Input, ...]:
    """Return the same inputs for all tasks that have the same: of a million instances most do."""
    return inputs


def _path_in(declared: str | Mapping[str, Any]) -> str | None:
    """Return the path or URL of a declared input or output; ``None`` for outputs that are gathered."""
    return declared if isinstance(declared, str) else declared.get("path", declared.get("url"))


def _labelled(declared: Sequence[Any] | Mapping[str, Any]) -> Iterator[tuple[str | None, Any]]:
    """Yield what is declared in a list, without names, or in a table."""
    yield from declared.items() if isinstance(declared, Mapping) else ((None, item) for item in declared)


def over(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of a task over those that it has otherwise, from ``[defaults]`` or without a profile.

    Who names its work drops the other work, and what is not a notebook drops the other's keys for notebooks.
    """
    works = not upper.keys().isdisjoint(WORK_KEYS)
    keys = {**{key: value for key, value in lower.items() if not (works and key in WORK_KEYS)}, **upper}
    for key in MERGED_KEYS:
        if key in lower and key in upper:
            keys[key] = {**lower[key], **upper[key]}
    inherited = keys.keys() - upper.keys()
    dropped: set[str] = set()
    if "notebook" in keys:
        if "format" in keys and fits_another(keys["notebook"], keys["format"]):
            dropped.add("format")
    elif not keys.keys().isdisjoint(WORK_KEYS):
        dropped.update(NOTEBOOK_KEYS)
    dropped.update(other for pair in EITHER for key, other in permutations(pair) if key in upper)
    for key in dropped & inherited:
        del keys[key]
    return keys


def written_globs(keys: Mapping[str, Any], values: Mapping[str, Value]) -> Iterator[ProjectPath]:
    """Yield globs of all that instances of a task may make, whatever their own values are."""
    declared: list[str] | dict[str, Any] = keys.get("outputs", ())
    for item in declared.values() if isinstance(declared, dict) else declared:
        with suppress(PathError):
            # what it is then is complained about where it is known
            yield read_path(path_glob(_path_in(item) or "", values))


def compare_rule(table: Mapping[str, Any]) -> CompareRule:
    """Return how an output that is declared as a table is compared."""
    return CompareRule(
        how=table.get("compare", "bytes"),
        rtol=table.get("rtol", 0.0),
        atol=table.get("atol", 0.0),
        ignored=tuple(table.get("ignore_columns", ())),
    )


class Family:
    """What the instances of one task have in common.

    ``keys`` are those of the task over those of ``[defaults]``, except ``parameters``, which are the task's own.
    ``pools`` has the places that it takes of each, ``environment`` is what it runs in.
    """

    def __init__(
        self,
        name: str,
        keys: Mapping[str, Any],
        shared: SharedParameters,
        signatures: Mapping[str, Signature],
        pools: Mapping[str, int],
        environment: EnvironmentSettings | None,
        complaints: Complaints,
    ) -> None:
        self.name = name
        self._keys = keys
        self._own: Mapping[str, Value] = keys.get("parameters", {})
        self._shared = shared
        self._pools = pools
        self._environment = environment
        self._complaints = complaints
        self._path = ("tasks", name)
        self._kind = next((kind for kind in WORK_KEYS if kind in keys), "")
        self._signature = self._find_signature(signatures)
        self._work = self._make_work()
        self.urls = set(self._declared_urls())
        """Those of remote inputs, as they are declared and as the instances made so far have them."""
        self._check()

    def _declared_urls(self) -> Iterator[str]:
        """Yield the URLs of inputs, without the values that only instances have."""
        visible = self._shared.visible(self._own)
        for _, declared in _labelled(self._keys.get("inputs", ())):
            url = FIELD.sub("", fill_known(_path_in(declared) or "", visible))
            if is_url(url):
                yield url

    def use_paths(self) -> None:
        """Note the parameters that a task without instances would have: nobody can tell that they reach none."""
        self._shared.reaching(self._shared.visible(self._own), self._own, self._signature)
        self._shared.use(self._names_in_paths())

    def shared_values(self, columns: Collection[str]) -> tuple[dict[str, Value], frozenset[str]]:
        """Return the parameters of its file that a task names, and which of them reach its work if it had them.

        ``columns`` are the names that its instances have values for.
        """
        visible, own = self._shared.visible(self._own), {*self._own, *columns}
        names = self._shared.reaching(visible, dict.fromkeys(own), self._signature)
        in_paths = self._names_in_paths()
        # a task that takes any parameter would get those of its paths too
        kept = names if self._signature.takes_any else names | in_paths
        there = {name: value for name, value in visible.items() if name in names | in_paths and name not in own}
        return there, kept

    def instances(
        self,
        found: Instances,
        after: tuple[TaskName, ...],
        file: str,
        line: int,
        lines: Mapping[str, int],
        source: Input | None,
    ) -> Iterator[Task]:
        """Make a task for each instance; ``source`` is what they come from, if tasks may make it.

        ``file`` declares them.
        """
        first = found.points[0]
        visible = self._shared.visible({**self._own, **first})
        reaching = self._shared.reaching(visible, {**self._own, **first}, self._signature)
        in_paths = self._names_in_paths()
        for place, values in ((*self._path, "parameters"), self._own), (found.place, first):
            owned = {name: value for name, value in values.items() if name not in in_paths}
            self._shared.check_own(self.name, place, owned, self._signature, self._kind)
        keys, policy = self._keys, self._policy()
        env, secrets, tags = self._env(), tuple(keys.get("secrets", ())), frozenset(keys.get("tags", ()))
        for name, point in zip(found.names, found.points, strict=True):
            values = {**visible, **point}
            parameters = {key: value for key, value in values.items() if key in reaching}
            copy = self._path_of("notebook_output", written_notebook, values)
            workdir = self._path_of("workdir", read_path, values) or ProjectPath("./")
            yield Task(
                name=name,
                family=self.name,
                work=self._command(keys["command"], values) if self._kind == "command" else self._work,
                inputs=_shared(tuple(self._inputs(values))),
                outputs=tuple(self._outputs(values)),
                parameters=point if list(parameters) == list(point) else parameters,
                values=point,
                after=after,
                source=source,
                environment=self._environment,
                workdir=workdir if workdir.endswith("/") else ProjectPath(f"{workdir}/"),
                env=env,
                secrets=secrets,
                tags=tags,
                description=keys.get("description", ""),
                policy=policy if copy is None else replace(policy, notebook_output=copy),
                file=file,
                line=line,
                lines=lines,
            )

    def unknown(self, source: Input, after: tuple[TaskName, ...], file: str, line: int) -> Task:
        """Make the task that stands for all instances while nobody knows them."""
        keys = self._keys
        return Task(
            name=matrix.unknown_name(self.name),
            family=self.name,
            work=self._work,
            source=source,
            outputs=tuple(Output(path=path) for path in written_globs(keys, self._shared.visible(self._own))),
            after=after,
            is_unknown=True,
            environment=self._environment,
            env=self._env(),
            secrets=tuple(keys.get("secrets", ())),
            tags=frozenset(keys.get("tags", ())),
            description=keys.get("description", ""),
            policy=self._policy(),
            file=file,
            line=line,
        )

    def _env(self) -> dict[str, str]:
        return {**(self._environment.env if self._environment else {}), **self._keys.get("env", {})}

    def _inputs(self, values: Mapping[str, Value]) -> Iterator[Input]:
        """Yield the inputs in their order, which names those of a list."""
        optional = {name for name, table in self._tables("inputs") if table.get("optional")}
        for label, declared in _labelled(self._keys.get("inputs", ())):
            text = _path_in(declared)
            at = ("inputs",) if label is None else ("inputs", label)
            filled = None if text is None else self._fill(text, at, values)
            if filled is None:
                # gathered, when all tasks are known
                continue
            if is_url(filled) or (not isinstance(declared, str) and "url" in declared):
                yield from self._remote(filled, at, label, {} if isinstance(declared, str) else declared)
            elif (path := self._declared("input", filled, at, read_pattern)) is not None:
                yield Input(path=path, name=label, is_glob=is_glob(filled), optional=label in optional)

    def _remote(
        self, text: str, at: tuple[str, ...], label: str | None, table: Mapping[str, Any]
    ) -> Iterator[Input]:
        try:
            if "path" in table:
                raise PathError("is a URL", 'write `{ url = "..." }`')  # noqa: TRY301 - said like other faults
            remote = read_url(text, table)
            self.urls.add(remote.url)
            yield Input(path=copy_of(remote), name=label, remote=remote)
        except PathError as error:
            self._complaints.add((*self._path, *at), f"input `{scrubbed(text)}` {error.what}", error.hint)

    def _policy(self) -> Policy:
        return Policy(
            **{key: self._keys[key] for key in _POLICY_KEYS if key in self._keys},
            resources=resources(self._keys.get("resources", {})),
            pools=self._pools,
        )

    def _names_in_paths(self) -> frozenset[str]:
        """Return the names that declared paths use: a value that only they need is not an error."""
        texts = [self._keys[key] for key in ("notebook_output", "workdir") if key in self._keys]
        for key in ("inputs", "outputs"):
            declared = self._keys.get(key, ())
            values = declared.values() if isinstance(declared, dict) else declared
            texts += filter(None, map(_path_in, values))
        return frozenset[str]().union(*map(names_in, texts))

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
            text = self._signature.paired_with
            return Notebook(
                path=text or path or ProjectPath(""),
                form=self._format(),
                paired=path if text else None,
                kernel=self._keys.get("kernel"),
                allow_errors=self._keys.get("allow_errors"),
                **inject,
            )
        if self._kind == "function":
            source = self._keys["function"]
            if (match := _FUNCTION.fullmatch(source)) is None:
                module, dot, name = source.rpartition(".")
                hint = f"did you mean `{module}:{name}`?" if dot and ":" not in source else ""
                self._complain("function", f"`{source}` is not `module:callable`", hint)
                return Function(module="", qualname="")
            return Function(module=match["module"], qualname=match["qualname"], **inject)
        return Command(arguments="")

    def _format(self) -> str:
        """Return the Jupytext format, empty where it is to be guessed."""
        form = str(self._keys.get("format", ""))
        notebook = self._keys["notebook"]
        if form and notebook.endswith(".ipynb"):
            self._complain("format", f"`format` is for text notebooks, and `{notebook}` is none")
        elif form and not is_format_of(notebook, form):
            extension = notebook.rpartition(".")[2]
            hint = f"write the extension and the name of the format, such as `{extension}:percent`"
            self._complain("format", f"`{form}` is not a Jupytext format for `{notebook}`", hint)
        return form

    def _tables(self, key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield the inputs or outputs that are more than a path."""
        declared = self._keys.get(key)
        if isinstance(declared, dict):
            yield from ((name, table) for name, table in declared.items() if isinstance(table, dict))

    def _check_inputs(self) -> None:
        for name, table in self._tables("inputs"):
            at = (*self._path, "inputs", name)
            gathers = [key for key in ("task", "output") if key in table]
            remote = next((key for key in REMOTE_KEYS if key in table), None)
            if "url" in table:
                if others := [key for key in ("path", "optional", *gathers) if key in table]:
                    self._complaints.add(
                        at, f"input `{name}` has both `url` and `{others[0]}`", "keep one of them"
                    )
            elif remote is not None:
                hint = f'name it: `{{ url = "https://...", {remote} = ... }}`'
                self._complaints.add(at, f"input `{name}` has `{remote}`, and no `url`", hint)
            elif "path" in table and gathers:
                self._complaints.add(at, f"input `{name}` has both `path` and `{gathers[0]}`", "keep one of them")
            elif "path" not in table and not gathers:
                hint = 'name the file: `{ path = "data/x.csv", optional = true }`'
                self._complaints.add(at, f"input `{name}` has neither `path` nor `task`", hint)
            elif "optional" in table and gathers:
                what = f"input `{name}` gathers outputs, which are never absent"
                self._complaints.add(at, what, "leave `optional` out")

    def _check_outputs(self) -> None:
        for name, table in self._tables("outputs"):
            how = table.get("compare", "bytes")
            for key, kinds in TOLERANT.items():
                if key in table and how not in kinds:
                    fitting = " or ".join(f'`compare = "{kind}"`' for kind in kinds)
                    what = f'`{key}` of output `{name}` does nothing with `compare = "{how}"`'
                    self._complaints.add((*self._path, "outputs", name, key), what, f"it goes with {fitting}")

    def _command(self, template: list[str] | str, values: Mapping[str, Value]) -> Command:
        arguments = fill_command(template, values)
        if "\0" in "".join(arguments):
            self._complain("command", f"the command of task `{self.name}` holds a NUL character")
        return Command(arguments=arguments)

    def _check_command(self, command: list[str] | str) -> None:
        if not command or (isinstance(command, list) and not command[0]) or not "".join(command).strip():
            self._complain("command", f"the command of task `{self.name}` is empty")

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
            self._check_command(self._keys["command"])
        if self._kind not in {"", "notebook"}:
            for key in self._keys.keys() & set(NOTEBOOK_KEYS):
                self._complain(key, f"`{key}` is for notebooks, and task `{self.name}` has none")
        self._check_inputs()
        self._check_outputs()
        if self._keys.get("check") and self._keys.get("outputs"):
            hint = "leave out `outputs`, or `check`"
            self._complain("outputs", f"task `{self.name}` is a check, which has no outputs", hint)
        check_values((*self._path, "parameters"), self._own, self._complaints)
        env = self._keys.get("env", {})
        check_variables((*self._path, "env"), env, self._complaints)
        for name, value in env.items():
            if "\0" in value:
                self._complaints.add((*self._path, "env", name), f"`{name}` holds a NUL character")
        check_variables((*self._path, "secrets"), self._keys.get("secrets", ()), self._complaints)

    def _outputs(self, values: Mapping[str, Value]) -> Iterator[Output]:
        rules = {name: compare_rule(table) for name, table in self._tables("outputs")}
        for label, declared in _labelled(self._keys.get("outputs", ())):
            text = _path_in(declared)
            at = ("outputs",) if label is None else ("outputs", label)
            filled = None if text is None else self._fill(text, at, values)
            path = None if filled is None else self._declared("output", filled, at, written_path)
            if path is not None:
                yield Output(path=path, name=label, rule=rules.get(label or "", _EVERY_BYTE))

    def _path_of(
        self, key: str, read: Callable[[str], ProjectPath], values: Mapping[str, Value]
    ) -> ProjectPath | None:
        filled = self._fill(self._keys[key], (key,), values) if key in self._keys else None
        return None if filled is None else self._declared(key, filled, (key,), read)

    def _fill(self, template: str, at: tuple[str, ...], values: Mapping[str, Value]) -> str | None:
        try:
            text = fill_path(template, values)
        except UnknownNameError as error:
            what = f"`{template}` names `{{{error.name}}}`, which is not a parameter of task `{self.name}`"
            if not error.name.isidentifier():
                what = f"`{template}` has braces around something other than a parameter's name"
            self._complaints.add((*self._path, *at), what, self._complaints.suggest(error.name, tuple(values)))
            return None
        self._shared.use(names_in(template))
        return text

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
