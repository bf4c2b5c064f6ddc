"""The zygote: what it starts, how it hears of ends, and when it ends itself."""

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
import tempfile

import psutil
import pytest

from nbmake_dag.execute.processes.zygote_client import Exit, Zygote, ZygoteError, tail
from tests.support.limits import python_without_fork
from tests.support.project import await_end


@pytest.fixture
def runtime():
    """Make a short private directory; its zygotes end with it."""
    path = tempfile.mkdtemp(prefix="r", dir="/tmp")
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def outputs(runtime):
    """Open the file that becomes standard output and error."""
    descriptor = os.open(f"{runtime}/out", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    yield descriptor
    os.close(descriptor)


def zygote_of(pid):
    """Name the process that started another."""
    return psutil.Process(pid).ppid()


async def start(zygote, outputs, *argv, env=None, cwd="/"):
    """Start a program, and wait until it runs."""
    request = {"argv": argv, "env": os.environ if env is None else env, "cwd": cwd}
    process = zygote.request({**request, "env": dict(request["env"])}, outputs)
    await process.started()
    return process


async def end_of(process):
    """Wait for an end, and let go."""
    try:
        return await process.ended()
    finally:
        process.close()


def test_a_program_has_its_environment_directory_and_outputs(runtime, outputs):
    """Nothing comes from the zygote but the process itself; its exit code is reported."""

    async def run():
        script = "echo $X; pwd; echo err >&2; cut -d' ' -f6 /proc/self/stat; exit 3"
        process = await start(Zygote.plain(runtime), outputs, "/bin/sh", "-c", script, env={"X": "1"}, cwd="/usr")
        return process.pid, await end_of(process)

    pid, end = asyncio.run(run())
    assert (end.exit_code, end.cpu_s < 5, end.peak_rss > 1 << 18) == (3, True, True)
    assert tail(f"{runtime}/out") == f"1\n/usr\nerr\n{pid}"


@pytest.mark.timing
def test_signals_reach_the_whole_group(runtime, outputs):
    """An end by a signal is reported as such, and children of the same group have it too."""

    async def run():
        process = await start(Zygote.plain(runtime), outputs, "sh", "-c", "sleep 1000 & echo $!; wait")
        while not (child := tail(f"{runtime}/out")):  # noqa: ASYNC110  # a file tells nobody
            await asyncio.sleep(0.01)
        process.signal(signal.SIGTERM)
        return int(child), await end_of(process)

    child, end = asyncio.run(run())
    assert end.exit_code == -signal.SIGTERM
    await_end(child)


@pytest.mark.timing
def test_what_a_program_leaves_in_its_group_is_killed(runtime, outputs):
    """A background process does not outlive the one that was asked for."""

    async def run():
        return await end_of(await start(Zygote.plain(runtime), outputs, "sh", "-c", "sleep 1000 & echo $!"))

    assert asyncio.run(run()).exit_code == 0
    await_end(int(tail(f"{runtime}/out")))


@pytest.mark.timing
def test_letting_go_kills(runtime, outputs):
    """A client that is gone, for whatever reason, leaves nothing running."""

    async def run():
        process = await start(Zygote.plain(runtime), outputs, "sleep", "1000")
        process.close()
        return process.pid

    await_end(asyncio.run(run()))


def test_a_program_that_does_not_exist_says_so(runtime, outputs):
    """Its end is that of a shell."""

    async def run():
        return await end_of(await start(Zygote.plain(runtime), outputs, "/none"))

    assert asyncio.run(run()).exit_code == 127
    assert tail(f"{runtime}/out") == "/none: No such file or directory"


def test_a_folder_that_does_not_exist_is_named(runtime, outputs):
    """In a sentence, as the program's only output."""

    async def run():
        return await end_of(await start(Zygote.plain(runtime), outputs, "true", cwd="/no/such"))

    assert asyncio.run(run()).exit_code == 127
    assert tail(f"{runtime}/out") == "it cannot run in /no/such: No such file or directory"


@pytest.mark.fault
@pytest.mark.parametrize("how", ["asked", "directory", "killed"])
def test_processes_end_with_their_zygote(runtime, outputs, how):
    """Told to end, without its directory, or killed: nothing of it stays, and its clients hear of it."""

    async def run():
        zygote = Zygote.plain(runtime)
        process = await start(zygote, outputs, "sleep", "1000")
        parent = zygote_of(process.pid)
        if how == "asked":
            zygote.end()
        elif how == "directory":
            shutil.rmtree(runtime)
        else:
            os.kill(parent, signal.SIGKILL)
        assert await end_of(process) is None
        return parent, process.pid

    for pid in asyncio.run(run()):
        await_end(pid)


def test_a_zygote_is_started_once_and_again_when_it_is_gone(runtime, outputs):
    """Clients share it; the socket of a dead one is not in the way."""

    async def run():
        first = await start(Zygote.plain(runtime), outputs, "sleep", "1000")
        second = await start(Zygote.plain(runtime), outputs, "sleep", "1000")
        parents = [zygote_of(each.pid) for each in (first, second)]
        os.kill(parents[0], signal.SIGKILL)
        for each in (first, second):
            await end_of(each)
        third = await start(Zygote.plain(runtime), outputs, "true")
        return parents, await end_of(third)

    parents, end = asyncio.run(run())
    assert parents[0] == parents[1]
    assert isinstance(end, Exit)


def test_an_interpreter_without_ipykernel_has_no_zygote(runtime, outputs, tmp_path):
    """The reason is what it wrote, and nobody waits for it twice."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    python.chmod(0o700)
    zygote = Zygote(runtime=runtime, interpreter=str(python), env={})

    async def run():
        process = zygote.request({"connection_file": "", "ipython_dir": "", "env": {}, "cwd": "/"}, outputs)
        await process.started()

    with pytest.raises(ZygoteError, match="No module named 'ipykernel'"):
        asyncio.run(run())
    with pytest.raises(ZygoteError, match="No module named 'ipykernel'"):
        zygote.start()


def test_a_client_that_says_nothing_is_left(runtime, outputs):
    """A connection without a request does not disturb others."""

    async def run():
        zygote = Zygote.plain(runtime)
        zygote.start()
        with socket.socket(socket.AF_UNIX) as silent:
            silent.connect(next(f"{runtime}/{name}" for name in os.listdir(runtime) if len(name) == 14))
            silent.sendall(b"\0")
        return await end_of(await start(zygote, outputs, "true"))

    assert asyncio.run(run()).exit_code == 0


@pytest.mark.parametrize("number", [1, 2], ids=["of the zygote itself", "of what was asked for"])
def test_a_fork_that_the_machine_refuses_concerns_one_client(runtime, outputs, tmp_path, number):
    """The reason is the system's, and the next client is served."""
    zygote = Zygote(
        runtime=runtime, interpreter=python_without_fork(tmp_path, number), options=("-I",), env={}, kernels=False
    )

    async def run():
        with pytest.raises(ZygoteError, match="Resource temporarily unavailable"):
            await start(zygote, outputs, "true")
        return await end_of(await start(zygote, outputs, "true"))

    assert asyncio.run(run()).exit_code == 0


def test_a_request_whose_descriptor_did_not_come_is_refused(runtime, outputs):
    """As happens where the system has none free; the next client is served."""
    zygote = Zygote.plain(runtime)
    zygote.start()
    body = json.dumps({"argv": ["true"], "env": {}, "cwd": "/"}).encode()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(zygote.path)
        client.sendall(len(body).to_bytes(4, "big") + body)
        assert json.loads(client.recv(1000)) == {"refused": "Too many open files"}

    async def run():
        return await end_of(await start(zygote, outputs, "true"))

    assert asyncio.run(run()).exit_code == 0


def test_variables_of_one_task_do_not_make_another_zygote(runtime):
    """What Python reads when it starts does; with preloaded modules, everything does."""
    plain, preloaded = (
        [
            Zygote(runtime=runtime, interpreter="python", env=env, modules=modules).path
            for env in ({}, {"NBDAG_TASK": "1", "TRACEPARENT": "2"}, {"X": "1"}, {"PYTHONHASHSEED": "0"})
        ]
        for modules in ((), ("numpy",))
    )
    assert [path == plain[0] for path in plain] == [True, True, True, False]
    assert [path == preloaded[0] for path in preloaded] == [True, True, False, False]
