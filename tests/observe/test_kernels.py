"""Kernels as planning sees them: which Python one leads to, and why one cannot be used. No kernel is started."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from jupyter_client.kernelspec import KernelSpecManager

from nbmake_dag.observe.interpreters import Interpreters
from nbmake_dag.observe.kernels import Kernel, Kernels
from nbmake_dag.observe.variables import Variables
from nbmake_dag_cache.memo import IdentityMemo

IPYKERNEL = ["-m", "ipykernel_launcher", "-f", "{connection_file}"]
NATIVE = f"cpython {sys.version_info[0]}.{sys.version_info[1]}"


def kernels_of(memo: IdentityMemo) -> Kernels:
    variables = Variables(dict(os.environ))
    return Kernels(variables, memo, Interpreters(memo, variables))


@pytest.fixture
def get(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[Kernel, list[str]]]]:
    """Install a kernelspec named ``odd`` and look a kernel up; return it and what planning says about it."""
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    folder = tmp_path / "kernels" / "odd"
    folder.mkdir(parents=True)
    memo = IdentityMemo(str(tmp_path / "memo"))

    def get(argv: object, name: str = "odd", **spec: object) -> tuple[Kernel, list[str]]:
        content = {"display_name": "Odd", "language": "python", "argv": argv} | spec
        (folder / "kernel.json").write_text(json.dumps(content))
        kernels = kernels_of(memo)
        return kernels.get(name), kernels.notes

    yield get
    memo.close()


def _script(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    "argv",
    [
        [sys.executable, *IPYKERNEL],
        ["python", "-X", "frozen_modules=off", *IPYKERNEL],
        [f"python3.{sys.version_info[1]}", *IPYKERNEL],
        ["/usr/bin/env", "-u", "DISPLAY", "VALUE=python3", sys.executable, *IPYKERNEL],
        ["env", "nice", "-n", "5", sys.executable, *IPYKERNEL],
        ["timeout", "100", sys.executable, *IPYKERNEL],
        [sys.executable, "-m", "runner", "prefix", "prefix", sys.executable, *IPYKERNEL],
        ["{prefix}/bin/python", *IPYKERNEL],
    ],
)
def test_a_command_that_ends_in_a_python_has_its_version(
    get: Callable[..., tuple[Kernel, list[str]]], argv: list[str]
) -> None:
    """Behind wrappers, and as an argument of a runner, it is the one that counts."""
    kernel, notes = get(argv)
    assert (kernel.identity, kernel.problem, notes) == (f"odd python {NATIVE}", None, [])
    assert os.path.samefile(str(kernel.interpreter), sys.executable)


def test_a_runner_is_not_taken_for_the_python_that_it_starts(
    get: Callable[..., tuple[Kernel, list[str]]], tmp_path: Path
) -> None:
    """nb_conda_kernels puts the Python of the environment behind the one that runs its runner."""
    other = tmp_path / "bin" / "python"
    other.parent.mkdir()
    other.symlink_to(os.path.realpath(sys.executable))
    argv = ["python", "-m", "nb_conda_kernels.runner", "/conda", str(tmp_path), str(other), *IPYKERNEL]
    assert get(argv)[0].interpreter == str(other)
    wrapped = ["env", "-C", "/", "conda", "run", "-p", str(tmp_path), "python", *IPYKERNEL]
    assert get(wrapped)[0].interpreter == str(other)


@pytest.mark.parametrize(
    "argv",
    [
        ["bash", "-c", "exec python -m ipykernel_launcher -f {connection_file}"],
        ["env", "PATH=/elsewhere", "python3", *IPYKERNEL],
        ["nice", "uv", "run", "python", *IPYKERNEL],
        ["SCRIPT", *IPYKERNEL],
        ["SCRIPT", "run", "python", *IPYKERNEL],
        ["{resource_dir}/xpython", "-f", "{connection_file}"],
    ],
)
def test_a_command_that_must_be_started_to_know_its_python_counts_by_name_and_language(
    get: Callable[..., tuple[Kernel, list[str]]], tmp_path: Path, argv: list[str]
) -> None:
    """Shells, scripts and binaries of other names are not asked; one sentence says so."""
    witness = tmp_path / "started"
    script = _script(tmp_path / "python", f"#!/bin/sh\ntouch '{witness}'\nexec python3 \"$@\"\n")
    _script(tmp_path / "kernels" / "odd" / "xpython", f"#!/bin/sh\ntouch '{witness}'\n")
    kernel, notes = get([script if word == "SCRIPT" else word for word in argv])
    assert (kernel.identity, kernel.interpreter, kernel.problem) == ("odd python", None, None)
    assert len(notes) == 1
    assert "leads to is not known before it runs; neither its version nor its packages count" in notes[0]
    assert not witness.exists()


def test_a_python_that_does_not_answer_counts_by_name_and_language(
    get: Callable[..., tuple[Kernel, list[str]]], tmp_path: Path
) -> None:
    """The sentence has the reason, and nothing of the question."""
    (tmp_path / "python3").symlink_to("/bin/false")
    kernel, notes = get([str(tmp_path / "python3"), *IPYKERNEL])
    assert (kernel.identity, kernel.interpreter) == ("odd python", None)
    assert notes[0].startswith(
        f"kernel `odd`: the Python interpreter {tmp_path}/python3 does not answer: exit code 1; neither"
    )
    assert "\n" not in notes[0]


def test_python_is_another_name_of_the_native_kernel(get: Callable[..., tuple[Kernel, list[str]]]) -> None:
    """As everywhere in Jupyter; a result of one is a result of the other."""
    assert get(["python", *IPYKERNEL], "python")[0] == get(["python", *IPYKERNEL], "python3")[0]


@pytest.mark.parametrize("argv", [[], None, [1], {"0": "python"}])
def test_a_kernelspec_without_a_program_is_named(
    get: Callable[..., tuple[Kernel, list[str]]], tmp_path: Path, argv: object
) -> None:
    """Whatever its `argv` is instead."""
    problem = get(argv)[0].problem
    assert problem is not None
    assert problem.what.startswith("the kernelspec of `odd` cannot be used: ")
    assert problem.facts == (("its file", str(tmp_path / "kernels/odd/kernel.json")),)


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b"\xff", b"", b'{"argv": ["x"], "env": 3}', b'{"resource_dir": 1}']
)
def test_a_damaged_kernelspec_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    """No error of a parser gets through."""
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    file = tmp_path / "kernels" / "Odd" / "kernel.json"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    memo = IdentityMemo(str(tmp_path / "memo"))
    problem = kernels_of(memo).get("odd").problem
    memo.close()
    assert problem is not None
    assert problem.what.startswith("the kernelspec of `odd` cannot be used: ")
    assert (problem.facts, "\n" in problem.what) == ((("its file", str(file)),), False)


@pytest.mark.parametrize("language", ["python", "R"])
@pytest.mark.parametrize("program", ["/gone/bin/program", "no-such-program"])
def test_a_program_that_is_not_there_is_named(
    get: Callable[..., tuple[Kernel, list[str]]], language: str, program: str
) -> None:
    """In any language, by its path or by its name; the `PATH` of a kernelspec may have it."""
    problem = get([program, "{connection_file}"], language=language)[0].problem
    assert problem is not None
    assert problem.what == f"the kernel `odd` starts `{program}`, which is not there"
    found_by_its_start = get([program, "{connection_file}"], language=language, env={"PATH": "/gone"})[0].problem
    assert (found_by_its_start is None) == (program == "no-such-program")


def test_folders_that_no_kernel_name_can_mean_are_passed_over(
    get: Callable[..., tuple[Kernel, list[str]]], tmp_path: Path
) -> None:
    """Jupyter's warning about each of them would name our source."""
    strange = tmp_path / "kernels" / "my kernel"
    strange.mkdir()
    (strange / "kernel.json").write_text("{}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        problem = get(["python", *IPYKERNEL], "nope")[0].problem
        strange_problem = get(["python", *IPYKERNEL], "my kernel")[0].problem
    assert problem is not None
    assert strange_problem is not None
    assert "my kernel" not in problem.facts[0][1]
    assert strange_problem.what == "there is no kernel `my kernel`"


def test_every_variable_that_jupyter_reads_in_its_search_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the no-op check sees a change of one that may decide which kernelspec a name means."""
    KernelSpecManager().get_kernel_spec("python3")  # what modules read when they are imported decides nothing
    read: set[str] = set()
    environ = type(os.environ)
    item = environ.__getitem__

    def noting(self: os._Environ[str], name: str) -> str:
        read.add(name)
        return item(self, name)

    memo = IdentityMemo(str(tmp_path / "memo"))
    variables = Variables(dict(os.environ))
    kernels = Kernels(variables, memo, Interpreters(memo, variables))
    monkeypatch.setattr(environ, "__getitem__", noting)
    kernels.get("python3")
    monkeypatch.undo()
    memo.close()
    assert "JUPYTER_PATH" in read
    assert read - variables.noted().keys() == set()


def test_the_path_is_noted_where_a_program_is_searched_for(
    get: Callable[..., tuple[Kernel, list[str]]], tmp_path: Path
) -> None:
    """Another path may lead to another program; where nothing is searched for it decides nothing."""
    memo = IdentityMemo(str(tmp_path / "noted"))
    found: list[bool] = []
    for program in ("some-program", sys.executable):
        get([program, *IPYKERNEL])
        kernels = kernels_of(memo)
        kernels.get("odd")
        found.append("PATH" in kernels.variables.noted())
    memo.close()
    assert found == [True, False]
