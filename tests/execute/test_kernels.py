"""Kernels: ready when they are, dead when they are, and nothing left of them."""

import asyncio
import json
import os
import shutil
import sys
import tempfile

import pytest
from msgspec.structs import replace

from nbmake_dag.execute.notebook.kernel import Kernel, KernelError
from nbmake_dag.execute.notebook.provisioner import KernelStart


@pytest.fixture
def start():
    """Make a short private directory for kernels; zygotes end with it."""
    path = tempfile.mkdtemp(prefix="r", dir="/tmp")
    yield KernelStart(runtime=path, ipython_dir=f"{path}/ipython", log=f"{path}/kernel.log")
    shutil.rmtree(path)


def with_kernelspec(tmp_path, monkeypatch, **spec):
    """Install a kernelspec named ``odd``."""
    folder = tmp_path / "kernels" / "odd"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps({"display_name": "Odd", "language": "python"} | spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))


async def started(name, start):
    """Start a kernel and wait until it is ready."""
    kernel = await Kernel.launch(name, start, env=dict(os.environ), cwd="/")
    try:
        await kernel.wait_ready()
    except KernelError:
        await kernel.close()
        raise
    return kernel


@pytest.mark.parametrize("warm", [True, False])
def test_a_kernel_leaves_nothing(start, warm):
    """From its start to its end: it answers, ends cleanly, and its sockets and files are gone."""
    start = replace(start, warm=warm)

    async def run():
        kernel = await started("python3", start)
        assert kernel.info["language_info"]["name"] == "python"
        await kernel.run("x = 1")
        assert await kernel.shut_down(30) is None
        return await kernel.close()

    end = asyncio.run(run())
    assert end is not None
    assert end.exit_code == 0
    assert [name for name in os.listdir(start.runtime) if name.startswith("k") and name != "kernel.log"] == []


def test_a_kernel_that_dies_while_it_starts_says_why(start, tmp_path, monkeypatch):
    """It is not waited for, and what it wrote is in the error."""
    with_kernelspec(tmp_path, monkeypatch, argv=["sh", "-c", "echo no licence >&2; exit 4", "{connection_file}"])
    with pytest.raises(KernelError, match="the kernel ended with exit code 4\nno licence"):
        asyncio.run(started("odd", start))


def test_a_kernel_that_never_answers_is_given_up(start, tmp_path, monkeypatch):
    """The wait for it has an end."""
    with_kernelspec(tmp_path, monkeypatch, argv=["sleep", "1000"])
    monkeypatch.setattr("nbmake_dag.execute.notebook.kernel.READY_TIMEOUT", 0.5)
    with pytest.raises(KernelError, match="was not ready within"):
        asyncio.run(started("odd", start))


def test_the_environment_of_a_kernelspec_reaches_a_forked_kernel(start, tmp_path, monkeypatch):
    """Its variables are filled in and set."""
    argv = [sys.executable, "-Xfrozen_modules=off", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    with_kernelspec(tmp_path, monkeypatch, argv=argv, env={"ODD": "at ${HOME}"})

    async def run():
        kernel = await started("odd", start)
        try:
            await kernel.run("import os; assert os.environ['ODD'] == 'at ' + os.environ['HOME']")
        finally:
            await kernel.close()

    asyncio.run(run())


def test_a_thread_that_never_ends_is_no_clean_end(start):
    """The kernel is asked, waited for, and then reported; closing it kills it."""

    async def run():
        kernel = await started("python3", start)
        await kernel.run("import threading; threading.Thread(target=threading.Event().wait).start()")
        problem = await kernel.shut_down(1)
        return problem, await kernel.close()

    problem, end = asyncio.run(run())
    assert problem is not None
    assert end is not None
    assert problem.startswith("the kernel had not ended 1 s after its last cell, and was killed: a thread")
    assert end.exit_code == -9


def test_how_a_kernel_of_another_language_ends_is_its_own_business(start, tmp_path, monkeypatch):
    """It has answered that it ends; a crash after that loses nothing."""
    crashing = """
import os
from bash_kernel.kernel import BashKernel
from ipykernel.kernelapp import IPKernelApp
IPKernelApp.launch_instance(kernel_class=BashKernel)
IPKernelApp.instance().close()
os.abort()
"""
    argv = [sys.executable, "-c", crashing, "-f", "{connection_file}"]
    with_kernelspec(tmp_path, monkeypatch, argv=argv, language="bash")

    async def run():
        kernel = await started("odd", start)
        return await kernel.shut_down(30), await kernel.close()

    problem, end = asyncio.run(run())
    assert (problem, end and end.exit_code) == (None, -6)


@pytest.mark.parametrize(
    ("name", "expected"), [("python3", "cpython {}.{}".format(*sys.version_info)), ("odd", "")]
)
def test_a_kernel_tells_which_python_it_is(start, tmp_path, monkeypatch, name, expected):
    """One that evaluates no such questions tells nothing, and works on."""
    with_kernelspec(
        tmp_path,
        monkeypatch,
        argv=[sys.executable, "-m", "bash_kernel", "-f", "{connection_file}"],
        language="bash",
    )

    async def run():
        kernel = await started(name, start)
        try:
            return await kernel.python()
        finally:
            await kernel.close()

    assert asyncio.run(run()) == expected
