"""Verdicts and blames on the site: a chunk for each and a list, which a later report adds to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from nbmake_dag_reporting.documents import BlameDocument
from nbmake_dag_reporting.secrets_scan import Secrets
from nbmake_dag_reporting.site import SiteOptions, write_site
from nbmake_dag_reporting.site_chunks import SiteFiles
from nbmake_dag_reporting.site_judgements import Judgement
from nbmake_dag_reporting.verdict import VerdictDocument
from tests.reporting.fabricate import executed
from tests.reporting.judgements import BLAME, VERDICT


def report(site: Path, *judgements: Judgement, **options: Any) -> tuple[str, ...]:
    return write_site(str(site), (), SiteOptions(executed=executed, **options), judgements).refused


def chunk(site: Path, key: str) -> Any:
    return SiteFiles(str(site), Secrets({})).read_chunk(key)


def test_each_is_a_chunk_and_a_row_of_the_list(tmp_path: Path) -> None:
    """The newest is the first; what was there stays, and a page knows without the list whether there are any."""
    report(tmp_path)
    assert (chunk(tmp_path, "judgements"), chunk(tmp_path, "index")["settings"]["judgements"]) == (None, 0)
    report(tmp_path, VERDICT)
    report(tmp_path, BLAME)
    assert chunk(tmp_path, "judgements") == [
        {
            "kind": "blame",
            "id": BLAME.id,
            "started": 1_800_000_100_000,
            "run": "run-00006",
            "before": "run-00005",
            "task": "train",
            "metric": "auc",
            "result": "found",
            "what": "cell 3 of train.py (C = 1.0 → 0.01)",
        },
        {
            "kind": "verdict",
            "id": VERDICT.id,
            "started": 1_800_000_000_000,
            "run": "run-00005",
            "result": "differs",
            "what": "train: cell 3: its stdout: 0.9 → 0.8",
        },
    ]
    assert msgspec.convert(chunk(tmp_path, f"verdict/{VERDICT.id}"), VerdictDocument) == VERDICT
    assert msgspec.convert(chunk(tmp_path, f"blame/{BLAME.id}"), BlameDocument) == BLAME
    assert chunk(tmp_path, "index")["settings"]["judgements"] == 2


def test_absolute_paths_are_shortened_unless_the_host_is_published(tmp_path: Path) -> None:
    """They name the machine, and its user."""
    (task, *_) = VERDICT.tasks
    verdict = msgspec.structs.replace(VERDICT, tasks=(msgspec.structs.replace(task, why="no /home/me/x.csv"),))
    for publish_host, why in ((False, "no …/x.csv"), (True, "no /home/me/x.csv")):
        report(tmp_path / str(publish_host), verdict, publish_host=publish_host)
        assert chunk(tmp_path / str(publish_host), f"verdict/{VERDICT.id}")["tasks"][0]["why"] == why


def test_one_that_holds_a_secret_is_left_out(tmp_path: Path) -> None:
    """And named; the others are there."""
    secrets = Secrets({"TOKEN": "C = 1.0 → 0.01"})
    (refused,) = report(tmp_path, VERDICT, BLAME, secrets=secrets)
    assert refused == f"blame {BLAME.id} holds the value of TOKEN"
    assert [row["id"] for row in chunk(tmp_path, "judgements")] == [VERDICT.id]
    assert chunk(tmp_path, f"blame/{BLAME.id}") is None


@pytest.mark.parametrize("name", ["../../outside", "", "a/b", ".", "-"])
def test_a_name_that_leads_elsewhere_is_not_written(tmp_path: Path, name: str) -> None:
    """Whoever can write a verdict chooses its name."""
    report(tmp_path / "site", msgspec.structs.replace(VERDICT, id=name))
    assert chunk(tmp_path / "site", "judgements") is None
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


@pytest.mark.parametrize("content", [None, b"", b"nbdag.load('judgements','[{\"kind\":\"blame\"}]')\n"])
def test_a_list_that_is_damaged_or_gone_is_written_again(tmp_path: Path, content: bytes | None) -> None:
    """That is told; what only the old list had is beside the site."""
    site = tmp_path / "site"
    report(site, VERDICT)
    path = site / "data/judgements.js"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    (told,) = report(site, BLAME)
    assert "data/judgements.js was damaged" in told
    assert [row["id"] for row in chunk(site, "judgements")] == [BLAME.id]
    assert (tmp_path / f"site.damaged/verdict/{VERDICT.id}.js").exists()
    assert report(site) == ()
