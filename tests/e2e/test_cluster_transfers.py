"""What travels between the hosts of a cluster: nothing twice, nothing that is seen anyway, in little memory.

`pytest -m netns -n0 -s tests/e2e/test_cluster_transfers.py` prints what was measured.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path

import psutil
import pytest

from tests.e2e.on_hosts import OnHost, at_head, on_all
from tests.support.hosts import Hosts

pytestmark = [pytest.mark.slow, pytest.mark.manual, pytest.mark.netns, pytest.mark.timeout(3600)]

MNIST = Path(__file__).parents[2] / "examples" / "mnist-digits"
HALF = 250
LARGE = 5 << 30
"""Bytes of a file that travels to a node, and of one that travels back."""
MUCH = 400 << 20
AT_LEFT = 'resources = { node = { host = "left" } }'


def test_what_every_host_sees_does_not_travel(hosts: Hosts) -> None:
    """On a shared file system the tasks work in the repository itself, wherever they run."""
    project = on_all(hosts, MNIST)
    assert len(project.build("--ray-address=auto").having("ran")) == 10
    assert len(set(project.nodes().values())) > 1
    assert {(visit.fetched, visit.sent) for visit in project.visits()} == {(0, 0)}
    project.build("--ray-address=auto").ran()


def test_no_blob_travels_twice_to_one_node(hosts: Hosts) -> None:
    """Of 500 short tasks: half read a common file, each of the others what one of the first half made."""
    project = at_head(hosts)
    project.write("common.txt", "x" * 1_000_000)
    project.pipeline(
        f"""
        [tasks.first]
        command = "(echo {{n}}; cat common.txt) > first/{{n}}.txt"
        matrix = {{ n = {list(range(HALF))} }}
        inputs = ["common.txt"]
        outputs = ["first/{{n}}.txt"]

        [tasks.second]
        command = "wc -c first/{{n}}.txt > second/{{n}}.txt"
        matrix = {{ n = {list(range(HALF))} }}
        inputs = ["first/{{n}}.txt"]
        outputs = ["second/{{n}}.txt"]
        """
    )
    begun = time.monotonic()
    assert len(project.build("--ray-address=auto").having("ran")) == 2 * HALF
    seconds = time.monotonic() - begun
    report(project, seconds)
    at = {visit.task: visit.node for visit in project.visits()}
    head = hosts.hosts["head"].address
    for node in set(at.values()):
        fetched = sum(visit.fetched for visit in project.visits() if visit.node == node)
        wanted = sum(
            (project / f"first/{n}.txt").stat().st_size
            for n in range(HALF)
            if at[f"second[n={n}]"] == node != at[f"first[n={n}]"]
        )
        common = 1_000_000 if any(name.startswith("first") and at[name] == node for name in at) else 0
        assert fetched == (0 if node == head else wanted + common)


def report(project: OnHost, seconds: float) -> None:
    visits = project.visits()
    sys.stdout.write(f"\n{len(visits)} tasks in {seconds:.1f} s\n")
    for node in sorted({visit.node for visit in visits}):
        there = [visit for visit in visits if visit.node == node]
        took = statistics.median(visit.seconds for visit in there)
        fetched, sent = (sum(getattr(visit, name) for visit in there) / 1e6 for name in ("fetched", "sent"))
        what = f"{len(there)} tasks, {took:.3f} s each, {fetched:.1f} MB there, {sent:.1f} MB back"
        sys.stdout.write(f"{node}: {what}\n")


def test_large_files_travel_in_little_memory(hosts: Hosts) -> None:
    """Gigabytes to a node and others back grow no process of any host by more than a few hundred megabytes."""
    project = at_head(hosts)
    with (project / "large.bin").open("wb") as file:
        file.truncate(LARGE)
    project.pipeline(
        f"""
        [tasks.there]
        command = "stat -c %s large.bin > size.txt"
        inputs = ["large.bin"]
        outputs = ["size.txt"]
        {AT_LEFT}

        [tasks.back]
        command = "echo begun > back.bin; truncate -s {LARGE} back.bin"
        outputs = ["back.bin"]
        {AT_LEFT}
        """
    )
    with largest(hosts) as seen:
        begun = time.monotonic()
        project.build("--ray-address=auto").ran("back", "there")
    seconds, most = time.monotonic() - begun, max(seen) / 1e6
    sys.stdout.write(f"\n{2 * LARGE / 1e9:.1f} GB in {seconds:.0f} s; most private memory: {most:.0f} MB\n")
    assert project.read("size.txt") == f"{LARGE}\n"
    assert (project / "back.bin").stat().st_size == LARGE
    assert max(seen) < MUCH


@contextlib.contextmanager
def largest(hosts: Hosts) -> Generator[list[int]]:
    """Sample the private memory of the largest process of all hosts, and of what is started in them."""
    seen = [0]
    over = threading.Event()
    spaces = {Path(f"/proc/{host.pid}/ns/net").readlink() for host in hosts.hosts.values()}

    def sample() -> None:
        while not over.wait(0.2):
            for process in psutil.process_iter():
                with contextlib.suppress(OSError, psutil.Error):
                    if Path(f"/proc/{process.pid}/ns/net").readlink() in spaces:
                        memory = process.memory_info()
                        seen.append(memory.rss - memory.shared)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def test_what_the_shared_cache_has_comes_from_there(hosts: Hosts) -> None:
    """Where a node may read it; here it is a folder that all hosts see, and the repository is not."""
    project = at_head(hosts)
    remote = hosts.base / "shared-cache"
    text = f"""
        [cache]
        remote = "{remote.as_uri()}"
        remote_mode = "read-write"

        [tasks.make]
        command = "seq 1 100000 > made.txt"
        outputs = ["made.txt"]

        [tasks.use]
        command = "wc -l < made.txt > used.txt"
        inputs = ["made.txt"]
        outputs = ["used.txt"]
        {AT_LEFT}
    """
    project.pipeline(text)
    project.build("make").ran("make")
    project.build("--ray-address=auto").ran("use")
    size = (project / "made.txt").stat().st_size
    assert [(visit.fetched, visit.shared) for visit in project.visits()] == [(size, size)]
