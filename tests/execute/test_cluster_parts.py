"""Parts of a build on a cluster that need none: room on nodes, their caches, attempts without a workspace."""

from __future__ import annotations

import os
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from nbmake_dag.config.expansion import expand
from nbmake_dag.config.pipeline_file import parse
from nbmake_dag.core.graph import Graph, build_graph
from nbmake_dag.engine.dispatch.resources import refuse_what_no_node_fits
from nbmake_dag.errors import ConfigError
from nbmake_dag.execute.attempt import run_attempt
from nbmake_dag.execute.processes.cancellation import Cancellation
from nbmake_dag.execute.protocol import AttemptSpec, CommandWork, Node, SeenFile, Upstream
from nbmake_dag.execute.ray import node_cache
from nbmake_dag.execute.ray.blobs import PIECE, Courier, Post
from nbmake_dag.execute.ray.node import Host, LinesHere
from nbmake_dag.execute.ray.node_cache import NodeCache
from nbmake_dag_cache.blobs import BlobDamagedError, BlobStore
from nbmake_dag_cache.depot import Depot
from nbmake_dag_cache.layout import files_below
from nbmake_dag_cache.remote import Remote
from tests.support.attempts import left, write_lines
from tests.support.project import await_end


def graph(text: str) -> Graph:
    return build_graph(expand(parse(text.encode(), file="pipeline.toml"), {}, {}))


NODES = (
    Node(name="10.0.0.1", resources={"CPU": 4.0, "memory": 8e9}, labels={"disk": "fast"}),
    Node(name="10.0.0.2", resources={"CPU": 16.0, "GPU": 1.0, "memory": 64e9}, labels={"ray.io/node-id": "x"}),
)


@pytest.mark.parametrize(
    ("resources", "fits"),
    [
        ("cpus = 16", "fits"),
        ("cpus = 17", "never"),
        ('memory = "9GB"', "fits"),
        ('cpus = 8, node = { disk = "fast" }', "never"),
        ('node = { disk = "fast" }', "fits"),
        ('node = { disk = "!fast" }', "fits"),
        ("custom = { tape = 1 }", "never"),
        ("gpus = 1", "fits"),
        ("gpus = 2", "never"),
    ],
)
def test_a_task_must_fit_one_node_of_the_cluster(resources: str, fits: str) -> None:
    """One that never does is refused with what each node has; what two nodes have together does not count."""
    pipeline = graph(f'[tasks.a]\ncommand = "true"\nresources = {{ {resources} }}\n')
    if fits == "fits":
        refuse_what_no_node_fits(pipeline.tasks.values(), NODES)
        return
    with pytest.raises(ConfigError) as error:
        refuse_what_no_node_fits(pipeline.tasks.values(), NODES)
    assert str(error.value) == (
        "pipeline.toml:3: task `a` fits no node of the cluster\n"
        "  hint: 10.0.0.1 has CPU 4, memory 8e+09, disk=fast; 10.0.0.2 has CPU 16, GPU 1, memory 6.4e+10"
    )


def test_an_attempt_without_a_workspace_runs_from_blobs_and_leaves_blobs(project, tmp_path: Path) -> None:
    """It finds what it may see, executable where it was; the workspace's place on this machine is not touched."""
    here = BlobStore(str(tmp_path / "node"))
    script = here.put_bytes(b"#!/bin/sh\ncat data/in.txt > out.txt; pwd\n")
    text = here.put_bytes(b"hello")
    spec = project.spec(
        CommandWork(arguments=("./run.sh",)),
        declared_outputs=("out.txt",),
        blobs=str(tmp_path / "node"),
        sandbox=str(tmp_path / "sandboxes"),
        apart=True,
        sees=(
            SeenFile(path="run.sh", blob=script.sha256, size=script.size, executable=True),
            SeenFile(path="data/in.txt", blob=text.sha256, size=text.size),
        ),
    )
    result = run_attempt(spec, lambda _: None, Cancellation())
    assert (result.outcome, result.apart) == ("succeeded", True)
    ((output,),) = (each.files for each in result.outputs)
    assert here.read(output.sha256, 100) == b"hello"
    assert list(project.root.iterdir()) == []
    assert result.log is not None
    assert str(tmp_path / "sandboxes") in here.read(result.log, 1000).decode()
    assert list((tmp_path / "sandboxes").iterdir()) == []


