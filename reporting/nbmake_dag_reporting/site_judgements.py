"""The verdicts and blames of a site: a chunk for each, and one that lists them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, NotRequired, TypeAlias, TypedDict

import msgspec

from nbmake_dag_reporting.documents import BlameDocument
from nbmake_dag_reporting.numbers import spelled
from nbmake_dag_reporting.scrub import Scrub, scrub_value
from nbmake_dag_reporting.secrets_scan import SecretFoundError
from nbmake_dag_reporting.site_chunks import SiteFiles
from nbmake_dag_reporting.verdict import VerdictDocument

Judgement: TypeAlias = VerdictDocument | BlameDocument

_LIST = "judgements"
_ID = re.compile(r"\w[\w.-]{0,99}")


class _Listed(TypedDict):
    id: str
    kind: str
    started: int
    run: str | None
    result: str | None
    what: str
    before: NotRequired[str | None]
    task: NotRequired[str]
    metric: NotRequired[str]


def write_judgements(files: SiteFiles, found: Iterable[Judgement], scrub: Scrub, *, must: bool) -> Iterator[str]:
    """Add verdicts and blames to a site; yield which of them hold a secret, and which.

    Raises `DamagedChunkError` where the site must have some, and their list cannot be read.
    """
    stored = files.read_chunk(_LIST, list[_Listed], must=must) or []
    rows: dict[str, Any] = {row["id"]: row for row in stored}
    known = len(rows)
    for judgement in found:
        if judgement.id in rows or not _ID.fullmatch(judgement.id):
            continue
        kind = "verdict" if isinstance(judgement, VerdictDocument) else "blame"
        document = scrub_value(spelled(msgspec.to_builtins(judgement)), scrub)
        try:
            files.write_chunk(f"{kind}/{judgement.id}", document, f"{kind} {judgement.id}")
        except SecretFoundError as error:
            yield str(error)
            continue
        rows[judgement.id] = {"kind": kind, **_row(document)}
    if len(rows) > known:
        newest_first = sorted(rows, reverse=True)
        files.write_chunk(_LIST, [rows[name] for name in newest_first], "the verdicts")


def count_judgements(files: SiteFiles) -> int:
    """Return how many verdicts and blames a site has."""
    return len(files.read_chunk(_LIST, list[_Listed]) or ())


def _row(document: dict[str, Any]) -> dict[str, Any]:
    """Return what the list has of a verdict or a blame."""
    row = {"id": document["id"], "started": document["started"] // 1_000_000}
    if "verdict" in document:
        first = next((task for task in document["tasks"] if task["verdict"] == document["verdict"]), None)
        what = f"{first['name']}: {first['why']}" if first and first["why"] else ""
        return {**row, "run": document["run"], "result": document["verdict"], "what": what}
    culprits = [change["what"] for change in document["changes"] if change["is_culprit"]]
    return {
        **row,
        "run": document["after"],
        "before": document["before"],
        "task": document["task"],
        "metric": document["metric"].removeprefix(f"{document['task']}:"),
        "result": document["finding"],
        "what": " and ".join(culprits),
    }
