"""The writer of the site: what is published, what is not, and what a second run adds."""

import hashlib
import json
import os
import random
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec.structs import replace

from nbmake_dag_reporting import site_index, site_shard
from nbmake_dag_reporting.bundle import Recorded
from nbmake_dag_reporting.compare import compare
from nbmake_dag_reporting.documents import encode_document, task_document
from nbmake_dag_reporting.otlp import TRACE
from nbmake_dag_reporting.runs import read_run
from nbmake_dag_reporting.secrets_scan import Secrets
from nbmake_dag_reporting.site import SiteOptions, SiteResult, found_in, write_site
from nbmake_dag_reporting.site_chunks import SiteFiles
from nbmake_dag_reporting.site_graph import folded_graph
from nbmake_dag_reporting.site_index import SiteIndex
from nbmake_dag_reporting.vocabulary import TaskStatus
from tests.reporting.fabricate import Fabric, Made, code, executed, notebook, shown

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels"


@pytest.fixture
def fabric(tmp_path: Path) -> Fabric:
    return Fabric(tmp_path)


def report(fabric: Fabric, **options) -> SiteResult:
    found = found_in(str(fabric.runs), fabric.record, fabric.blob)
    return write_site(str(fabric.runs.parent / "site"), found, SiteOptions(executed=executed, **options))


def chunk(fabric: Fabric, key: str):
    return SiteFiles(str(fabric.runs.parent / "site"), Secrets({})).read_chunk(key)


def column_of(fabric: Fabric, column: Mapping[str, Any]) -> list[Any]:
    """Read a column of the index where its newest shard has it."""
    shard, bundle, place = column["at"][-1]
    return chunk(fabric, f"shard/{shard}/c{bundle}")[place]


def published(fabric: Fabric) -> dict[str, bytes]:
    """Give what depends on the runs, by path."""
    root = fabric.runs.parent / "site"
    app = {"app.js", "app.css", "NOTICES.txt"}
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name not in app
    }


def published_data(fabric: Fabric) -> dict[str, bytes]:
    """Give what pages load."""
    return {path: data for path, data in published(fabric).items() if path.startswith("data/")}


def test_a_second_report_adds_only_what_is_new(fabric: Fabric) -> None:
    """A run that is there already is not read again, and a new one leaves its chunk as it was."""
    first = fabric.run(1, Made(name="a", metrics={"auc": 0.5}))
    assert report(fabric).added == (first,)
    before = published(fabric)
    second = fabric.run(2, Made(name="a", metrics={"auc": 0.75}))
    assert report(fabric).added == (second,)
    after = published(fabric)
    assert before[f"data/run/{first}.js"] == after[f"data/run/{first}.js"]
    assert chunk(fabric, "index")["rows"]["id"] == [first, second]
    [column] = [column for column in chunk(fabric, "index")["columns"] if column["name"] == "auc"]
    assert column_of(fabric, column) == [0.5, 0.75]


def test_adding_one_by_one_gives_the_same_site(tmp_path: Path) -> None:
    """The order of reports does not show: only the runs do."""
    one, all_ = Fabric(tmp_path / "one"), Fabric(tmp_path / "all")
    for number in range(4):
        tasks = [Made(name=f"t{place}", metrics={f"m{number % 2}": number}) for place in range(number % 3 + 1)]
        one.run(number, *tasks)
        report(one)
        all_.run(number, *tasks)
    report(all_)
    assert published(one) == published(all_)


def test_a_run_that_went_on_is_shown_as_it_is_now(fabric: Fabric) -> None:
    """A run is renewed when its record has grown."""
    fabric.run(1, Made(name="a"))
    report(fabric)
    run_id = fabric.run(
        1, Made(name="a"), Made(name="b", status="failed", error=("E", "m", "t")), result="failure"
    )
    assert report(fabric).added == (run_id,)
    assert chunk(fabric, "index")["rows"]["result"] == ["failure"]
    assert chunk(fabric, "shard/0/matrix") == [["a", "R"], ["b", "f"]]


