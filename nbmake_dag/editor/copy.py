"""A copy of a task's notebook with its parameters, inputs and outputs, kept in step with the source."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Callable

import msgspec
import nbformat
from nbformat.v4 import new_code_cell

from nbmake_dag.core.decide import Restorable, UpToDate
from nbmake_dag.core.facts import Result, result_of
from nbmake_dag.core.model import Notebook, Task, TaskName
from nbmake_dag.core.plan import plan
from nbmake_dag.editor.conflict import Take, choice, with_notice, with_outputs_of, without_notice
from nbmake_dag.editor.made_environment import KERNEL, python_of, write_kernelspec
from nbmake_dag.editor.source_text import SETUP, edited_source, merged_edits
from nbmake_dag.engine.dispatch.attempt_specs import attempt_spec
from nbmake_dag.engine.dispatch.dispatcher import folder_name
from nbmake_dag.engine.prepare import Prepared
from nbmake_dag.errors import UsageError
from nbmake_dag.execute.notebook.source import ParameterError, prepare_notebook, values_to_inject
from nbmake_dag.execute.protocol import NotebookWork
from nbmake_dag.execute.redaction import Redactor
from nbmake_dag_cache.digest import Digest, digest_text
from nbmake_dag_cache.layout import temporary_in
from nbmake_dag_cache.notebook import UnreadableNotebookError, read_notebook

_SETUP = """\
# as the task sees it; this cell does not reach {source}
import os, sys
os.chdir({workdir!r})
sys.path[:] = dict.fromkeys([{root!r}, {folder!r}, *sys.path])"""


class _Taken(msgspec.Struct, frozen=True, kw_only=True):
    """The text of the source, and the digest of the copy's, when they last agreed."""

    text: str
    copy: Digest


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """A copy of a notebook in a folder of its own; paths are absolute."""

    source: str
    path: str
    repository: str
    form: str = ""
    """The Jupytext format of the source, where it is not to be guessed."""
    paired: str | None = None
    """The notebook that the pipeline names, if the source is the text that it is paired with."""
    task: str
    render: Callable[[str], str]
    """Makes the text of the copy from that of the source."""

    def sync(self, take: Take | None = None) -> tuple[str, ...]:
        """Write what was edited in the copy to the source, and the other way round; return what was written.

        Notebooks that Jupytext pairs with the source follow it. Raises `UsageError` where both were edited in the
        same place, unless it is known which one to ``take``, and where a paired notebook was edited too, which is
        then left alone.
        """
        copy, before = _read(self.path), _read(self.source)
        taken = self._taken()
        base = taken.text if taken else before
        take = take or choice(copy)
        if taken and take is None and digest_text(copy) == taken.copy and before == base:
            return ()
        try:
            edited = edited_source(base, self.source, copy, self.form)
            if take == "source" or edited == base:
                return self._load(base, before, copy, keeps=edited != base)
            if taken and before == base and take is None:
                return self._save(before, edited, copy)
            merged = None if self.source.endswith(".ipynb") else merged_edits(base, before, edited)
            if taken and merged is not None and take is None:
                written = self._save(before, merged, copy)
                return (*written, *self._load(base, merged, copy, keeps=False))
            if take == "copy":
                _replace(_kept_path(self.path, self.source), before)
                return self._save(
                    before, edited_source(before, self.source, copy, self.form), without_notice(copy)
                )
        except (ValueError, UnreadableNotebookError):
            # it is just being written
            return ()
        shown = with_notice(copy, self.task, self.source, base, before)
        if shown != copy:
            _replace(self.path, shown)
        raise UsageError(
            f"{self.source} and its copy {self.path} were both changed in the same place: nothing is saved",
            (),
            f"`nbdag open {shlex.quote(self.task)} --take=copy` keeps what the copy has, `--take=source` what the "
            "source has; or choose in the first cell of the copy",
        )

    def _taken(self) -> _Taken | None:
        """Return what both were when they last agreed, ``None`` where that can no longer be told."""
        try:
            return msgspec.json.decode(_read(_taken_path(self.path)), type=_Taken)
        except (ValueError, RecursionError):
            return None

    def _load(self, base: str, source: str, copy: str, *, keeps: bool) -> tuple[str, ...]:
        """Take over the source into the copy; what that had is kept beside it with ``keeps``."""
        if source == base and not keeps and not choice(copy):
            self.agree(source, copy)
            return ()
        if keeps:
            _replace(_kept_path(self.path, self.path), copy)
        content = with_outputs_of(copy, self.render(source))
        _replace(self.path, content)
        self.agree(source, content)
        return (self.path,)

    def _save(self, before: str, after: str, copy: str) -> tuple[str, ...]:
        """Take over what was edited in the copy into the source."""
        if copy != _read(self.path):
            _replace(self.path, copy)
        if after != before:
            _replace(self.source, after)
        self.agree(after, copy)
        return (self.source, *self._keep_in_step(before, after, copy)) if after != before else ()

    def _keep_in_step(self, before: str, after: str, copy: str) -> tuple[str, ...]:
        if self.source.endswith(".ipynb"):
            return ()
        from nbmake_dag.editor.pairs import in_step, paired_notebooks  # noqa: PLC0415 - for edited texts alone

        apart: list[str] = []
        written: list[str] = []
        for path in paired_notebooks(self.source, after, self.repository, self.paired):
            text = in_step(_read(path), before, after, self.source, self.form, copy)
            if text is None:
                apart.append(path)
            else:
                _replace(path, text)
                written.append(path)
        if apart:
            raise UsageError(
                f"{self.source} was saved, and {apart[0]}, paired with it by Jupytext, was not: its cells differ",
                (),
                f"`jupytext --sync {self.source}` brings them in step",
            )
        return tuple(written)

    def redact(self, redactor: Redactor) -> None:
        """Replace secrets in what an editor left in the copy, such as outputs."""
        text = _read(self.path)
        if redactor.name_in_text(text):
            redacted = redactor.text(text)
            _replace(self.path, redacted)
            self.agree(_read(self.source), redacted)

    def agree(self, source: str, copy: str) -> None:
        """Note that these texts of source and copy agree."""
        taken = _Taken(text=source, copy=digest_text(copy))
        _replace(_taken_path(self.path), msgspec.json.encode(taken).decode())


