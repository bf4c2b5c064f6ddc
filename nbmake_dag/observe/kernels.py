"""The kernel that runs a notebook, and its identity."""

from __future__ import annotations

import os
import re
import stat
import sys
import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from nbmake_dag.core.model import Notebook, Task, TaskName
from nbmake_dag.core.suggest import did_you_mean
from nbmake_dag.errors import Complaint, UsageError, describe
from nbmake_dag.observe.interpreters import Interpreters
from nbmake_dag.observe.kernel_python import python_of
from nbmake_dag.observe.variables import Variables
from nbmake_dag_cache.digest import Digest, digest_text
from nbmake_dag_cache.memo import IdentityMemo
from nbmake_dag_cache.stamps import Stamp, folder_stamp

if TYPE_CHECKING:
    from jupyter_client.kernelspec import KernelSpecManager

    # a worker imports kernels, and reads no pipeline
    from nbmake_dag.observe.sources import Sources

DEFAULT = "python3"
_ALIAS = "python"
"""Another name of Jupyter for the native kernel."""
_NATIVE = {"python", f"python{sys.version_info[0]}", f"python{sys.version_info[0]}.{sys.version_info[1]}"}
"""Programs that mean the Python of the process that starts the kernel, without a search."""
IPYKERNEL = ("python", "-m", "ipykernel_launcher", "-f", "{connection_file}")
"""The command of a kernelspec for Python."""
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_SCHEMA = "kernelspec-3"
_DECISIVE = (
    "HOME",
    "JUPYTER_DATA_DIR",
    "JUPYTER_PATH",
    "JUPYTER_PLATFORM_DIRS",
    "JUPYTER_PREFER_ENV_PATH",
    "XDG_DATA_DIRS",
    "XDG_DATA_HOME",
    # whether folders of the environment come before those of the user
    "CONDA_DEFAULT_ENV",
    "CONDA_PREFIX",
    # IPython's own folder of kernels
    "IPYTHONDIR",
    "XDG_CONFIG_HOME",
)
"""The variables that decide which kernelspec a name means: those that Jupyter reads in its search."""


class Kernel(msgspec.Struct, frozen=True, kw_only=True):
    """A kernelspec as it is installed, or why it cannot be used."""

    name: str
    language: str = ""
    argv: tuple[str, ...] = ()
    interpreter: str | None = None
    """The Python that runs it; ``None`` for other languages, and where it is unknown before the start."""
    python: str = ""
    """Implementation and minor version of ``interpreter``."""
    problem: UsageError | None = None
    program: str = ""
    """What it starts, where that is searched for and was not found."""

    @property
    def identity(self) -> str:
        """Name, language, and of a Python the implementation and minor version; not where it is installed."""
        return f"{self.name} {self.language} {self.python}".rstrip()


class _Spec(msgspec.Struct, frozen=True, kw_only=True):
    """A kernelspec as it was found, and the folders that decided it, as they were."""

    language: str
    argv: list[str]
    folder: str
    """Where its ``kernel.json`` is."""
    has_path: bool
    """Whether it sets ``PATH`` for its kernel."""
    folders: dict[str, Stamp | None]


def missing_kernels(tasks: Iterable[Task], sources: Sources, kernels: Kernels) -> dict[TaskName, Complaint]:
    """Complain about notebooks whose kernel is not installed, or is damaged."""
    complaints: dict[TaskName, Complaint] = {}
    for task in tasks:
        if isinstance(task.work, Notebook) and task.environment is None:
            if language := _language_without_kernel(task.work, sources):
                complaints[task.name] = Complaint(
                    what=f"{task.work.path} is written in {language}, and names no kernel",
                    place=task.place_of("notebook"),
                    hint="name one: `kernel = ...` (`nbdag help languages`)",
                )
                continue
            kernel = kernels.get(kernel_name(task.work, sources))
            error = kernel.problem
            if error is None or (kernel.program and "PATH" in task.env):
                continue
            facts = "; ".join(f"{fact}: {value}" for fact, value in error.facts)
            complaints[task.name] = Complaint(
                what=f"task `{task.name}`: {error.what}",
                place=task.place_of("kernel" if task.work.kernel else "notebook"),
                hint=f"{error.hint} ({facts})" if facts else error.hint,
            )
    return complaints