def test_new_tasks_take_their_place_in_the_matrix(fabric: Fabric) -> None:
    """A task stands after the one that precedes it in its pipeline; runs without it have a blank."""
    fabric.run(1, Made(name="a"), Made(name="c"))
    fabric.run(2, Made(name="a"), Made(name="b", status="cancelled", seconds=None), Made(name="c"))
    report(fabric)
    assert chunk(fabric, "shard/0/matrix") == [["a", "RR"], ["b", " c"], ["c", "RR"]]


def test_a_ledger_knows_what_hits_saved_and_what_is_unsteady(fabric: Fabric) -> None:
    """Sums by task need no record: savings hold until they change, also where a run is renewed; retries stay."""
    first = fabric.run(0, Made(name="a", seconds=2.0, attempts=2, key="k", outputs={"x": "1"}))
    hit = {"status": "up_to_date", "seconds": None, "source": first}
    for number, saved in enumerate((2.0, 2.0, 3.0), 1):
        fabric.run(number, Made(name="a", saved=saved, **hit))  # type: ignore[arg-type]
    fabric.run(
        4,
        Made(name="a", seconds=1.5, key="k", outputs={"x": "2"}),
        Made(name="b", artifacts={"x.png": (PNG, "image/png")}),
    )
    report(fabric)
    known = {"took": [[0, 2.0], [4, 1.5]], "retried": [[0, 2]], "saved": [[1, 2.0], [3, 3.0]], "unsteady": [0, 4]}
    assert chunk(fabric, "shard/0/tasks") == {
        "a": known,
        "b": {"took": [[4, 1.0]], "artifacts": {"x.png": "image/png"}},
    }
    fabric.run(1, Made(name="a", saved=9.0, **hit), Made(name="b"))  # type: ignore[arg-type]
    report(fabric)
    assert chunk(fabric, "shard/0/tasks")["a"]["saved"] == [[1, 9.0], [2, 2.0], [3, 3.0]]
    assert chunk(fabric, "shard/0/tasks")["b"]["took"] == [[1, 1.0], [4, 1.0]]


def test_hits_share_what_their_record_decides(fabric: Fabric) -> None:
    """The detail of a hit is one file however many runs reuse it."""
    first = fabric.run(1, Made(name="a", metrics={"auc": 1}))
    for number in (2, 3):
        fabric.run(number, Made(name="a", status="up_to_date", seconds=None, source=first, metrics={"auc": 1}))
    report(fabric)
    details = [chunk(fabric, f"run/run-{number:05d}")["tasks"][0]["detail"] for number in (2, 3)]
    assert len(set(details)) == 1


def test_names_are_data_and_never_code(fabric: Fabric) -> None:
    """Quotes, backslashes and `__proto__` come back from a chunk as they were."""
    nasty = "it's \\ \" </script> \u2028 __proto__"
    fabric.run(1, Made(name=nasty, params={"__proto__": nasty}))
    report(fabric)
    [task] = chunk(fabric, "run/run-00001")["tasks"]
    assert (task["name"], task["params"]) == (nasty, {"__proto__": nasty})


def test_pages_and_drawings_are_no_files(fabric: Fabric) -> None:
    """HTML and SVG are data in a chunk: nothing that a browser could open in the site's origin."""
    svg, page = b"<svg onload='alert(1)'/>", b"<script>alert(1)</script>"
    fake = b"<html>not a picture"
    artifacts = {
        "x.svg": (svg, "image/svg+xml"),
        "x.html": (page, "text/html"),
        "x.png": (fake, "image/png"),
        "y.png": (PNG, "image/png"),
    }
    fabric.run(1, Made(name="a", artifacts=artifacts))
    report(fabric)
    blobs = [path for path in published(fabric) if path.startswith("blobs/")]
    names = {hashlib.sha256(data).hexdigest() for data in (fake, PNG)}
    assert {os.path.basename(path).split(".")[0] for path in blobs} == names
    assert {os.path.splitext(path)[1] for path in blobs} == {".png", ".bin"}


