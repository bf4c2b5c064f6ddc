"""Values that the tests of the stores share."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from nbmake_dag_cache.key import Ingredient, key_of
from nbmake_dag_cache.record import Artifact, Logged, Origin, Output, OutputFile, Record


def _record(
    task: str = "train",
    *,
    traced: str = "",
    started: float = 1_000.0,
    files: Iterable[tuple[str, str, int]] = (),
    cells: str | None = None,
    series: str | None = None,
    artifacts: Iterable[str] = (),
    stored: bool = True,
) -> Record:
    own = (Ingredient(kind="cell", name="1", value=task),)
    trace = (Ingredient(kind="module", name="helper.py", value=traced, stage="trace"),) if traced else ()
    return Record(
        key=key_of(own + trace),
        static_key=key_of(own),
        own_key=key_of(own),
        task=task,
        ingredients=own + trace,
        outputs=tuple(
            Output(
                path=path, digest="0" * 32, files=(OutputFile(path=path, xxh3="0" * 32, sha256=name, size=size),)
            )
            for path, name, size in files
        ),
        logged=Logged(
            series=series,
            artifacts={
                f"{number}.bin": Artifact(sha256=name, size=1, media_type="application/octet-stream")
                for number, name in enumerate(artifacts)
            },
        ),
        origin=Origin(run_id="r", trace_id="0" * 32, span_id="0" * 16, started=int(started * 1e9), duration_s=1.0),
        cells=cells,
        stored=stored,
    )


@pytest.fixture(scope="session")
def make_record() -> Callable[..., Record]:
    """Make a record whose keys follow from its task and from what it was seen to use."""
    return _record