def kernel_name(work: Notebook, sources: Sources) -> str:
    """Return the kernelspec that a notebook asks for, by the pipeline or by itself."""
    return work.kernel or sources.notebook(work.path, form=work.form).identity.kernel or DEFAULT


def _language_without_kernel(work: Notebook, sources: Sources) -> str:
    """Return the language of a notebook for which no kernel is named, if `DEFAULT` does not run it."""
    identity = sources.notebook(work.path, form=work.form).identity
    is_named = work.kernel or identity.kernel
    return "" if is_named or "python" in identity.language else identity.language


def kernelspecs(manager: KernelSpecManager) -> dict[str, str]:
    """Return the folder of every kernelspec by its name; folders that no name can mean are left out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about each of those folders, with the path of whoever asks
        found = manager.find_kernel_specs()
    return {name: folder for name, folder in found.items() if _NAME.fullmatch(name)}


def _no_such_kernel(name: str, manager: KernelSpecManager) -> UsageError:
    installed = tuple(sorted(kernelspecs(manager)))
    return UsageError(
        f"there is no kernel `{name}`",
        (("installed", ", ".join(installed) or "none"),),
        did_you_mean(name, installed)
        or "install its package, or name another with `kernel = ...` (`nbdag help environments`)",
    )


def _damaged(name: str, folder: str, why: str) -> UsageError:
    return UsageError(
        f"the kernelspec of `{name}` cannot be used: {why}",
        (("its file", os.path.join(folder, "kernel.json")),),
        "correct the file, or install the kernel again",
    )


class Kernels:
    """The kernelspecs of this machine; one that was found is remembered while its folders are unchanged."""

    def __init__(self, variables: Variables, memo: IdentityMemo, interpreters: Interpreters) -> None:
        self.variables = variables
        self._memo = memo
        self._interpreters = interpreters
        self._known: dict[str, Kernel] = {}
        self.folders: dict[str, Stamp | None] = {}
        """What was searched, and what was found there: a change of it may change what a name means."""
        self.notes: list[str] = []
        """Kernels of Python whose version is not known before they run."""

    def get(self, name: str) -> Kernel:
        """Look a kernel up; one that cannot be used has a ``problem``."""
        if name not in self._known:
            self._known[name] = self._look_up(DEFAULT if name == _ALIAS else name)
        return self._known[name]

    def _look_up(self, name: str) -> Kernel:
        try:
            spec = self._recall(name) or self._find(name)
        except UsageError as error:
            return Kernel(name=name, problem=error)
        self.folders.update(spec.folders)
        kernel = Kernel(name=name, language=spec.language, argv=tuple(spec.argv))
        argv = command_of(spec.argv, spec.folder)
        is_searched = not os.path.dirname(argv[0])
        if not (is_searched and spec.has_path) and not self._exists(argv[0]):
            problem = UsageError(
                f"the kernel `{name}` starts `{argv[0]}`, which is not there",
                (("its kernelspec", os.path.join(spec.folder, "kernel.json")),),
                "install it, or correct `argv` in the file",
            )
            return replace(kernel, problem=problem, program=argv[0] if is_searched else "")
        return self._identified(kernel, argv, spec) if spec.language == "python" else kernel

    def _identified(self, kernel: Kernel, argv: Sequence[str], spec: _Spec) -> Kernel:
        """Ask the Python that it leads to, if there is one that answers."""
        path = python_of(argv, lambda word: None if spec.has_path else self._search(word))
        try:
            if path is not None:
                found = self._interpreters.ask(path)
                return replace(kernel, interpreter=path, python=f"{found.implementation} {found.version}")
            why = f"which Python `{argv[0]}` leads to is not known before it runs"
        except UsageError as error:
            why = error.what
        file = os.path.join(spec.folder, "kernel.json")
        self.notes.append(f"kernel `{kernel.name}`: {why}; neither its version nor its packages count ({file})")
        return kernel

    def _recall(self, name: str) -> _Spec | None:
        text = self._memo.get(self._question(name), _SCHEMA)
        if text is None:
            return None
        spec = msgspec.json.decode(text, type=_Spec)
        unchanged = all(folder_stamp(folder) == stamp for folder, stamp in spec.folders.items())
        return spec if unchanged else None

    def _find(self, name: str) -> _Spec:
        """Read a kernelspec; raises `UsageError` for a name that is not installed, with those that are."""
        from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel  # noqa: PLC0415 - takes 0.2 s
        from traitlets import TraitError  # noqa: PLC0415 - likewise

        manager = KernelSpecManager()
        folders = {folder: folder_stamp(folder) for folder in manager.kernel_dirs}
        if not _NAME.fullmatch(name):  # Jupyter would look for it, and warn
            raise _no_such_kernel(name, manager)
        try:
            found = manager.get_kernel_spec(name)
        except NoSuchKernel:
            raise _no_such_kernel(name, manager) from None
        except (OSError, ValueError, TypeError, AttributeError, TraitError) as error:
            raise _damaged(name, kernelspecs(manager).get(name.lower(), ""), describe(error)) from error
        words: list[object] = [*found.argv]  # of any type: Jupyter does not look
        if not words or not all(isinstance(word, str) for word in words):
            raise _damaged(name, found.resource_dir, "its `argv` names no program")
        # a file that is rewritten in its place leaves no trace in its folder
        for path in (found.resource_dir, os.path.join(found.resource_dir, "kernel.json")):
            folders[path] = folder_stamp(path)
        spec = _Spec(
            language=str(found.language).lower(),
            argv=found.argv,
            folder=found.resource_dir,
            has_path="PATH" in found.env,
            folders=folders,
        )
        self._memo.put(self._question(name), _SCHEMA, msgspec.json.encode(spec).decode())
        return spec

    def _question(self, name: str) -> Digest:
        """Digest all that decides which kernelspec a name means, except the folders."""
        return digest_text("\0".join((name, sys.executable, self.variables.fingerprint(_DECISIVE))))

    def _exists(self, program: str) -> bool:
        """Return whether a program can be started; a relative path depends on the task."""
        if not os.path.dirname(program):
            return self._search(program) is not None
        self.folders.setdefault(program, folder_stamp(program))
        return not os.path.isabs(program) or may_be_program(program)

    def _search(self, word: str) -> str | None:
        searched = self.variables.get("PATH")
        for folder in (os.defpath if searched is None else searched).split(os.pathsep):
            path = os.path.join(folder, word)
            # also a file that is not there yet, or cannot be executed yet
            self.folders.setdefault(path, folder_stamp(path))
            if may_be_program(path):
                return path
        return None


def command_of(argv: Sequence[str], folder: str) -> list[str]:
    """Return what the ``argv`` of a kernelspec in a folder starts, as Jupyter reads it."""
    words = [sys.executable, *argv[1:]] if argv[0] in _NATIVE else argv
    return [word.replace("{resource_dir}", folder).replace("{prefix}", sys.prefix) for word in words]


def may_be_program(path: str) -> bool:
    """Return whether some user can execute a file; whether this user can, is known only by starting it."""
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return stat.S_ISREG(mode) and bool(mode & 0o111)


_IPYKERNEL = (
    ["-m", "ipykernel_launcher", "-f", "{connection_file}"],
    ["-m", "ipykernel", "-f", "{connection_file}"],
)
_OPTION = re.compile(r"-[bBdEIOPqsu]+|-[XW].+")


def python_options(argv: Sequence[str]) -> tuple[str, ...] | None:
    """Return the options that Python gets, where a kernelspec's command is ipykernel; else ``None``."""
    if list(argv[-4:]) not in _IPYKERNEL:
        return None
    options = argv[1:-4]
    return tuple(options) if all(map(_OPTION.fullmatch, options)) else None
