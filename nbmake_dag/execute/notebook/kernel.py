"""A running kernel, from its start to its end: ready without fixed waits, ended by a request, and checked."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar, cast

import zmq
import zmq.asyncio
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager, NoSuchKernel
from jupyter_client.manager import AsyncKernelManager

from nbmake_dag.execute.notebook.provisioner import KernelStart, ZygoteProvisioner
from nbmake_dag.execute.processes.zygote_client import Exit, tail
from nbmake_dag.observe.kernels import IPYKERNEL, kernelspecs

READY_TIMEOUT = 60.0
"""Seconds from the start of a kernel until it answers."""
CLOSE_TIMEOUT = 10.0
"""Seconds for a kernel that was killed to be gone."""
_END_IPYKERNEL = """
(lambda loop: loop.add_callback(loop.stop))(__import__("IPython").get_ipython().kernel.io_loop)
"""
"""What a request for shutdown does in the end.

The request itself makes ipykernel 7.4 hang now and then: the thread that answers it flushes its output, for
10 s, to a thread that has stopped.
"""
_LINGER = 1.0
"""Seconds for a kernel to end after it has announced its end."""
_ASK_AGAIN = 0.1
"""Seconds after a reply in which its status must have arrived by the other socket."""
_RECONNECT = 5
"""Milliseconds between attempts to connect to a kernel that does not listen yet."""
_PYTHON = """\
"%s %d.%d" % (__import__("platform").python_implementation().lower(), *__import__("sys").version_info[:2])
"""

Result = TypeVar("Result")


class KernelError(Exception):
    """A kernel that cannot be used: it does not exist, did not start, or has died. ``type`` is a `Failure`'s."""

    def __init__(self, message: str, type: str = "exit") -> None:  # noqa: A002  # the field's name
        super().__init__(message, type)
        self.message = message
        self.type = type

    def __str__(self) -> str:
        return self.message


class _OneKernel(KernelSpecManager):
    """Knows the ipykernel of one Python, under any name."""

    def __init__(self, python: str) -> None:
        super().__init__()
        self._argv = [python, *IPYKERNEL[1:]]

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        return KernelSpec(argv=self._argv, display_name=kernel_name, language="python")