def test_a_secret_is_refused_before_anything_holds_it(fabric: Fabric) -> None:
    """The place and the name are said, the value never reaches the folder."""
    secret = "hunter2-hunter2"
    fabric.run(1, Made(name="a", notebook=notebook(code("x", {"output_type": "stream", "text": f"pw={secret}"}))))
    fabric.run(2, Made(name="a"))
    result = report(fabric, secrets=Secrets({"PASSWORD": secret}))
    assert result.withheld == ("run-00001: run run-00001, a holds the value of PASSWORD",)
    assert result.added == ("run-00002",)
    assert not any(secret.encode() in data for data in published(fabric).values())


def test_what_may_be_a_secret_is_taken_out(fabric: Fabric) -> None:
    """The run is shown, and it is said; a plain word stays."""
    tag = {"url": "https://x:hunter2-hunter2@y", "db": "postgres"}
    fabric.run(1, Made(name="a", tags=tag))
    suspected = {"API_TOKEN": "hunter2-hunter2", "DB_PASSWORD": "postgres"}
    secrets = Secrets({}, suspected=suspected)
    assert report(fabric, secrets=secrets).withheld == ()
    everything = b"\n".join(published(fabric).values())
    assert b"hunter2-hunter2" not in everything
    assert b"[secret API_TOKEN]" in everything
    assert b"postgres" in everything
    assert [note.split(",")[0] for note in secrets.notes] == [
        "run run-00001 holds the value of DB_PASSWORD",
        "the value of API_TOKEN",
    ]


def test_what_tells_of_the_machine_is_left_out(fabric: Fabric) -> None:
    """Host, user, working directory and absolute paths are nowhere in the site, unless asked for."""
    trace = 'File "/home/ada/digits/lib/x.py"\nFile "/usr/lib/python3.12/site-packages/numpy/core.py"'
    output = shown(text_plain="saved to /home/ada/digits/out/m.bin and /tmp/ada/x.bin")
    fabric.run(
        1,
        Made(name="a", notebook=notebook(code("1", output))),
        Made(name="b", status="failed", error=("E", "no /home/ada/digits/data", trace)),
        result="failure",
    )
    report(fabric)
    everything = b"\n".join(published(fabric).values()).decode()
    assert not [
        word for word in ("ada/digits/", "adas-machine", "/usr/lib", "/tmp/", "/home") if word in everything
    ]
    more = chunk(fabric, "content/" + chunk(fabric, "run/run-00001")["tasks"][1]["attempts"][0]["more"])
    assert more["trace"] == 'File "lib/x.py"\nFile "numpy/core.py"'


def test_the_host_is_published_when_that_is_asked_for(fabric: Fabric) -> None:
    """`publish_host` begins a site anew, with everything in it."""
    fabric.run(1, Made(name="a"))
    report(fabric)
    assert report(fabric, publish_host=True).added == ("run-00001",)
    assert chunk(fabric, "run/run-00001")["resource"]["host.name"] == "adas-machine"
    assert report(fabric).added == ("run-00001",)
    assert b"adas-machine" not in b"".join(published(fabric).values())


def test_nodes_of_a_cluster_are_numbered_where_no_host_is_published(fabric: Fabric) -> None:
    """Which tasks ran on one node is seen in any case."""
    names = {"a": "10.0.0.7", "b": "10.0.0.2", "c": "10.0.0.7", "d": ""}
    fabric.run(1, *(Made(name=name, node=node) for name, node in names.items()))

    def shown() -> list[str | None]:
        return [task["attempts"][0].get("node") for task in chunk(fabric, "run/run-00001")["tasks"]]

    report(fabric)
    assert shown() == ["node 2", "node 1", "node 2", None]
    report(fabric, publish_host=True)
    assert shown() == ["10.0.0.7", "10.0.0.2", "10.0.0.7", None]


