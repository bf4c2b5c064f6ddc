"""Spans of hits in tables that runs share: what is read is what was written, or is known to be lost."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from nbmake_dag.core.model import TaskName
from nbmake_dag.engine.state.gc_roots import forget_tables, shown_by
from nbmake_dag.engine.state.secret_sweep import drop_secrets
from nbmake_dag.errors import InfrastructureError
from nbmake_dag.observe.project import Project
from nbmake_dag.record.hits import Hits, hit_row, store_hits
from nbmake_dag.record.ids import task_url
from nbmake_dag.record.outcome import TaskOutcome
from nbmake_dag.record.task_spans import SpanContext, TaskInfo, task_span
from nbmake_dag.record.writer import RunWriter
from nbmake_dag.runs.exchange import push
from nbmake_dag.runs.places import RunsFolder
from nbmake_dag_reporting.bundle import BundleError, Recorded, decode_bundle, encode_bundle
from nbmake_dag_reporting.hit_tables import FOLDER, Filling, encode_reference, expand, fill, tables_of
from nbmake_dag_reporting.otlp import encode_line, encode_resource, wrap
from nbmake_dag_reporting.runs import nothing, read_lines, read_records, read_run, read_trace
from nbmake_dag_reporting.secrets_scan import Secrets
from nbmake_dag_reporting.site import SiteOptions, found_in, write_site
from tests.record.written import (
    RECORD,
    RESOURCE,
    RUN_ID,
    START,
    SUCCESS,
    Collected,
    attempt,
    header,
    refuse,
    spans_of,
)

TEXTS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        [
            "@url",
            '"traceId":"@trace","spanId":"@span',
            "\x00\x01\x02",
            '"parentSpanId":"@run","startTimeUnixNano":"-1","endTimeUnixNano":"-2"',
            ']},{"scope":{"name":"nbdag.hits","version":"1","attributes":[]}}]}]}',
        ]
    ),
)
FILLING = Filling(trace_id="ab" * 16, parent_id="cd" * 8, prefix="0123abcd", url="file:///a%22/", start=5, end=7)


def hits_of(infos: list[TaskInfo]) -> list[tuple[TaskInfo, TaskOutcome]]:
    """Make each task up to date."""
    return [(info, TaskOutcome(task=TaskName(info.name), status="up_to_date", record=RECORD)) for info in infos]


@st.composite
def pipelines(draw: st.DrawFn) -> list[TaskInfo]:
    """Tasks with names and parameters that resemble what is filled in."""
    names = draw(st.lists(TEXTS.filter(bool), min_size=1, max_size=6, unique=True))
    return [
        TaskInfo(
            name=name,
            family=draw(TEXTS),
            type="command",
            path=draw(TEXTS),
            parameters=draw(st.dictionaries(TEXTS, TEXTS, max_size=2)),
            upstreams=tuple(names[: draw(st.integers(0, number))]),
        )
        for number, name in enumerate(names)
    ]


@settings(max_examples=100, deadline=None)
@given(pipelines())
def test_what_is_filled_in_gives_the_bytes_of_the_spans(infos: list[TaskInfo]) -> None:
    """Row for row, whatever texts a pipeline has; in one table or in many."""
    numbers = {info.name: number for number, info in enumerate(infos, start=1)}
    ids = {name: f"{FILLING.prefix}{number:08x}" for name, number in numbers.items()}
    tables: dict[str, bytes] = {}
    lines: list[bytes] = []
    for number, (info, outcome) in enumerate(hits_of(infos)):
        span = task_span(
            SpanContext(trace_id=FILLING.trace_id, span_id=ids[info.name], parent_id=FILLING.parent_id),
            info,
            outcome,
            url=task_url(FILLING.url, info.name),
            start=FILLING.start,
            end=FILLING.end,
            spans=ids,
        )
        tables[f"{number:064x}"] = hit_row(info, outcome, numbers, bytes.hex)
        lines.append(encode_line(RESOURCE, [span]))
    resource = encode_resource(RESOURCE)
    trace = b"".join(lines)
    assert expand(encode_reference(resource, FILLING, list(tables)), tables.get) == trace
    assert expand(trace, tables.get) == trace
    whole = wrap(resource, fill(b",".join(tables.values()), FILLING))
    spans = [json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"][0] for line in lines]
    assert json.loads(whole)["resourceSpans"][0]["scopeSpans"][0]["spans"] == spans


INFOS_OF_MANY = [TaskInfo(name=f"t{i}", family="t", type="command", upstreams=("t0",)) for i in range(900)]


def noop(runs: str, run_id: str, hits: Hits) -> str:
    """Record a run of nothing but hits, and return its folder."""
    writer = RunWriter(runs, replace(header(), run_id=run_id), keep=bytes.hex, warn=refuse)
    writer.started()
    writer.hits(hits, start=START, end=START + 5)
    writer.ended("success", 0)
    return writer.directory


@pytest.fixture
def runs(tmp_path: Path) -> str:
    return str(tmp_path / "runs")


@pytest.fixture
def hits(runs: str) -> Hits:
    return store_hits(runs, hits_of(INFOS_OF_MANY), bytes.hex)


def table_files(runs: str) -> list[Path]:
    return sorted(Path(runs, FOLDER).iterdir())


def test_runs_with_the_same_hits_share_tables(runs: str, hits: Hits) -> None:
    """Also a run that looked at every task; a task that has changed changes one table."""
    first, second = (noop(runs, run_id, hits) for run_id in ("20260101-a", "20260102-b"))
    before = table_files(runs)
    assert [file.name for file in before] == sorted(hits.tables)
    assert tables_of(read_lines(first)) == tables_of(read_lines(second)) == hits.tables
    looked = RunWriter(runs, replace(header(), run_id="20260103-c"), keep=bytes.hex, warn=refuse)
    looked.started(INFOS_OF_MANY)
    for _, outcome in hits_of(INFOS_OF_MANY):
        looked.task_ended(outcome)
    looked.ended("success", 0)
    assert (table_files(runs), looked.all_hits()) == (before, hits)
    ran = RunWriter(runs, replace(header(), run_id="20260104-d"), keep=bytes.hex, warn=refuse)
    ran.started(INFOS_OF_MANY)
    for info, outcome in hits_of(INFOS_OF_MANY):
        if info.name != "t400":
            ran.task_ended(outcome)
    attempt(ran, "t400", 1, SUCCESS)
    ran.task_ended(TaskOutcome(task=TaskName("t400"), status="ran", record=RECORD, attempts=(SUCCESS,)))
    ran.ended("success", 0)
    assert (len(table_files(runs)), ran.all_hits()) == (len(before) + 1, None)
    read = read_run(ran.directory)
    assert (len(read.tasks), read.counts["up_to_date"], read.tasks["t400"].status) == (900, 899, "ran")
    assert read.tasks["t401"].upstreams == ("t0",)
    assert read_records(ran.directory) == {name: task.record for name, task in read.tasks.items()}


@pytest.mark.parametrize("damage", ["gone", "cut", "flipped", "another", "a folder", "a bomb"])
def test_a_damaged_table_is_not_believed(runs: str, hits: Hits, damage: str) -> None:
    """Its tasks are lost, and the run says so; the others and the run itself are as they were."""
    folder = noop(runs, "20260101-a", hits)
    whole = read_run(folder)
    assert (len(whole.tasks), whole.lost) == (900, ())
    other, victim = (Path(runs, FOLDER, name) for name in hits.tables[:2])
    content = victim.read_bytes()
    victim.unlink()
    match damage:
        case "cut":
            victim.write_bytes(content[: len(content) // 2])
        case "flipped":
            victim.write_bytes(content[:20] + bytes([content[20] ^ 1]) + content[21:])
        case "another":
            victim.write_bytes(other.read_bytes())
        case "a folder":
            victim.mkdir()
        case "a bomb":
            victim.write_bytes(gzip.compress(bytes(65 << 20)))
        case _:
            pass
    read = read_run(folder)
    assert read.lost == (victim.name,)
    assert 0 < len(read.tasks) < 900
    assert read.counts == whole.counts
    assert all(whole.tasks[name] == task for name, task in read.tasks.items())
    assert store_hits(runs, hits_of(INFOS_OF_MANY), bytes.hex) == hits
    assert read_run(folder) == whole


def test_a_table_stays_as_long_as_a_run_names_it(runs: str, hits: Hits) -> None:
    """The records that its rows name are protected as well; what no run names any more goes."""
    folder = noop(runs, "20260101-a", hits)
    forget_tables(runs, grace=-1)
    assert [file.name for file in table_files(runs)] == sorted(hits.tables)
    assert RECORD.key in shown_by([folder]).keys
    for file in Path(folder).iterdir():
        file.unlink()
    forget_tables(runs)
    assert len(table_files(runs)) == len(hits.tables)
    forget_tables(runs, grace=-1)
    assert table_files(runs) == []


def test_what_leaves_the_machine_has_every_span(runs: str, hits: Hits) -> None:
    """A bundle needs no table, and a folder of runs elsewhere is read with its tables."""
    folder = noop(runs, "20260101-a", hits)
    recorded = Recorded(run=read_run(folder), blob=lambda _: None, record=nothing)
    data, gone = encode_bundle(recorded, Secrets({}))
    (found,) = RunsFolder(f"file://{runs}").found()
    assert found.read().run.tasks == recorded.run.tasks
    for file in table_files(runs):
        file.unlink()
    assert gone == ()
    assert decode_bundle(data, "b").run.tasks == recorded.run.tasks
    lost = Recorded(run=read_run(folder), blob=lambda _: None, record=nothing)
    data, gone = encode_bundle(lost, Secrets({}))
    assert gone == decode_bundle(data, "b").run.lost == tuple(hits.tables)
    (found,) = RunsFolder(f"file://{runs}").found()
    assert found.read().run.lost == tuple(hits.tables)
    with pytest.raises(BundleError, match="is not whole"):
        push(RunsFolder(f"file://{runs}/place"), [lost], Secrets({}))
    assert RunsFolder(f"file://{runs}/place").pushed() == set()
    assert push(RunsFolder(f"file://{runs}/place"), [recorded], Secrets({})) == [recorded.run.id]


def test_a_table_is_read_once_from_a_bucket(runs: str, hits: Hits, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that cannot be read now is not taken for one that is gone: its tasks would be lost for good."""
    for run_id in ("20260101-a", "20260102-b"):
        noop(runs, run_id, hits)
    place = RunsFolder(f"file://{runs}")
    whole, seen = place._read, list[str]()

    def read(path: str) -> bytes:
        seen.append(Path(path).name)
        return whole(path)

    monkeypatch.setattr(place, "_read", read)
    assert [len(found.read().run.tasks) for found in place.found()] == [900, 900]
    assert sorted(name for name in seen if name in hits.tables) == sorted(hits.tables)

    def fail(path: str) -> bytes:
        if FOLDER in path:
            raise InfrastructureError("the network is down") from ConnectionError()
        return whole(path)

    away = RunsFolder(f"file://{runs}")
    monkeypatch.setattr(away, "_read", fail)
    with pytest.raises(InfrastructureError, match="the network is down"):
        away.found()[0].read()


