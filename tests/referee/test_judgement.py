"""Judgements of one task: what differs of its outputs, metrics and artefacts, and what cannot be looked at."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from nbmake_dag.core.model import CompareRule, MetricSettings
from nbmake_dag.referee.judgement import LARGEST, Rules, judged
from nbmake_dag_cache.digest import digest_bytes
from nbmake_dag_cache.key import Key
from nbmake_dag_cache.record import Artifact, Logged, Number, Origin, Output, OutputFile, Record


def record(
    files: Mapping[str, bytes], metrics: Mapping[str, Number] | None = None, *, size: int | None = None
) -> Record:
    """Make a record of files; ``size`` is what they claim to have."""
    outputs = [
        OutputFile(path=path, xxh3=digest_bytes(data), sha256=sha256(data), size=size or len(data))
        for path, data in files.items()
    ]
    artifacts = {
        path: Artifact(sha256=sha256(data), size=size or len(data), media_type="text/plain")
        for path, data in files.items()
    }
    return Record(
        key=Key("k"),
        static_key=Key("k"),
        own_key=Key("k"),
        task="t",
        ingredients=(),
        outputs=tuple(Output.of(file.path, (file,)) for file in outputs),
        logged=Logged(metrics=dict(metrics or {}), artifacts=artifacts),
        origin=Origin(run_id="r", trace_id="", span_id="", started=0, duration_s=0),
    )


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def found(before: Record, after: Record, blobs: Mapping[str, bytes], rules: Rules) -> list[tuple[str, str, str]]:
    return [(each.kind, each.name, each.where) for each in judged(before, after, rules, blobs.get).differences]


def test_of_a_huge_file_only_the_bytes_are_compared() -> None:
    """Nobody reads it into memory."""
    old, new = (record({"a.csv": data}, size=LARGEST + 1) for data in (b"x\n1\n", b"x\n2\n"))
    rules = Rules(outputs={"a.csv": CompareRule(how="numeric", atol=9)})

    def refuse(_: str) -> bytes:
        raise MemoryError

    assert [each.where for each in judged(old, new, rules, refuse).differences] == [
        "its bytes; above 64 MB nothing else is compared",
        "its bytes",
    ]
    assert judged(old, old, rules, refuse).verdict == "identical"


def test_what_is_no_longer_stored_differs() -> None:
    """Its digest says so, and no more can be said."""
    old, new = record({"a.csv": b"x\n1\n"}), record({"a.csv": b"x\n2\n"})
    ((kind, name, where), _) = found(old, new, {sha256(b"x\n2\n"): b"x\n2\n"}, Rules())
    assert (kind, name) == ("output", "a.csv")
    assert where == "its bytes; those that were recorded are no longer stored"


def test_metrics_are_compared_with_their_tolerance() -> None:
    """What is no number is like itself; one that was not logged again differs."""
    old = record({}, {"same": float("nan"), "near": 0.5, "far": 0.5, "gone": 1, "end": float("inf")})
    new = record({}, {"same": float("nan"), "near": 0.501, "far": 0.6, "new": 1, "end": 1.0})
    rules = Rules(metrics={name: MetricSettings(tolerance=0.01) for name in ("near", "far", "end")})
    assert {name for _, name, _ in found(old, new, {}, rules)} == {"far", "gone", "new", "end"}
    assert judged(old, new, rules, lambda _: None).within == ("metric near: 0.5 → 0.501",)