class Kernel:
    """A kernel that belongs to this process."""

    def __init__(self, manager: AsyncKernelManager, provisioner: ZygoteProvisioner) -> None:
        self.manager = manager
        self.client: AsyncKernelClient = manager.client(context=manager.context)
        self.pid = provisioner.pid or 0
        self.info: dict[str, Any] = {}
        self._provisioner = provisioner
        self._killed_because = ""

    @classmethod
    async def launch(cls, name: str, start: KernelStart, *, env: dict[str, str], cwd: str) -> Kernel:
        """Start the process of a kernel; it is not ready yet."""
        identity = os.urandom(4).hex()
        context = zmq.asyncio.Context()
        context.setsockopt(zmq.RECONNECT_IVL, _RECONNECT)
        context.setsockopt(zmq.RCVHWM, 0)  # a message that is dropped would be an output that is lost
        context.setsockopt(zmq.LINGER, 0)
        manager = AsyncKernelManager(
            kernel_name=name,
            context=context,
            transport="ipc",
            ip=os.path.join(start.runtime, f"k{identity}"),
            connection_file=os.path.join(start.runtime, f"k{identity}.json"),
            **({"kernel_spec_manager": _OneKernel(start.python)} if start.python else {}),
        )
        try:
            provisioner = ZygoteProvisioner(kernel_id=identity, kernel_spec=manager.kernel_spec, parent=manager)
        except NoSuchKernel as error:
            context.term()
            known = ", ".join(sorted(kernelspecs(manager.kernel_spec_manager))) or "none"
            raise KernelError(f"there is no kernel {name!r}; known: {known}", "NoSuchKernel") from error
        provisioner.start = start
        manager.provisioner = provisioner
        await manager.start_kernel(env=env, cwd=cwd)
        return cls(manager, provisioner)

    @property
    def language(self) -> str:
        """In lower case, as its kernelspec has it."""
        return str(self._provisioner.kernel_spec.language).lower()

    @property
    def program(self) -> str:
        """The program that its kernelspec starts."""
        return str(self._provisioner.kernel_spec.argv[0])

    @property
    def is_forked(self) -> bool:
        """Whether it comes from a zygote, or from a snapshot."""
        return self._provisioner.is_forked

    @property
    def ended(self) -> asyncio.Future[Exit | None]:
        return self._provisioner.ended

    async def wait_ready(self) -> None:
        """Wait until it answers by both sockets; raises `KernelError`, at once when it dies."""
        self.client.start_channels(stdin=False, hb=False)
        # The first message is ipykernel's welcome to a subscriber, or the status of a request that came later.
        heard = asyncio.ensure_future(self.client.get_iopub_msg(timeout=None))
        try:
            async with asyncio.timeout(READY_TIMEOUT):
                while not heard.done():
                    reply = await self.unless_dead(self.client.kernel_info(reply=True))  # pyright: ignore[reportCallIssue]  # by a decorator
                    self.info = reply["content"]
                    await asyncio.wait({heard}, timeout=_ASK_AGAIN)
        except TimeoutError:
            raise KernelError(self._explained(f"the kernel was not ready within {READY_TIMEOUT:.0f} s")) from None
        finally:
            heard.cancel()

    async def run(self, code: str) -> None:
        """Execute something that is not part of the notebook."""
        request = self.client.execute(code, silent=True, store_history=False, reply=True)  # pyright: ignore[reportCallIssue]
        reply = await self.unless_dead(request)
        if reply["content"]["status"] != "ok":
            raise KernelError(f"{reply['content']['ename']}: {reply['content']['evalue']}")

    async def python(self) -> str:
        """Ask its Python for implementation and minor version; empty where it does not answer such questions."""
        request = self.client.execute("", silent=True, user_expressions={"python": _PYTHON}, reply=True)  # pyright: ignore[reportCallIssue]
        reply = await self.unless_dead(request)
        answer = reply["content"].get("user_expressions", {}).get("python", {})
        return str(answer.get("data", {}).get("text/plain", "")).strip("'\"")

    async def unless_dead(self, waiting: Coroutine[Any, Any, Result]) -> Result:
        """Wait for something that a kernel does; raises `KernelError` when it dies before."""
        task = asyncio.ensure_future(waiting)
        try:
            either: set[asyncio.Future[Any]] = {task, self.ended}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise KernelError(self._explained(self.how_it_ended()))
        finally:
            task.cancel()

    @property
    def exit_code(self) -> int | None:
        end = self.ended.result()
        return end.exit_code if end else None

    def how_it_ended(self) -> str:
        """Return why it is dead."""
        if self._killed_because:
            return self._killed_because
        end = self.ended.result()
        if end is None:
            return "the kernel was lost with the process that had started it"
        if end.exit_code == -signal.SIGKILL:
            return f"the kernel was killed by signal 9 (out of memory?); it had used {end.peak_rss >> 20} MiB"
        if end.exit_code < 0:
            return f"the kernel was killed by signal {-end.exit_code} ({signal.Signals(-end.exit_code).name})"
        return f"the kernel ended with exit code {end.exit_code}"

    @property
    def has_control_thread(self) -> bool:
        """Whether it is known to answer control messages while a cell runs."""
        return self.info.get("implementation") == "ipython"

    async def beat(self) -> None:
        """Wait for an answer to one heartbeat."""
        with _asynchronous(self.manager.connect_hb()) as socket:
            await socket.send(b"ping")
            await socket.recv()

    async def ask_control(self) -> None:
        """Wait for an answer on the control channel."""
        with _asynchronous(self.manager.connect_control()) as socket:
            self.client.session.send(socket, "kernel_info_request", {})
            await socket.recv_multipart()

    async def interrupt(self) -> None:
        if not self.ended.done():
            await self.manager.interrupt_kernel()

    async def kill(self, because: str = "") -> None:
        """Kill its process group; ``because`` is then the reported reason."""
        self._killed_because = self._killed_because or because
        await self._provisioner.kill()

    async def shut_down(self, within: float) -> str | None:
        """Ask it to end, so that what it registered for its exit runs; return what went wrong, if anything.

        A kernel of another implementation has done its part when it answers: some linger, or crash as they end.
        """
        answered = False
        if not self.ended.done() and self.info.get("implementation") == "ipython":
            self.client.execute(_END_IPYKERNEL, silent=True, store_history=False)
            await asyncio.wait({self.ended}, timeout=within)
        elif not self.ended.done():
            answer = asyncio.ensure_future(self.client.shutdown(reply=True))  # pyright: ignore[reportCallIssue]  # by a decorator
            await asyncio.wait({answer, self.ended}, timeout=within, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({self.ended}, timeout=_LINGER)
            # its end may be noticed before its last words
            await asyncio.wait({answer}, timeout=_LINGER)
            answered = answer.done()
            answer.cancel()
        if answered:
            return None
        if self.ended.done():
            return None if self.exit_code == 0 else f"{self.how_it_ended()} after its last cell"
        return (
            f"the kernel had not ended {within:g} s after its last cell, and was killed: "
            "a thread or an exit handler of the notebook still ran; `[kernel] shutdown_timeout` gives it more time"
        )

    async def close(self) -> Exit | None:
        """Leave nothing of it: no process, no socket, no file."""
        await self.kill()
        await asyncio.wait({self.ended}, timeout=CLOSE_TIMEOUT)
        end = self.ended.result() if self.ended.done() else None
        self.client.stop_channels()
        await self.manager.cleanup_resources()
        self.manager.context.term()
        return end

    def _explained(self, message: str) -> str:
        printed = tail(self._provisioner.start.log)
        return f"{message}\n{printed}" if printed else message


def _asynchronous(socket: zmq.Socket[bytes]) -> zmq.asyncio.Socket:
    """Return a socket as what it is: it comes from an asynchronous context, which jupyter_client's types hide."""
    return cast("zmq.asyncio.Socket", socket)