def test_the_oldest_details_go_first(fabric: Fabric) -> None:
    """Over its size, a site keeps every row, and the details of its newest runs."""
    for number in range(5):
        output = shown(text_plain=f"{number}" * 30_000)
        fabric.run(number, Made(name="a", notebook=notebook(code("x", output))))
    whole = report(fabric).size
    result = report(fabric, max_size=whole - 40_000)
    assert result.dropped == ("run-00001", "run-00000")
    assert (chunk(fabric, "index")["rows"]["detail"], result.runs) == ([0, 0, 1, 1, 1], 5)
    assert chunk(fabric, "run/run-00000") is None
    assert result.size <= whole - 40_000
    detail = chunk(fabric, "content/" + chunk(fabric, "run/run-00004")["tasks"][0]["detail"])
    assert chunk(fabric, "content/" + detail["notebook"]) is not None


def test_the_page_has_a_table_without_a_script(fabric: Fabric) -> None:
    """The last runs stand in the page itself, escaped, newest first."""
    fabric.run(1, Made(name="a"), branch="<script>alert(1)</script>")
    fabric.run(2, Made(name="a"))
    page = Path(report(fabric).page).read_text()
    assert "<td>&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert page.index("run-00002") < page.index("run-00001")


def test_a_damaged_state_makes_a_site_anew(fabric: Fabric) -> None:
    """A site whose state cannot be read is written again."""
    fabric.run(1, Made(name="a"))
    report(fabric)
    (fabric.runs.parent / "site" / "site.json").write_text(json.dumps({"format": 99}))
    assert report(fabric).added == ("run-00001",)


@pytest.mark.parametrize("key", ["index", "shard/0/rows", "shard/0/matrix", "shard/0/tasks"])
@pytest.mark.parametrize("size", [None, 0, 30, -4])
def test_a_site_that_cannot_be_read_is_made_anew(fabric: Fabric, key: str, size: int | None) -> None:
    """A file may be cut or gone; what was there is kept beside the site, for runs whose records are gone."""
    fabric.run(1, Made(name="a", metrics={"auc": 1.0}))
    site = Path(report(fabric).page).parent
    path = site / f"data/{key}.js"
    if size is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:size])
    fabric.run(2, Made(name="a", metrics={"auc": 2.0}))
    again = report(fabric)
    assert again.added == ("run-00001", "run-00002")
    assert [f"data/{key}.js was damaged" in what for what in again.refused] == [True]
    kept = site.with_name("site.damaged")
    assert (kept / "run/run-00001.js").exists()
    assert (kept / f"{key}.js").exists() == (size is not None)
    assert chunk(fabric, "index")["rows"]["id"] == ["run-00001", "run-00002"]
    assert report(fabric).refused == ()


def test_what_damaged_sites_had_stays(fabric: Fabric) -> None:
    """The second may lack runs that only the first had; each is named."""
    run = fabric.run(1, Made(name="a"))
    site = Path(report(fabric).page).parent
    (site / "data/index.js").unlink()
    shutil.rmtree(fabric.runs / run)
    fabric.run(2, Made(name="a"))
    assert str(site.with_name("site.damaged")) in report(fabric).refused[0]
    (site / "data/index.js").unlink()
    assert str(site.with_name("site.damaged-2")) in report(fabric).refused[0]
    assert (site.with_name("site.damaged") / f"run/{run}.js").exists()
    shutil.rmtree(site / "data")
    assert "nothing else of it was left" in report(fabric).refused[0]
    assert chunk(fabric, "index")["rows"]["id"] == ["run-00002"]


def test_a_site_that_was_made_anew_keeps_its_size(fabric: Fabric) -> None:
    """What stayed of the old one counts, and what it has of no run goes."""
    picture = PNG + b"x" * 50_000
    fabric.run(1, Made(name="a", artifacts={"y.png": (picture, "image/png")}))
    site = Path(report(fabric).page).parent
    (site / "data/index.js").write_bytes(b"")
    fabric.run(1, Made(name="a"))
    fabric.run(2, Made(name="a"))
    whole = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
    assert report(fabric, max_size=whole - 40_000).size <= whole - 40_000
    assert not list(site.glob("blobs/*/*"))


