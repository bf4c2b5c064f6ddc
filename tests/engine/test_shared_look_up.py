"""The shared cache of one build: what its threads leave to the loop, and that none of them waits for ever."""

from __future__ import annotations

import queue
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nbmake_dag.core.lookup import TaskKeys
from nbmake_dag.core.model import TaskName
from nbmake_dag.core.schedule import LookedUp, LookUp
from nbmake_dag.engine.shared_cache.client import ModulesAsked, Sharing
from nbmake_dag_cache.blobs import BlobStore
from nbmake_dag_cache.key import key_of
from nbmake_dag_cache.records import RecordStore
from nbmake_dag_cache.remote import Remote
from nbmake_dag_cache.shared import SharedCache, Zones
from tests.cache.sharing import KNOWN, OUTPUT, make_record
from tests.core.builders import graph, task

TASK = TaskName("train")


class Build:
    """A build without the result of a task, which is in the shared cache; ``heard`` is what its loop is told."""

    def __init__(self, folder: Path, before_modules: Callable[[], None] = lambda: None) -> None:
        (folder / "helper.py").touch()
        url, zones = str(folder / "shared"), Zones(reads=("main",), writes="main")
        theirs = BlobStore(str(folder / "theirs"))
        SharedCache(Remote(url), zones, max_size=1 << 20).publish(make_record(blobs=theirs), theirs)

        def absolute(path: str) -> str:
            before_modules()
            return str(folder / path)

        survey = SimpleNamespace(
            graph=graph(task(TASK, makes=OUTPUT)),
            project=SimpleNamespace(root=str(folder), repository=str(folder), absolute=absolute),
            is_usable=lambda record, task: True,
        )
        prepared: Any = SimpleNamespace(survey=survey, facts={TASK: SimpleNamespace(present={})})
        self.records = RecordStore(str(folder / "ours"))
        stores: Any = SimpleNamespace(blobs=BlobStore(str(folder / "ours")), records=self.records)
        self.heard: queue.Queue[Any] = queue.Queue()
        shared = SharedCache(Remote(url), zones, max_size=1 << 20)
        self.sharing = Sharing(prepared, stores, shared, uploads=None, claims=None, post=self.heard.put)

    def look_up(self) -> None:
        own = key_of(item for item in KNOWN if item.stage == "own")
        keys = TaskKeys(own_key=own, static_key=key_of(KNOWN), ingredients=KNOWN)
        self.sharing.look_up(LookUp(task=TASK, keys=keys), {})

    def answer(self) -> LookedUp:
        """Answer as the loop does until the look-up has ended."""
        while not isinstance(event := self.heard.get(timeout=30), LookedUp):
            event.reply.set_result({"helper.py": "cc"})
        return event


def test_a_record_that_was_found_is_published_by_the_loop(tmp_path: Path) -> None:
    """A store is written by one thread; what is found is counted when it is accepted."""
    build = Build(tmp_path)
    build.look_up()
    found = build.answer()
    assert ([record.task for record in found.records], build.records.published) == ([TASK], [])
    assert build.sharing.accept(found) is found
    assert build.records.published == [(found.records[0].own_key, found.records[0].key)]
    assert build.sharing.finish() == ("1 received", ())


def test_a_record_without_room_for_it_was_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The task runs, and says so itself if there is no room for its result either."""
    build = Build(tmp_path)
    build.look_up()
    found = build.answer()
    (tmp_path / "ours" / "records").write_text("no folder")
    assert build.sharing.accept(found) == LookedUp(task=TASK)
    assert build.sharing.finish() == ("", ())


def test_a_look_up_that_asks_the_loop_after_it_gave_up_ends(tmp_path: Path) -> None:
    """Nobody reads its question any more."""
    build = Build(tmp_path, before_modules=lambda: build.sharing.give_up("interrupted"))
    build.look_up()
    assert build.heard.get(timeout=30) == LookedUp(task=TASK)


def test_a_look_up_that_waits_for_the_loop_at_the_end_of_a_build_ends(tmp_path: Path) -> None:
    """Its task was cancelled, and so the loop has ended before it."""
    build = Build(tmp_path)
    build.look_up()
    assert isinstance(build.heard.get(timeout=30), ModulesAsked)
    assert build.sharing.finish() == ("", ())
    assert build.heard.get(timeout=30) == LookedUp(task=TASK)