def test_an_attempt_ends_with_the_task_of_ray_that_has_it_run(project, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when Ray cannot be asked any more: the driver takes it for lost, and has it run elsewhere."""
    pid = project.root / "pid"

    def grace(spec: AttemptSpec) -> float | None:
        if pid.exists() and pid.read_text():
            raise RuntimeError("no answer")
        return None

    monkeypatch.setattr("nbmake_dag.execute.ray.node.cancel_grace", grace)
    host = Host()
    spec = project.spec(CommandWork(arguments="echo $$ > pid; exec sleep 600"), runtime=host.runtime)
    with pytest.raises(RuntimeError, match="no answer"):
        list(host.run(spec))
    await_end(int(pid.read_text()))


def test_an_attempt_whose_files_were_damaged_is_lost_without_a_traceback(project, tmp_path: Path) -> None:
    """It is repeated, and then finds them fetched anew."""
    here = BlobStore(str(tmp_path / "node"))
    text = here.put_bytes(b"hello")
    os.chmod(here.path(text.sha256), 0o644)
    Path(here.path(text.sha256)).write_bytes(b"HELLO")
    spec = project.spec(
        CommandWork(arguments=("true",)),
        blobs=str(tmp_path / "node"),
        sandbox=str(tmp_path / "sandboxes"),
        apart=True,
        sees=(SeenFile(path="in.txt", blob=text.sha256, size=text.size),),
    )
    result = run_attempt(spec, lambda _: None, Cancellation())
    assert result.failure is not None
    said = f"blob {text.sha256} was damaged, and has been removed"
    assert (result.outcome, result.failure.message, result.failure.traceback) == ("lost", said, "")
    assert not here.has(text.sha256)


def test_a_node_fetches_from_the_shared_cache_what_that_has(tmp_path: Path) -> None:
    """The driver is asked for the rest, for what is damaged there, and for all where it cannot be reached."""
    driver = BlobStore(str(tmp_path / "driver"))
    shared, damaged, alone = [driver.put_bytes(text) for text in (b"shared", b"damaged", b"alone")]
    depot = Depot(Remote(str(tmp_path / "remote")), ("main", "local"))
    depot.send("local", shared.sha256, driver)
    depot.send("main", damaged.sha256, driver)
    (tmp_path / "remote/main/blobs" / damaged.sha256[:2] / damaged.sha256).write_bytes(b"DAMAGED")
    post = AskedPost(driver)
    courier = Courier(post, BlobStore(str(tmp_path / "node")), str(tmp_path / "locks"), depot)
    courier.fetch((blob.sha256, blob.size) for blob in (shared, damaged, alone))
    assert post.asked == [damaged.sha256, alone.sha256]
    assert (courier.fetched, courier.shared) == (6 + 7 + 5, 6)
    assert courier.store.read(damaged.sha256, 100) == b"damaged"
    (tmp_path / "no-folder").touch()
    unreachable = Depot(Remote(str(tmp_path / "no-folder/remote")), ("main",))
    other = Courier(post, BlobStore(str(tmp_path / "other")), str(tmp_path / "locks"), unreachable)
    other.fetch([(shared.sha256, shared.size)])
    assert post.asked[2:] == [shared.sha256]
    assert (other.fetched, other.shared) == (6, 0)


def test_a_damaged_blob_of_a_node_or_the_driver_counts_as_missing(tmp_path: Path) -> None:
    """Its size does not show it, and whoever needs the bytes on the node cannot fetch them any more."""
    driver, node = BlobStore(str(tmp_path / "driver")), BlobStore(str(tmp_path / "node"))
    blob = driver.put_bytes(b"sound")
    node.put_bytes(b"sound")
    assert Post(str(tmp_path / "driver")).lacks([blob.sha256]) == []
    for store in (driver, node):
        os.chmod(store.path(blob.sha256), 0o644)
        Path(store.path(blob.sha256)).write_bytes(b"SOUND")
    assert Post(str(tmp_path / "driver")).lacks([blob.sha256]) == [blob.sha256]
    assert driver.put_bytes(b"sound") == blob
    Courier(AskedPost(driver), node, str(tmp_path / "locks")).fetch([(blob.sha256, blob.size)])
    assert node.read(blob.sha256, 10) == b"sound"


class AskedPost:
    """The driver's end without a Ray; it notes which blobs were asked for."""

    def __init__(self, store: BlobStore) -> None:
        self.store = store
        self.asked: list[str] = []
        self.piece = self

    def remote(self, sha256: str, offset: int) -> SimpleNamespace:
        self.asked.append(sha256)
        answer = Future[bytes]()
        answer.set_result(self.store.piece(sha256, offset, PIECE))
        return SimpleNamespace(future=lambda: answer)


def test_what_tasks_left_travels_once_to_a_node(tmp_path: Path) -> None:
    """Of a file that grows a node gets what is new; artifacts are those of tasks above alone."""
    file, node = tmp_path / "upstream.jsonl", tmp_path / "node"
    node.mkdir()
    asked: list[int] = []

    def lines(path: str, offset: int, size: int) -> bytes:
        asked.append(offset)
        return Post(str(tmp_path)).lines(path, offset, size)

    here = LinesHere(str(node))
    assert here.fetch(Upstream(), lines) == Upstream()
    a, beside = left("a", artifacts={"a.txt": ("1", 10)}), left("beside", artifacts={"b.txt": ("2", 20)})
    first = write_lines(file, [a, beside])
    second = write_lines(file, [a, beside, left("c", above=first.above[:1], artifacts={"c.txt": ("3", 30)})])
    assert here.fetch(first, lines).file == str(node / "upstream.jsonl")
    found = here.fetch(replace(second, above=second.above[2:]), lines)
    assert dict(here.artifacts(found)) == {"1": 10, "3": 30}
    assert here.fetch(first, lines).size == first.size
    assert asked == [0, first.size]
    assert Path(found.file).read_bytes() == file.read_bytes()

    other = tmp_path / "other.jsonl"
    of_another = here.fetch(write_lines(other, [left("a", artifacts={"d.txt": ("4", 40)})]), lines)
    assert dict(here.artifacts(of_another)) == {"4": 40}
    assert [path.name for path in node.iterdir()] == ["other.jsonl"]
    with pytest.raises(OSError, match="no longer there"):
        here.fetch(replace(of_another, file=str(other), size=of_another.size + 1), lines)


def test_a_node_keeps_what_was_used_last(tmp_path: Path) -> None:
    """It is trimmed to a size, but not by what the next attempt needs."""
    cache = NodeCache(str(tmp_path))
    blobs = [cache.store.put_bytes(bytes([number]) * 1000) for number in range(5)]
    for age, blob in enumerate(blobs):
        path = next(tmp_path.glob(f"blobs/*/{blob.sha256}"))
        os.utime(path, (1e9 - age, 1e9 - age))
    cache.trim(2500, {blobs[4].sha256})
    assert [cache.store.has(blob.sha256) for blob in blobs] == [True, False, False, False, True]
    assert cache.store.renew(blobs[0].sha256, 1000)
    assert not cache.store.renew(blobs[0].sha256, 999)
    assert not cache.store.renew(blobs[1].sha256, 1000)


def test_a_node_keeps_what_another_attempt_has_just_fetched(tmp_path: Path) -> None:
    """However little may be kept: that attempt has yet to use it."""
    cache = NodeCache(str(tmp_path))
    blobs = [cache.store.put_bytes(bytes([number]) * 1000) for number in range(3)]
    os.utime(next(tmp_path.glob(f"blobs/*/{blobs[0].sha256}")), (1e9, 1e9))
    cache.trim(0, set())
    assert [cache.store.has(blob.sha256) for blob in blobs] == [False, True, True]


def test_two_attempts_may_trim_a_node_at_once(monkeypatch, tmp_path: Path) -> None:
    """What one has removed while the other looks is none of its business."""
    cache = NodeCache(str(tmp_path))
    for number in range(3):
        cache.store.put_bytes(bytes([number]) * 1000)
    for path in tmp_path.glob("blobs/*/*"):
        os.utime(path, (1e9, 1e9))

    def vanishing(folder: str) -> list[os.DirEntry[str]]:
        entries = list(files_below(folder))
        os.unlink(entries[0].path)
        return entries

    monkeypatch.setattr(node_cache, "files_below", vanishing)
    cache.trim(1500, set())
    assert len(list(tmp_path.glob("blobs/*/*"))) == 1


def test_a_blob_that_arrives_in_pieces_is_what_its_name_says(tmp_path: Path) -> None:
    """In any order; other bytes leave no blob, and nothing half written."""
    store = BlobStore(str(tmp_path / "cache"))
    name = BlobStore(str(tmp_path / "other")).put_bytes(b"0123456789").sha256
    with pytest.raises(BlobDamagedError), store.incoming(name) as file:
        file.write(b"012345678X")
    assert not store.has(name)
    with store.incoming(name) as file:
        os.pwrite(file.fileno(), b"56789", 5)
        os.pwrite(file.fileno(), b"01234", 0)
    assert store.piece(name, 3, 4) == b"3456"
    assert store.read(name, 10) == b"0123456789"
    assert list((tmp_path / "cache/tmp").iterdir()) == []