def test_a_damaged_run_costs_its_details_where_a_site_is_too_large(fabric: Fabric) -> None:
    """What says which content it has cannot be read; the rest of the site stays as it is."""
    for number in range(3):
        fabric.run(number, Made(name="a", notebook=notebook(code("x", shown(text_plain=f"{number}" * 30_000)))))
    whole = report(fabric).size
    site = fabric.runs.parent / "site"
    (site / "data/run/run-00002.js").write_bytes(b"nbdag.load('run/run-00002','[]')\n")
    result = report(fabric, max_size=whole - 20_000)
    assert (result.dropped, result.runs) == (("run-00002",), 3)
    assert chunk(fabric, "index")["rows"]["detail"] == [1, 1, 0]


def small_site(fabric: Fabric) -> dict[str, bytes]:
    """Write a site of two runs, with a third to come that has some of the tasks only."""
    made = [Made(name=name, metrics={"auc": 1.0}, outputs={"o": "1"}, key="k" * 64) for name in ("a", "b")]
    for number in (1, 2):
        fabric.run(number, *made, Made(name="c", artifacts={"y.png": (PNG, "image/png")}))
    report(fabric)
    fabric.run(3, made[0])
    site = fabric.runs.parent / "site"
    shutil.copytree(site, site.with_name("before"))
    return published(fabric)


def report_damaged(fabric: Fabric) -> tuple[int, tuple[str, ...]]:
    """Give how many runs the list of a site has that is written twice, and what was told; then undo it."""
    site = fabric.runs.parent / "site"
    told = (*report(fabric).refused, *report(fabric).refused)
    runs = len(chunk(fabric, "shard/0/rows")["rows"]["id"])
    for folder in fabric.runs.parent.glob("site*"):
        shutil.rmtree(folder)
    shutil.copytree(site.with_name("before"), site)
    return runs, told


def test_a_site_is_written_whichever_file_is_gone(fabric: Fabric) -> None:
    """All runs are shown, and what was lost of the index is told: it is not taken for what was never written."""
    for path in small_site(fabric):
        target = fabric.runs.parent / "site" / path
        for is_folder in (False, True):
            target.unlink()
            if is_folder:
                target.mkdir()
            runs, told = report_damaged(fabric)
            needed = path == "site.json" or path.startswith(("data/index", "data/shard"))
            assert (runs, path if any(path in what for what in told) else None) == (3, path if needed else None)


FLIPS = 15


def test_a_site_is_written_whichever_bit_is_another(fabric: Fabric) -> None:
    """JSON of another shape is damage as well; it was an error of every report that followed."""
    rng = random.Random(7)
    for path, data in small_site(fabric).items():
        if path == "site.json" or path.startswith(("data/index", "data/shard")):
            for place in rng.sample(range(len(data)), FLIPS):
                flipped = data[:place] + bytes([data[place] ^ 1 << rng.randrange(7)]) + data[place + 1 :]
                (fabric.runs.parent / "site" / path).write_bytes(flipped)
                assert report_damaged(fabric)[0] >= 3, flipped


@pytest.mark.parametrize(
    "word", ["kind", "task", "name", "id", "started", "columns", "bundles", "rows", "took", "shards"]
)
def test_a_site_whose_names_are_others_is_written_again(fabric: Fabric, word: str) -> None:
    """As one flipped bit makes of them."""
    found = {path: data for path, data in small_site(fabric).items() if f'"{word}":'.encode() in data}
    assert found
    for path, data in found.items():
        if path.startswith("data/shard") or (word == "shards" and path == "data/index.js"):
            (fabric.runs.parent / "site" / path).write_bytes(data.replace(f'"{word}":'.encode(), b'"other":'))
            runs, told = report_damaged(fabric)
            assert (runs, [path in what for what in told]) == (3, [True])


