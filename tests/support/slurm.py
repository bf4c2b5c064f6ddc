"""A SLURM cluster of hosts on one machine: a controller, from where builds start, and nodes with `slurmd`."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.hosts import Host, Hosts, can_make_hosts
from tests.support.project import await_true

COMMANDS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "sinfo")
NODES = ("left", "right", "third")
_CONFIGURATION = """\
ClusterName=test
SlurmctldHost=head({controller})
SlurmUser=root
AuthType=auth/munge
AuthInfo=cred_expire=10
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=2,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
TaskProlog={folder}/begin
{nodes}
PartitionName=work Nodes=ALL Default=YES PriorityTier=1 MaxTime=600
PartitionName=urgent Nodes=ALL PriorityTier=10 PreemptMode=OFF
"""


def can_run_slurm() -> bool:
    path = os.environ["PATH"] + ":/usr/sbin"
    return can_make_hosts() and all(shutil.which(name, path=path) for name in COMMANDS)


class Slurm(Hosts):
    """The controller is the head, which is no node; each node has one processor."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.folder = self.base / "slurm"
        for name in ("state", *(f"spool-{node}" for node in NODES)):
            (self.folder / name).mkdir(parents=True)
        self.key = self.folder / "munge.key"
        self.key.write_bytes(secrets.token_bytes(64))
        self.key.chmod(0o400)
        for name in ("head", *NODES):
            self.boot(name)
        nodes = [f"NodeName={name} NodeAddr={self.hosts[name].address} CPUs=1" for name in NODES]
        text = _CONFIGURATION.format(
            controller=self.hosts["head"].address, folder=self.folder, nodes="\n".join(nodes)
        )
        (self.folder / "slurm.conf").write_text(text)
        # one machine cannot start three times Ray at once within the 15 s that Ray gives a part of it
        (self.folder / "begin").write_text("#!/bin/sh\nsleep $((SLURM_PROCID * 20))\n")
        (self.folder / "begin").chmod(0o755)
        for host in self.hosts.values():
            self._authenticate(host)
        self.daemon(self.hosts["head"], "slurmctld", "-D")
        for name in NODES:
            self.daemon(self.hosts[name], "slurmd", "-D", "-N", name)
        await_true(
            lambda: self.ask("sinfo", "-h", "-t", "idle", "-o", "%D") == str(len(NODES)), 60, "no idle nodes"
        )

    def environment(self, host: Host) -> dict[str, str]:
        """Return what a user of a login node has set: no token of Ray."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin"
        own = {"PATH": path, "SLURM_CONF": str(self.folder / "slurm.conf"), "LANG": "C.UTF-8"}
        return own | {"HOME": str(host.tree / "home"), "PYTHONPATH": str(host.tree / "site")}

    def daemon(self, host: Host, *argv: str) -> None:
        """Start a process that ends with its host."""
        with (self.folder / f"{host.name}-{argv[0]}.log").open("ab") as log:
            subprocess.Popen(
                host.command(list(argv)),
                env=self.environment(host),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def ask(self, *argv: str) -> str:
        """Run a command of SLURM at the head, and return what it prints."""
        done = self.hosts["head"].run(*argv, env=self.environment(self.hosts["head"]))
        return done.stdout.strip()

    def jobs(self) -> list[str]:
        """Return the jobs that wait or have nodes, each with its state."""
        return self.ask("squeue", "-h", "-o", "%i %T").splitlines()

    def _authenticate(self, host: Host) -> None:
        own = host.tree / "munge"
        own.mkdir(mode=0o755)
        script = f"mkdir -p /run/munge && mount --bind {own} /run/munge && munged --force --key-file={self.key}"
        files = f"--pid-file={own}/pid --log-file={own}/log --seed-file={own}/seed"
        done = host.run("sh", "-ec", f"{script} {files}", env=self.environment(host))
        assert done.returncode == 0, done.stderr
