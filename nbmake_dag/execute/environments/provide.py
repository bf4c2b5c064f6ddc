"""Give an attempt the environment that it runs in: found in the user's cache folder, or made there now."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack

from msgspec.structs import replace

from nbmake_dag.core.urls import without_users
from nbmake_dag.errors import describe
from nbmake_dag.execute.environments import uv
from nbmake_dag.execute.environments.store import Facts, Lock, Place, state_of
from nbmake_dag.execute.processes.cancellation import Cancellation
from nbmake_dag.execute.processes.runtime_dir import folder_to_import_from
from nbmake_dag.execute.protocol import (
    AttemptSpec,
    CommandWork,
    EnvironmentMade,
    EnvironmentSpec,
    Event,
    FunctionWork,
    MakingEnvironment,
    NotebookWork,
    Printed,
)

TIMEOUT_S = 3600.0
"""For one command of the tool."""
_TAIL = 20
"""Lines of what the tool wrote that a failure shows."""
_KNOWN_FOR_S = 30.0
"""How long an environment that was found whole is taken for that."""


class UnmadeError(Exception):
    """The environment could not be made. ``hint`` is what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint


class CancelledError(Exception):
    """The attempt was cancelled while it waited."""


@contextlib.contextmanager
def in_its_environment(
    spec: AttemptSpec, wanted: EnvironmentSpec, emit: Callable[[Event], None], cancellation: Cancellation
) -> Generator[AttemptSpec]:
    """Give an attempt as it runs in its environment, which nobody removes or makes again meanwhile.

    Raises `UnmadeError` where it cannot be made, `CancelledError`.
    """
    place = Place.of(wanted)
    with ExitStack() as held:
        try:
            lock = held.enter_context(place.lock(_Waiting(spec, wanted, emit, cancellation)))
            lock.share()
            known = os.path.join(spec.runtime, f"e-{os.path.basename(place.path)}")
            if not (_is_recent(known) and os.path.exists(place.python)):
                if not place.is_whole():
                    _make_alone(place, lock, known, spec, wanted, emit, cancellation)
                with open(known, "wb"):
                    pass
        except OSError as error:
            raise UnmadeError(
                f"environment `{wanted.name}` could not be made: {describe(error)}",
                f"it is made in {os.path.dirname(place.path)}; XDG_CACHE_HOME can name another cache folder",
            ) from error
        yield _within(spec, place)


def _make_alone(
    place: Place,
    lock: Lock,
    known: str,
    spec: AttemptSpec,
    wanted: EnvironmentSpec,
    emit: Callable[[Event], None],
    cancellation: Cancellation,
) -> None:
    lock.alone()
    failed = f"{known}-{spec.run_id}.failed"
    # another process may have made it while this one waited
    if not place.is_whole():
        if os.path.exists(failed) and spec.attempt == 1:
            # said in full by the first task that wanted it
            raise UnmadeError(
                f"environment `{wanted.name}` could not be made, as another task of this build reports"
            )
        error = "interrupted"
        event = MakingEnvironment(
            task=spec.task,
            attempt=spec.attempt,
            time=time.time_ns(),
            environment=wanted.name,
            packages=len(wanted.requirements),
        )
        emit(event)
        try:
            _make(place, wanted, cancellation)
            error = ""
        except UnmadeError as unmade:
            error = unmade.message
            with open(failed, "wb"):
                pass
            raise
        finally:
            emit(
                EnvironmentMade(
                    task=spec.task,
                    attempt=spec.attempt,
                    time=time.time_ns(),
                    started=event.time,
                    environment=wanted.name,
                    packages=len(wanted.requirements),
                    error=error,
                )
            )
    lock.share()


def _make(place: Place, wanted: EnvironmentSpec, cancellation: Cancellation) -> None:
    def run(command: Sequence[str], env: dict[str, str], folder: str) -> None:
        _run(command, env, folder, wanted, cancellation)

    with place.unfinished() as folder:
        try:
            uv.make(wanted, folder, run)
        except uv.ToolMissingError:
            raise UnmadeError(
                f"environment `{wanted.name}` is made by uv, which is not here",
                "install it beside nbdag: `pip install 'nbmake-dag[uv]'`, or anywhere on the PATH",
            ) from None
        facts = Facts(
            name=wanted.name,
            python=wanted.python,
            made_by=uv.NAME,
            packages=wanted.requirements,
            state=state_of(folder),
        )
        place.complete(folder, facts)


def _run(
    command: Sequence[str],
    env: dict[str, str],
    folder: str,
    wanted: EnvironmentSpec,
    cancellation: Cancellation,
) -> None:
    """Run one command of the tool; raises `UnmadeError` with the last lines that it wrote, `CancelledError`."""
    process = subprocess.Popen(
        command,
        env=env,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )

    def kill() -> None:
        # the number of one that was waited for may be another's by now
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    cancellation.on_request(kill)
    try:
        said, _ = process.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        kill()
        said = process.communicate()[0] + f"it took longer than {TIMEOUT_S:.0f} s".encode()
    if cancellation.requested:
        raise CancelledError
    if process.returncode:
        lines = without_users(said.decode(errors="replace")).strip().splitlines()[-_TAIL:]
        text = "\n".join((f"environment `{wanted.name}` could not be made:", *lines))
        raise UnmadeError(text, f"this is what uv said; it was told: {os.path.basename(command[0])} {command[1]}")


def _within(spec: AttemptSpec, place: Place) -> AttemptSpec:
    """Return an attempt that runs in an environment."""
    folder = os.path.join(place.path, "bin")
    env = {name: value for name, value in spec.env.items() if name != "PYTHONHOME"}
    env["VIRTUAL_ENV"] = place.path
    env["PATH"] = os.pathsep.join(filter(None, (folder, env.get("PATH", os.defpath))))
    match spec.work:
        case NotebookWork() as work:
            return replace(spec, env=env, python=place.python, work=replace(work, interpreter=place.python))
        case FunctionWork():
            return replace(spec, env=env, python=place.python)
        case CommandWork():
            ours = folder_to_import_from(spec.runtime)
            env["PYTHONPATH"] = os.pathsep.join(filter(None, (env.get("PYTHONPATH"), ours)))
            return replace(spec, env=env, python=place.python)


class _Waiting:
    """Called again and again while another process has the environment."""

    def __init__(
        self,
        spec: AttemptSpec,
        wanted: EnvironmentSpec,
        emit: Callable[[Event], None],
        cancellation: Cancellation,
    ) -> None:
        self._spec = spec
        self._wanted = wanted
        self._emit = emit
        self._cancellation = cancellation
        self._said = False

    def __call__(self) -> None:
        if self._cancellation.requested:
            raise CancelledError
        if not self._said:
            self._said = True
            text = f"waiting for another process that makes or uses the environment `{self._wanted.name}`\n"
            now = time.time_ns()
            task, attempt = self._spec.task, self._spec.attempt
            self._emit(Printed(task=task, attempt=attempt, time=now, stream="stderr", text=text))


def _is_recent(path: str) -> bool:
    try:
        return time.time() - os.stat(path).st_mtime < _KNOWN_FOR_S
    except FileNotFoundError:
        return False