def test_a_number_that_json_has_no_words_for_is_a_number_of_every_run(fabric: Fabric) -> None:
    """Executed or reused: it is spelled in the data alone, also within parameters, and compared as a number."""
    nan, infinite = float("nan"), float("-inf")
    after = Made(name="b", metrics={"auc": 0.5})
    first = fabric.run(1, Made(name="a", metrics={"loss": nan, "low": infinite}, params={"lr": [nan]}), after)
    spelled = {"loss": "NaN", "low": "-Infinity"}
    hit = Made(name="a", metrics=spelled, status="up_to_date", seconds=None, source=first)  # type: ignore[arg-type]
    fabric.run(2, hit, after)
    assert report(fabric).refused == ()
    columns = {column["name"]: column for column in chunk(fabric, "index")["columns"] if column["name"]}
    values = {name: column_of(fabric, column) for name, column in columns.items()}
    assert values == {"lr": [["NaN"]], "loss": ["NaN"] * 2, "low": ["-Infinity"] * 2, "auc": [0.5, 0.5]}
    [executed, reused] = [
        Recorded(run=read_run(found.path, fabric.record), blob=fabric.blob, record=fabric.record)
        for found in sorted(os.scandir(fabric.runs), key=lambda entry: entry.name)
    ]
    assert compare(executed, reused, {}).metrics == ()
    assert b'"loss": "NaN"' in encode_document(task_document(reused.run, "a"))
    assert b'"NaN"' in encode_document(task_document(executed.run, "a"))


def test_a_run_that_cannot_be_read_leaves_no_row(fabric: Fabric) -> None:
    """What is damaged is found before anything of the run is in the index."""
    run = read_run(str(fabric.runs / fabric.run(1, Made(name="a"), Made(name="b"))))
    broken = replace(run.tasks["b"], status=cast("TaskStatus", "lost"))
    index = SiteIndex(SiteFiles(str(fabric.runs.parent / "site"), Secrets({})))
    with pytest.raises(KeyError):
        index.add(replace(run, tasks={**run.tasks, "b": broken}), {"id": run.id})
    assert (len(index), index.recent(), index.columns(), index.letters("a")) == (0, [], {}, {})


def test_damaged_content_is_written_again(fabric: Fabric) -> None:
    """A later run that shares it mends it, whichever way it is damaged."""
    artifacts = {"y.png": (PNG, "image/png")}
    fabric.run(1, Made(name="a", artifacts=artifacts))
    report(fabric)
    whole = published(fabric)
    site = fabric.runs.parent / "site"
    for path, data in whole.items():
        if path.startswith(("data/content", "blobs")):
            (site / path).write_bytes(b"x" * len(data))
    fabric.run(2, Made(name="a", artifacts=artifacts))
    report(fabric)
    mended = published(fabric)
    shared = [path for path in whole if path in chunk(fabric, "run/run-00002")["refs"]]
    assert shared
    assert all(mended[path] == whole[path] for path in shared)


def test_runs_are_in_shards_that_fill_one_after_the_other(fabric: Fabric, monkeypatch: pytest.MonkeyPatch) -> None:
    """The index has the last rows; a new run touches the newest shard alone, a run that went on its own."""
    monkeypatch.setattr(site_index, "SIZE", 3)
    monkeypatch.setattr(site_index, "RECENT", 2)
    monkeypatch.setattr(site_index, "EXCERPT", 4)
    for number in range(7):
        fabric.run(number, Made(name="a", metrics={"auc": number}))
        report(fabric)
    index = chunk(fabric, "index")
    assert [(head["first"], head["last"], head["runs"]) for head in index["shards"]] == [
        ("run-00000", "run-00002", 3),
        ("run-00003", "run-00005", 3),
        ("run-00006", "run-00006", 1),
    ]
    assert (index["recent"], index["rows"]["id"]) == (1, [f"run-{number:05d}" for number in (3, 4, 5, 6)])
    [column] = [column for column in index["columns"] if column["name"] == "auc"]
    assert [shard for shard, _, _ in column["at"]] == [1, 2]
    assert column_of(fabric, column) == [6.0]
    before = published(fabric)
    fabric.run(7, Made(name="a"))
    report(fabric)
    after = published(fabric)
    assert not [
        path
        for path in before
        if path.startswith(("data/shard/0", "data/shard/1")) and before[path] != after[path]
    ]
    fabric.run(1, Made(name="a"), Made(name="b", status="failed"), result="failure")
    report(fabric)
    assert chunk(fabric, "shard/0/rows")["rows"]["result"] == ["success", "failure", "success"]
    assert len(chunk(fabric, "index")["shards"]) == 3