def copy_path(prepared: Prepared, name: TaskName) -> Copy:
    """Return the path of the copy of a task's notebook; raises `UsageError` for a task without a notebook."""
    project, task = prepared.project, prepared.graph.tasks[name]
    if not isinstance(task.work, Notebook):
        raise UsageError(f"task `{task.name}` has no notebook to open")
    base = os.path.splitext(os.path.basename(task.work.path))[0]
    source = project.absolute(task.work.path)
    folder = os.path.join(project.root, ".nbdag", "open", folder_name(task.name))
    return Copy(
        source=source,
        path=os.path.join(folder, f"{base}.ipynb"),
        repository=project.repository,
        form=task.work.form,
        paired=project.absolute(task.work.paired) if task.work.paired else None,
        task=task.name,
        render=lambda text: notebook_text(prepared, task, text, source),
    )


def make_copy(prepared: Prepared, name: TaskName, take: Take | None = None) -> Copy:
    """Write the copy of a task's notebook; edits in a copy of before are saved first."""
    copy = copy_path(prepared, name)
    with contextlib.suppress(FileNotFoundError):
        copy.sync(take)
    folder, task = os.path.dirname(copy.path), prepared.graph.tasks[name]
    os.makedirs(folder, exist_ok=True)
    if task.environment and (python := python_of(task, prepared.survey)):
        write_kernelspec(python, task.environment.name, folder)
    source = _read(copy.source)
    content = copy.render(source)
    _replace(copy.path, content)
    copy.agree(source, content)
    return copy


def notebook_text(prepared: Prepared, task: Task, text: str, path: str) -> str:
    """Return the ``.ipynb`` text of a task's notebook as the task sees it; ``text`` is its source, at ``path``.

    Raises `UsageError` for one that holds a secret, of which no copy is made.
    """
    if name := Redactor(prepared.survey.secrets).name_in_text(text):
        raise UsageError(f"{path} holds the value of the secret `{name}`", (), "have it read from the environment")
    spec = attempt_spec(
        task, prepared.survey, _results(prepared, task), run_id="", attempt=1, env={}, scratch="", runtime=""
    )
    kernel = prepared.survey.kernel(task)
    if kernel is None or not isinstance(spec.work, NotebookWork):
        raise UsageError(f"task `{task.name}` has no notebook to open")
    source = read_notebook(text.encode(), path, spec.work.form)
    try:
        notebook = prepare_notebook(
            source, kernel.name, kernel.language, values_to_inject(spec, spec.work)
        ).notebook
    except ParameterError as error:
        raise UsageError(f"the parameters of task `{task.name}` cannot be injected: {error}") from error
    if kernel.language == "python":
        root = prepared.project.root
        setup = _SETUP.format(
            source=spec.work.path,
            workdir=os.path.normpath(os.path.join(root, spec.workdir)),
            root=root,
            folder=os.path.dirname(path),
        )
        notebook.cells.insert(0, new_code_cell(setup, metadata={"tags": [SETUP]}, id=SETUP))  # type: ignore[no-untyped-call]
    name = KERNEL if task.environment else kernel.name
    notebook.metadata.kernelspec = {
        "name": name,
        "display_name": task.environment.name if task.environment else name,
        "language": kernel.language,
    }
    return f"{nbformat.writes(notebook)}\n"  # type: ignore[no-untyped-call]


def _results(prepared: Prepared, task: Task) -> dict[TaskName, Result]:
    """Return the results of the tasks above; raises `UsageError` where one was not built."""
    verdicts = plan(prepared.graph, prepared.facts, prepared.rules)
    results: dict[TaskName, Result] = {}
    for name in prepared.graph.readable_by(task.name):
        verdict = verdicts[name]
        hit = verdict.record if isinstance(verdict, (UpToDate, Restorable)) else prepared.facts[name].previous
        if hit is None:
            raise UsageError(
                f"task `{task.name}` needs `{name}`, which has not been built yet",
                (),
                f"nbdag build {shlex.quote(task.name)} builds all that it needs",
            )
        results[name] = result_of(hit, prepared.graph.tasks[name].parameters)
    return results


def _kept_path(copy: str, path: str) -> str:
    """Return the path at which the text of a file is kept when it is replaced."""
    return os.path.join(os.path.dirname(copy), f"replaced-{os.path.basename(path)}")


def _taken_path(copy: str) -> str:
    return os.path.join(os.path.dirname(copy), "source.json")


def _read(path: str) -> str:
    with open(path, encoding="utf-8", newline="") as file:
        return file.read()


def _replace(path: str, text: str) -> None:
    temporary = temporary_in(os.path.dirname(path))
    with open(temporary, "x", encoding="utf-8", newline="") as file:
        file.write(text)
    if os.path.exists(path):
        os.chmod(temporary, os.stat(path).st_mode & 0o777)
    os.replace(temporary, path)
