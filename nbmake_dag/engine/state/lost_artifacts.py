"""Records whose artifacts are needed and gone: a task that runs may read them through `upstream()`."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from nbmake_dag.core.decide import Restorable, Rules, UpToDate
from nbmake_dag.core.facts import Facts
from nbmake_dag.core.graph import Graph
from nbmake_dag.core.model import TaskName
from nbmake_dag.core.plan import plan
from nbmake_dag.engine.state.stores import Stores
from nbmake_dag_cache.record import Record

_SHA256 = "sha256"


def without_lost_artifacts(
    graph: Graph, facts: Mapping[TaskName, Facts], rules: Rules, stores: Stores
) -> Mapping[TaskName, Facts]:
    """Take away records above tasks that may run, where the cache does not hold all of their artifacts intact.

    A blob whose size, times and inode are what they were when it was verified counts as verified.
    """
    if not any(record.logged.artifacts for known in facts.values() for record in known.records):
        return facts
    left = dict(facts)
    while lost := _lost(graph, left, rules, stores):
        for name, (record, artifact) in lost.items():
            known = left[name]
            records = tuple(other for other in known.records if other is not record)
            left[name] = replace(
                known, records=records, unusable=f"its artifact {artifact} is no longer in the cache"
            )
    return left


def _lost(
    graph: Graph, facts: Mapping[TaskName, Facts], rules: Rules, stores: Stores
) -> dict[TaskName, tuple[Record, str]]:
    """Return the tasks that lost an artifact of the record that they would use."""
    verdicts = plan(graph, facts, rules)
    may_run = [name for name, verdict in verdicts.items() if not isinstance(verdict, (UpToDate, Restorable))]
    lost: dict[TaskName, tuple[Record, str]] = {}
    for name in graph.with_upstream(may_run):
        verdict = verdicts[name]
        if isinstance(verdict, (UpToDate, Restorable)):
            for artifact, described in verdict.record.logged.artifacts.items():
                if not is_intact(described.sha256, stores):
                    lost[name] = verdict.record, artifact
    return lost


def is_intact(sha256: str, stores: Stores) -> bool:
    """Return whether a blob is there with its own bytes; one that is damaged is removed."""
    try:
        digest = stores.files.digest(stores.blobs.path(sha256))
    except OSError:
        return False
    if stores.identities.get(digest, _SHA256) == sha256:
        return True
    stored = stores.blobs.examine(sha256)
    if stored is None:
        return False
    stores.identities.put(stored.xxh3, _SHA256, stored.sha256)
    return True