@pytest.mark.parametrize("largest", [20, 200, 20_000])
def test_columns_share_files(fabric: Fabric, monkeypatch: pytest.MonkeyPatch, largest: int) -> None:
    """Files are bounded by what they hold; every value is where the index says, in each order of reports."""
    monkeypatch.setattr(site_shard, "WIDTH", 16)
    monkeypatch.setattr(site_shard, "LARGEST", largest)
    logged: dict[str, list[Any]] = {f"m{number}": [] for number in range(50)}
    for number in range(6):
        metrics = dict.fromkeys(list(logged)[number : 8 * number + 9], number + 0.5)
        for name, values in logged.items():
            values.append(metrics.get(name))
        fabric.run(number, Made(name="a", metrics=metrics))
        report(fabric)
    for values in logged.values():
        while values and values[-1] is None:
            values.pop()
    by_one = published(fabric)
    columns = [column for column in chunk(fabric, "index")["columns"] if column["kind"] == "metrics"]
    found = {column["name"]: column_of(fabric, column) for column in columns}
    assert found == {name: values for name, values in logged.items() if values}
    bundles = [path for path in by_one if path.startswith("data/shard/0/c")]
    assert len(bundles) <= len(columns) / 16 + 2 if largest > 200 else len(bundles) > len(columns) / 16 + 2
    shutil.rmtree(fabric.runs.parent / "site")
    report(fabric)
    assert published(fabric) == by_one