def test_a_site_says_which_runs_lack_tasks(runs: str, hits: Hits, tmp_path: Path) -> None:
    """Such a run is shown, also one of which no task is left; once it is whole again it is shown whole."""
    noop(runs, RUN_ID, hits)
    tables = {file: file.read_bytes() for file in table_files(runs)}

    def write() -> tuple[tuple[str, ...], tuple[str, ...]]:
        found = found_in(runs, nothing, lambda _: None)
        result = write_site(str(tmp_path / "site"), found, SiteOptions(executed=lambda *_: {}))
        return result.added, result.refused

    for file in tables:
        file.unlink()
    lacks = f"tasks of {RUN_ID}: a table of their spans is gone or damaged"
    assert write() == write() == ((RUN_ID,), (lacks,))
    for file, content in tables.items():
        file.write_bytes(content)
    assert write() == ((RUN_ID,), ())
    assert write() == ((), ())


def test_a_collector_gets_each_span_of_a_table(runs: str, hits: Hits) -> None:
    """As the record has them; where a table is damaged there is one warning, and nothing of it is sent."""
    sink, said = Collected(), list[str]()
    for _ in range(2):
        writer = RunWriter(runs, header(), keep=bytes.hex, warn=said.append, exporter=sink)
        writer.started()
        writer.hits(hits, start=START, end=START + 5)
        writer.ended("success", 0)
        if not said:
            assert (len(sink.spans), repr(sink.spans)) == (901, repr(spans_of(writer)))
            sink.spans.clear()
            Path(runs, FOLDER, hits.tables[0]).write_bytes(b"")
    assert said == [
        f"the record of run {RUN_ID} is incomplete: a table of hits is gone or damaged: {hits.tables[0]}"
    ]
    assert sink.spans == []


