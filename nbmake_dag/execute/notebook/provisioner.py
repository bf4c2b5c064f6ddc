"""A kernel provisioner that takes kernels from a zygote: forked where that is possible, else started by it."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import msgspec
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.provisioner_base import KernelProvisionerBase

from nbmake_dag.execute.processes.zygote_client import Exit, Process, Snapshot, Zygote, ZygoteError
from nbmake_dag.observe.kernels import python_options


class KernelStart(msgspec.Struct, frozen=True, kw_only=True):
    """How a kernel is started."""

    runtime: str
    """The short private directory for sockets, zygotes and connection files."""
    ipython_dir: str
    """For a profile of the kernel's own: neither a user's configuration reaches it, nor what others `%store`."""
    log: str = os.devnull
    """A file for what a kernel prints while no client is connected."""
    warm: bool = True
    """Fork where that is possible."""
    modules: tuple[str, ...] = ()
    """What a forked kernel finds imported."""
    python: str = ""
    """The Python whose ipykernel it is, whatever kernelspecs there are."""
    snapshot: str = ""
    """The socket of the snapshot to go on from, if any."""

    def zygote(self, interpreter: str, options: tuple[str, ...], env: dict[str, str], cwd: str) -> Zygote:
        return Zygote(
            runtime=self.runtime,
            interpreter=interpreter,
            options=options,
            env=env,
            cwd=cwd,
            modules=self.modules,
        )


class ZygoteProvisioner(KernelProvisionerBase):
    """Starts a kernel that is killed, with its process group, when this is cleaned up or gone."""

    start: KernelStart
    ended: asyncio.Future[Exit | None]
    """Done when the process has ended; ``None`` when the zygote was lost, and the process with it."""
    is_forked: bool = False
    _process: Process | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def has_process(self) -> bool:
        return self._process is not None

    async def poll(self) -> int | None:
        if not self.ended.done():
            return None
        end = self.ended.result()
        return end.exit_code if end else -signal.SIGKILL

    async def wait(self) -> int | None:
        await asyncio.wait({self.ended})
        return await self.poll()

    async def send_signal(self, signum: int) -> None:
        if self._process:
            self._process.signal(signum)

    async def kill(self, restart: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002  # as in the base class
        await self.send_signal(signal.SIGKILL)

    async def terminate(self, restart: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002  # as in the base class
        await self.send_signal(signal.SIGTERM)

    async def cleanup(self, restart: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002  # as in the base class
        if self._process:
            self.ended.cancel()
            self._process.close()
            self._process = None

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        manager: Any = self.parent
        manager.write_connection_file()
        self.connection_info = manager.get_connection_info()
        return await super().pre_launch(cmd=manager.format_kernel_cmd(), **kwargs)

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        env, cwd = kwargs["env"], kwargs["cwd"]
        outputs = os.open(self.start.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            options = python_options(self.kernel_spec.argv)
            if options is not None:
                cmd = [*cmd, *self._isolated()]
            if self.start.snapshot:
                self._process = await self._resume(cmd, env, outputs)
            elif options is not None and self.start.warm:
                self._process = await self._fork(cmd, options, env, cwd, outputs)
            self.is_forked = self._process is not None
            if self._process is None:
                self._process = await self._execute(cmd, env, cwd, outputs)
        finally:
            os.close(outputs)
        self.ended = asyncio.ensure_future(self._process.ended())
        return self.connection_info

    async def _resume(self, cmd: list[str], env: dict[str, str], outputs: int) -> Process:
        request = self._request(cmd, env)
        process = Snapshot(path=self.start.snapshot).request(request, outputs)
        await process.started()
        return process

    def _request(self, cmd: list[str], env: dict[str, str]) -> dict[str, Any]:
        manager: Any = self.parent
        return {
            "connection_file": manager.connection_file,
            "ipython_dir": self.start.ipython_dir,
            "command": cmd,
            "env": env,
        }

    async def _fork(
        self, cmd: list[str], options: tuple[str, ...], env: dict[str, str], cwd: str, outputs: int
    ) -> Process | None:
        """Fork a kernel; ``None`` where the interpreter has no zygote; an ordinary start may then report why."""
        request = {**self._request(cmd, env), "cwd": cwd}
        try:
            process = self.start.zygote(cmd[0], options, env, cwd).request(request, outputs)
            await process.started()
        except ZygoteError as error:
            self.log.debug("no zygote of %s: %s", cmd[0], error)
            return None
        return process

    async def _execute(self, cmd: list[str], env: dict[str, str], cwd: str, outputs: int) -> Process:
        process = Zygote.plain(self.start.runtime).request({"argv": cmd, "env": env, "cwd": cwd}, outputs)
        await process.started()
        return process

    def _isolated(self) -> list[str]:
        """Set up an ipykernel like a forked one; the directory must exist, or its profile cannot be made."""
        os.makedirs(self.start.ipython_dir, exist_ok=True)
        return [
            f"--ipython-dir={self.start.ipython_dir}",
            "--HistoryManager.hist_file=:memory:",
            "--IPKernelApp.exec_PYTHONSTARTUP=False",
            "--IPKernelApp.parent_handle=1",
        ]