def test_a_report_that_was_killed_costs_no_value(fabric: Fabric, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it was while bundles were halved and got columns: the next one makes the site that was to be."""
    monkeypatch.setattr(site_shard, "LARGEST", 2_000)
    site = fabric.runs.parent / "site"
    fabric.run(1, Made(name="a", metrics={f"m{number}": number + 0.5 for number in range(64)}))
    report(fabric)
    monkeypatch.setattr(site_shard, "LARGEST", 200)
    shutil.copytree(site, site.with_name("before"))
    fabric.run(2, Made(name="a", metrics={f"m{number}": number + 1.5 for number in range(32, 80)}))
    report(fabric)
    expected, write = published_data(fabric), SiteFiles.write
    for allowed in range(sum(path.startswith("data/shard/") for path in expected)):
        shutil.rmtree(site)
        shutil.copytree(site.with_name("before"), site)
        left = iter(range(allowed))

        def write_some(self: SiteFiles, path: str, data: bytes, left: Iterator[int] = left) -> None:
            if path.startswith("data/shard/") and next(left, None) is None:
                raise KeyboardInterrupt
            write(self, path, data)

        with monkeypatch.context() as killed:
            killed.setattr(SiteFiles, "write", write_some)
            with pytest.raises(KeyboardInterrupt):
                report(fabric)
        report(fabric)
        assert published_data(fabric) == expected


@pytest.mark.parametrize(
    "content", [None, b"", b"nbdag.load('shard/0/c0','[[1.0],", b"nbdag.load('shard/0/c0','[1]')\n"]
)
def test_a_damaged_bundle_costs_its_values(fabric: Fabric, content: bytes | None) -> None:
    """That is said once, and later runs are shown: a loss of power may leave a file empty."""
    fabric.run(1, Made(name="a", metrics={"auc": 1.0}))
    report(fabric)
    path = fabric.runs.parent / "site/data/shard/0/c0.js"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    fabric.run(2, Made(name="a", metrics={"auc": 2.0}))
    assert report(fabric).refused == ("values of earlier runs: data/shard/0/c0.js was damaged",)
    assert report(fabric).refused == ()
    [column] = [column for column in chunk(fabric, "index")["columns"] if column["name"] == "auc"]
    assert column_of(fabric, column) == [None, 2.0]


def test_a_series_has_its_least_and_greatest_value(fabric: Fabric) -> None:
    """They are columns as metrics are; what is not finite does not count, nor what was logged under that name."""
    series: dict[str, list[list[Any]]] = {
        "loss": [[0, 0.5, None], [1, "NaN", None], [2, 0.2, None], [3, 0.3, None]]
    }
    fabric.run(1, Made(name="a", series=series, metrics={"loss": 0.3, "loss.max": 9.0}))
    report(fabric)
    columns = {column["name"]: column for column in chunk(fabric, "index")["columns"]}
    values = {name: column_of(fabric, column) for name, column in columns.items() if name}
    assert values == {"loss": [0.3], "loss.max": [9.0], "loss.min": [0.2]}
    assert (columns["loss.min"]["series"], columns["loss.max"].get("series")) == ("loss", None)


def test_families_fold_into_one_node_each(fabric: Fabric) -> None:
    """A run whose tasks have instances has a second graph; one without has none."""
    trains = [Made(name=f"train[{n}]", family="train", above=("load",)) for n in range(3)]
    fabric.run(1, Made(name="load"), *trains, Made(name="sum", above=("train[0]", "train[1]", "train[2]")))
    fabric.run(2, Made(name="load"))
    report(fabric)
    folded = chunk(fabric, f"content/{chunk(fabric, 'run/run-00001')['folded']}")
    assert folded["groups"] == [["load", [0]], ["train", [1, 2, 3]], ["sum", [4]]]
    assert [edge[:2] for edge in folded["graph"]["edges"]] == [[0, 1], [1, 2]]
    assert "folded" not in chunk(fabric, "run/run-00002")
    circle = {"a[1]": (), "b": ("a[1]",), "a[2]": ("b",)}
    assert folded_graph(circle, {"a[1]": "a", "a[2]": "a", "b": "b"}) is None


def test_views_are_in_the_index(fabric: Fabric) -> None:
    """Their names lead to addresses of the site."""
    fabric.run(1, Made(name="a"))
    report(fabric, views={"best": "#/runs?sort=-metrics.auc"})
    assert chunk(fabric, "index")["settings"]["views"] == {"best": "#/runs?sort=-metrics.auc"}


def test_a_run_of_which_nothing_can_be_read_is_told(tmp_path: Path) -> None:
    """It is not left out without a word; one that is not begun is no run."""
    fabric = Fabric(tmp_path)
    for number in range(2):
        fabric.run(number, Made(name="a"))
    trace = fabric.runs / "run-00000" / TRACE
    trace.write_bytes(trace.read_bytes()[:40])
    (fabric.runs / "run-00002").mkdir()
    result = report(fabric)
    assert result.added == ("run-00001",)
    assert result.refused == ("run-00000: none of its spans can be read",)


def nested(depth: int) -> Any:
    value: Any = None
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    ["\ud800", {"\udcff": "\udcff"}, 10**30, float("nan"), nested(700)],
    ids=lambda value: repr(value)[:12],
)
def test_what_the_data_of_a_site_cannot_hold_costs_no_run(fabric: Fabric, value: Any) -> None:
    """A file whose name is no UTF-8, printed; an integer above 64 bits; lists in lists."""
    output = {
        "output_type": "display_data",
        "metadata": {},
        "data": {"application/json": value, "text/plain": "x"},
    }
    printed = {"output_type": "stream", "name": "stdout", "text": str(value)}
    fabric.run(1, Made(name="a", notebook=notebook(code("'\udcff'", output, printed))))
    result = report(fabric)
    assert (result.added, result.refused) == (("run-00001",), ())
    detail = chunk(fabric, "content/" + chunk(fabric, "run/run-00001")["tasks"][0]["detail"])
    [cell] = chunk(fabric, "content/" + detail["notebook"])
    assert (cell["s"], cell["o"][-1]["t"]) == ("'\\udcff'", "stream")


@pytest.mark.parametrize(
    "series", [1, {"loss": 1}, {"loss": [[0, 1.0]]}, {"loss": [1]}, {"loss": [[0, [], None]]}]
)
def test_a_series_that_is_none_costs_no_run(fabric: Fabric, series: Any) -> None:
    """It is not shown; the run is."""
    fabric.run(1, Made(name="a", series=series))
    result = report(fabric)
    assert (result.added, result.refused) == (("run-00001",), ())