def test_a_table_with_a_secret_goes_with_the_runs_that_name_it(tmp_path: Path) -> None:
    """What CI saves for others is searched in every span."""
    project = Project(config="", root=str(tmp_path), repository=str(tmp_path))
    secret = "k8sT-0b7Qx93LmZ2vWpRr41"
    told = [TaskInfo(name=f"t{n}", family="t", type="command", parameters={"n": secret}) for n in range(30)]
    clean, dirty = (store_hits(project.runs, hits_of(infos), bytes.hex) for infos in (INFOS_OF_MANY, told))
    kept, gone = noop(project.runs, "20260101-a", clean), noop(project.runs, "20260102-b", dirty)
    assert drop_secrets(project, Secrets({"TOKEN": secret})).runs == 1
    assert (Path(kept).exists(), Path(gone).exists()) == (True, False)
    assert [file.name for file in table_files(project.runs)] == sorted(clean.tables)


def test_few_hits_need_no_table(runs: str) -> None:
    """A record of a small pipeline is whole by itself."""
    few = store_hits(runs, hits_of(INFOS_OF_MANY[:20]), bytes.hex)
    folder = noop(runs, "20260101-a", few)
    assert (few.tables, Path(runs, FOLDER).exists()) == ([], False)
    assert len(read_run(folder).tasks) == 20
    assert read_lines(folder) == read_trace(folder)


def test_lines_of_other_scopes_and_versions_are_left_as_they_are(runs: str, hits: Hits) -> None:
    """A later version's line names no table of this one, and damage raises nothing."""
    line = read_lines(noop(runs, "20260101-a", hits)).splitlines(keepends=True)[0]
    for other in (
        line.replace(b'"version":"1","attributes"', b'"version":"2","attributes"'),
        line.replace(b"nbdag.hits.start", b"nbdag.hits.begin"),
        line.replace(b"nbdag.hits.tables", b"nbdag.hits.table"),
        line[:-9] + b"\n",
        line.replace(b'"attributes":[{"key":"nbdag.hits', b'"attributes":[{{"key":"nbdag.hits'),
    ):
        assert other != line
        assert (expand(other, lambda _: b"x"), tables_of(other)) == (other, [])
