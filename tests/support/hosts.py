"""Hosts on one machine: namespaces joined by a bridge, each with its own network, processes, files and home.

They share the software and nothing else: the tree of each is hidden from the others. Needs root and `ip`.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.support.project import await_true

RAY = [sys.executable, "-m", "ray.scripts.scripts"]
PORT = 6379
TRIES = 3
"""On a busy machine Ray gives up when a part of it takes more than 15 s to begin."""
_OWN = {"/tmp/ray": "ray", "/tmp/nbdag-0": "nbdag", "/dev/shm": "shm"}
"""What every host has for itself, and where that lies in its tree."""


def can_make_hosts() -> bool:
    """Say whether this user may make namespaces, and join them."""
    if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("nsenter") is None:
        return False
    script = "ip link add x type bridge && ip link add y type veth peer name z && mount -t tmpfs none /mnt"
    tried = subprocess.run(["unshare", "-nm", "sh", "-c", script], capture_output=True, check=False)
    return tried.returncode == 0


@dataclass
class Host:
    """One of them."""

    name: str
    address: str
    tree: Path
    process: subprocess.Popen[bytes]
    pid: int

    def command(self, arguments: list[str], cwd: Path | None = None) -> list[str]:
        where = [f"--wdns={cwd or self.tree}"]
        return ["nsenter", "-t", str(self.pid), "-n", "-m", "-p", "-u", *where, *arguments]

    def run(self, *arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(list(arguments)), env=env, capture_output=True, text=True, timeout=120, check=False
        )

    def kill(self) -> None:
        """Cut the power."""
        with contextlib.suppress(psutil.NoSuchProcess):
            psutil.Process(self.pid).kill()
        self.process.wait()


@dataclass
class Hosts:
    """A head and workers, and the switch between them."""

    base: Path
    token: str = field(default_factory=lambda: secrets.token_hex(32))
    hosts: dict[str, Host] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.switch = subprocess.Popen(["unshare", "--net", "--kill-child", "--fork", "sleep", "infinity"])
        await_true(lambda: psutil.Process(self.switch.pid).children(), 60, "no switch")
        self._at_switch("ip", "link", "add", "br0", "type", "bridge")
        self._at_switch("ip", "link", "set", "br0", "up")

    def add(self, name: str, *options: str) -> Host:
        """Start a host, and its Ray: the first is the head."""
        return self._start(name, len(self.hosts) + 1, *options)

    def replace(self, name: str) -> Host:
        """Throw a host away, and put a new one with its name and address in its place."""
        old = self.hosts[name]
        old.kill()
        # it goes by itself, some time after the last process of the host
        link = f"to-{name}"
        self._at_switch("sh", "-c", f"ip link del {link} 2>/dev/null || ! ip link show {link} 2>/dev/null")
        shutil.rmtree(old.tree)
        return self._start(name, list(self.hosts).index(name) + 1)

    def boot(self, name: str) -> Host:
        """Start a host without Ray."""
        self.hosts[name] = self._boot(name, len(self.hosts) + 1)
        return self.hosts[name]

    def _start(self, name: str, number: int, *options: str) -> Host:
        host = self._boot(name, number)
        self.hosts[name] = host
        return self.join(host, *options)

    def join(self, host: Host, *options: str) -> Host:
        """Start the Ray of a host."""
        head = next(iter(self.hosts.values()))
        where = ["--head", f"--port={PORT}"] if host is head else [f"--address={head.address}:{PORT}"]
        common = [f"--node-ip-address={host.address}", "--num-cpus=1", "--object-store-memory=100000000"]
        common.append(f"--labels=host={host.name}")
        lean = ["--include-dashboard=false"] if host is head else []
        said = ""
        for _ in range(TRIES):
            started = host.run(*RAY, "start", *where, *common, *lean, *options, env=self.environment(host))
            if started.returncode == 0:
                return host
            said = started.stdout + started.stderr
            host.run(*RAY, "stop", "--force", env=self.environment(host))
        raise AssertionError(said)

    def environment(self, host: Host) -> dict[str, str]:
        """Return what a user of a host has set, as the README says."""
        return {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(host.tree / "home"),
            "PYTHONPATH": str(host.tree / "site"),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.token,
            "RAY_USAGE_STATS_ENABLED": "0",
            "LANG": "C.UTF-8",
        }

    def cut_off(self, host: Host) -> None:
        """Pull the cable."""
        self._at_switch("ip", "link", "set", f"to-{host.name}", "down")

    def close(self) -> None:
        for host in self.hosts.values():
            host.kill()
        self.switch.kill()
        self.switch.wait()

    def _boot(self, name: str, number: int) -> Host:
        tree = self.base / name
        for folder in ("home", *_OWN.values()):
            (tree / folder).mkdir(parents=True)
        (tree / "nbdag").chmod(0o700)
        process = subprocess.Popen(
            [
                "unshare",
                "--net",
                "--mount",
                "--pid",
                "--uts",
                "--fork",
                "--kill-child",
                "--mount-proc",
                "sleep",
                "infinity",
            ]
        )
        await_true(lambda: psutil.Process(process.pid).children(), 60, f"{name} did not boot")
        (inner,) = psutil.Process(process.pid).children()
        address = f"10.77.0.{number}"
        host = Host(name, address, tree, process, inner.pid)
        self._at_switch(
            "ip", "link", "add", f"to-{name}", "type", "veth", "peer", "name", "eth0", "netns", str(inner.pid)
        )
        self._at_switch("ip", "link", "set", f"to-{name}", "master", "br0", "up")
        others = [self.base / other for other in ("head", "left", "right") if other != name]
        script = [
            "ip link set lo up",
            f"ip addr add {address}/24 dev eth0",
            "ip link set eth0 up",
            f"hostname {name}",
            *(f"mkdir -p {place} && mount --bind {tree / own} {place}" for place, own in _OWN.items()),
            *(f"mkdir -p {other} && mount -t tmpfs none {other}" for other in others),
        ]
        done = subprocess.run(
            ["nsenter", "-t", str(inner.pid), "-n", "-m", "-p", "-u", "sh", "-ec", "\n".join(script)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return host

    def _at_switch(self, *arguments: str) -> None:
        (inner,) = psutil.Process(self.switch.pid).children()
        subprocess.run(["nsenter", "-t", str(inner.pid), "-n", *arguments], check=True)
