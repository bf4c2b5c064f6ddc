"""What tasks left is written once, and found from any task below."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace
from msgspec.structs import replace as logged_with

from nbmake_dag.core.facts import Result
from nbmake_dag.core.graph import Graph
from nbmake_dag.core.lookup import Above
from nbmake_dag.core.model import TaskName
from nbmake_dag.engine.dispatch.left_lines import LeftLines
from nbmake_dag.execute.protocol import Upstream
from nbmake_dag.inside.upstream import left_above
from nbmake_dag_cache.record import Artifact
from tests.core.builders import chain, graph, result, task

NOTE = Artifact(sha256="abc", size=3, media_type="text/plain")


def _results(of: Graph) -> dict[TaskName, Result]:
    return {name: result(rank=float(of.positions[name])) for name in of.order}


def _read(upstream: Upstream, folder: Path) -> dict[str, dict[str, Any]]:
    start = folder / "upstream.json"
    start.write_bytes(msgspec.json.encode({"lines": upstream.file, "above": upstream.above, "blobs": "blobs"}))
    return left_above(str(start))


def test_what_is_above_is_given_in_pipeline_order(tmp_path: Path) -> None:
    """Also where a task further up is declared last; values and artifacts by name."""
    of = graph(task("end", after="b a"), task("a", after="first"), task("b"), task("first"), task("beside"))
    results = _results(of)
    results[TaskName("a")] = _with_more(results[TaskName("a")])
    left = LeftLines()
    found = _read(left.above(TaskName("end"), of, Above(TaskName("end"), of, results), str(tmp_path)), tmp_path)
    assert list(found) == ["a", "b", "first"]
    assert (found["a"]["params"], found["a"]["tags"]) == ({"lr": 2, "size": 1}, {"kind": "x"})
    assert found["a"]["artifacts"] == {"note": "blobs/ab/abc"}
    assert found["first"]["metrics"] == {"rank": 3.0}
    assert left.above(TaskName("beside"), of, {}, str(tmp_path)) == Upstream()


def _with_more(of: Result) -> Result:
    """Return what a task gives that logged a parameter over one of its own, a tag and an artifact."""
    logged = logged_with(of.logged, params={"lr": 2}, tags={"kind": "x"}, artifacts={"note": NOTE})
    return replace(of, logged=logged, parameters={"lr": 1, "size": 1})


def test_along_a_chain_each_task_adds_one_line(tmp_path: Path) -> None:
    """What an attempt is told does not grow with the tasks above it, and the last sees all of them."""
    of = chain(300)
    left, results = LeftLines(), _results(of)
    told = []
    for name in of.order:
        above = Above(name, of, {other: results[other] for other in of.upstream[name]})
        told.append(left.above(name, of, above, str(tmp_path)))
    assert {len(each.above) for each in told} == {0, 1}
    assert len(Path(told[-1].file).read_bytes().splitlines()) == 299
    assert list(_read(told[-1], tmp_path)) == list(of.order[:-1])


def test_tasks_that_become_known_begin_another_file(tmp_path: Path) -> None:
    """Tasks have other places then; who was told of the first file reads it still."""
    first, second = graph(task("a"), task("b", after="a")), graph(task("new"), task("a"), task("b", after="a"))
    left = LeftLines()
    one, other = (
        left.above(TaskName("b"), of, Above(TaskName("b"), of, _results(of)), str(tmp_path))
        for of in (first, second)
    )
    assert one.file != other.file
    positions = [json.loads(Path(each.file).read_bytes())["position"] for each in (one, other)]
    assert positions == [0, 1]


def test_builds_that_share_a_folder_share_no_file(tmp_path: Path) -> None:
    """As those of `watch` do: the second tells what tasks left in it, not in the first, and leaves nothing."""
    of, name = graph(task("a"), task("b", after="a")), TaskName("b")
    builds = [LeftLines(), LeftLines()]
    ranks = [
        _read(left.above(name, of, {TaskName("a"): result(rank=rank)}, str(tmp_path)), tmp_path)["a"]["metrics"]
        for rank, left in enumerate(builds)
    ]
    assert ranks == [{"rank": 0}, {"rank": 1}]
    for left in builds:
        left.remove()
    assert [each.name for each in tmp_path.iterdir()] == ["upstream.json"]
