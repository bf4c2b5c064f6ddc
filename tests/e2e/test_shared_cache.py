"""Clones that share a cache: what one ran another restores, and whatever happens there, builds succeed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbmake_dag_cache.signatures import Signer
from tests.cache.servers import serving, silent
from tests.e2e.test_lean import imported
from tests.support.buckets import bucket_called
from tests.support.project import Project, await_true

SHARED = """
    [cache]
    remote = "../shared"
    remote_mode = "read-write"
"""
TASKS = """
    [tasks.one]
    command = "seq 1 20 > one.txt"
    outputs = ["one.txt"]

    [tasks.two]
    command = "sort -rn one.txt > two.txt"
    inputs = ["one.txt"]
    outputs = ["two.txt"]
"""
WITH_NOTEBOOK = """
    [tasks.measure]
    notebook = "measure.py"
    inputs = ["one.txt"]
    outputs = ["parts/"]

    [tasks.report]
    notebook = "report.py"
    after = ["measure"]
    outputs = ["report.txt"]
"""


def clone(project: Project, name: str) -> Project:
    """Make a fresh clone beside a project: its sources, without outputs and ``.nbdag``."""
    root = project.root.parent / name
    ignored = shutil.ignore_patterns(".nbdag", "one.txt", "two.txt", "parts", "report.txt", "__pycache__")
    shutil.copytree(project.root, root, ignore=ignored)
    return Project(root)


@pytest.fixture
def pair(project: Project) -> Project:
    """Make two commands that share their results through a folder beside the project."""
    return project.pipeline(SHARED + TASKS)


def shared_files(project: Project, kind: str = "") -> list[Path]:
    folder = project.root.parent / "shared"
    return sorted(path for path in folder.rglob("*") if path.is_file() and kind in path.parts)


def records(project: Project) -> int:
    return len(shared_files(project, "records"))


def github(event: str, tmp_path: Path, *, head: str = "owner/repo") -> dict[str, str]:
    """Give the variables of a run on GitHub."""
    path = tmp_path / "event.json"
    path.write_text(json.dumps({"pull_request": {"head": {"repo": {"full_name": head}}}}))
    ref = "refs/pull/7/merge" if event == "pull_request" else "refs/heads/main"
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": event,
        "GITHUB_EVENT_PATH": str(path),
        "GITHUB_REPOSITORY": "owner/repo",
        "GITHUB_REF": ref,
        "GITHUB_REF_NAME": ref.split("/", 2)[2],
        "GITHUB_REF_TYPE": "branch",
    }


@pytest.mark.slow
def test_a_second_clone_restores_everything(project: Project):
    """Notebooks, folders, modules seen at run time, values read; after an edit exactly what it concerns runs."""
    project.pipeline(SHARED + TASKS + WITH_NOTEBOOK).write("helper.py", "FACTOR = 3\n")
    project.notebook(
        "measure.py",
        """
        import importlib, os
        import nbmake_dag as nbdag
        helper = importlib.import_module(chr(104) + "elper")
        """,
        """
        os.makedirs("parts", exist_ok=True)
        for number, line in enumerate(open("one.txt")):
            open(f"parts/{number}.txt", "w").write(str(int(line) * helper.FACTOR))
        nbdag.log_metric("lines", number)
        nbdag.log_text("a plot", "plots/a.txt")
        """,
    )
    project.notebook(
        "report.py",
        "import nbmake_dag as nbdag",
        "open('report.txt', 'w').write(str(nbdag.upstream()['measure'].metrics['lines']))",
    )
    everything = ["measure", "one", "report", "two"]
    project.build().ran(*everything).said("shared cache: 4 sent")
    second = clone(project, "second")
    second.build().ran().restored(*everything).said("shared cache: 4 received")
    outputs = ["one.txt", "two.txt", "parts", "report.txt"]
    assert second.contents(outputs) == project.contents(outputs)
    assert second.nbdag("cache", "verify").returncode == 0
    second.edit("helper.py", "3", "4").build().ran("measure").said("shared cache: 1 sent")
    third = clone(second, "third")
    third.build().ran().restored(*everything)
    third.edit("helper.py", "4", "3").build().ran().restored("measure")


def test_a_build_that_fails_does_not_wait_for_what_another_one_executes(project: Project):
    """That may take an hour, and nobody wants the result here any more."""
    project.pipeline(
        SHARED
        + """
        [tasks.fails]
        command = "false"

        [tasks.long]
        command = "touch ../begun; sleep 1000"
        """
    )
    second = clone(project, "second")
    first = project.start("build", "long")
    try:
        await_true((project.root.parent / "begun").exists, 60, "it did not begin")
        second.build().ended(1, failed=["fails"], cancelled=["long"])
        assert first.poll() is None
    finally:
        first.terminate()
        first.wait(60)


def test_an_up_to_date_build_does_not_touch_the_shared_cache(pair: Project):
    """Nothing of fsspec is imported where everything is in place, whether that is known at once or by looking."""
    pair.build().ran("one", "two")
    shutil.rmtree(pair.root.parent / "shared")
    heavy = ["fsspec", "s3fs", "cryptography"]
    assert imported(pair, heavy) == "0"
    assert imported(pair, heavy, "two.txt") == "0"


def test_outputs_in_place_are_not_fetched(pair: Project):
    """A clone that has the files of before takes the record, and stores its own bytes."""
    pair.build()
    second = clone(pair, "second")
    shutil.copy(pair / "one.txt", second / "one.txt")
    for blob in shared_files(pair, "blobs"):
        if blob.read_bytes() == (pair / "one.txt").read_bytes():
            blob.unlink()
    second.build().ran().restored("two")
    assert second.nbdag("cache", "verify").returncode == 0


def test_a_lost_blob_is_fetched_again(pair: Project):
    """A local cache that was restored by half is mended from the shared one."""
    pair.build()
    shutil.rmtree(pair / ".nbdag/cache/blobs")
    pair.remove("one.txt", "two.txt")
    pair.build().ran().restored("one", "two")
    assert pair.nbdag("cache", "verify").returncode == 0


@pytest.mark.slow
def test_the_option_and_the_mode_decide_what_is_read_and_written(pair: Project):
    """Writing needs both, and so does reading."""
    pair.build("--cache=read").ran("one", "two")
    pair.build("--cache=off").ran("one", "two")
    assert shared_files(pair) == []
    pair.build("--cache=write").ran("one", "two").said("2 sent")
    clone(pair, "reader").build("--cache=read").ran().restored("one", "two")
    clone(pair, "writer").build("--cache=write").ran("one", "two")
    default = clone(pair, "default").edit("pipeline.toml", 'remote_mode = "read-write"\n', "")
    default.edit("pipeline.toml", "20", "21").build().ran("one", "two")
    assert records(pair) == 2


@pytest.mark.slow
def test_a_fork_writes_nothing_and_a_pull_request_only_for_itself(pair: Project, tmp_path: Path):
    """What main has all read; what a pull request made, main makes again."""
    pair.build(env=github("push", tmp_path)).ran("one", "two")
    edited = clone(pair, "edited").edit("pipeline.toml", "sort -rn", "sort -n")
    fork = clone(edited, "fork").build(env=github("pull_request", tmp_path, head="stranger/repo"))
    fork.ran("two").restored("one").said(
        "nothing is written to the shared cache: this is a pull request from a fork"
    )
    assert records(pair) == 2
    edited.build(env=github("pull_request", tmp_path)).ran("two").restored("one")
    assert records(pair) == 3
    clone(edited, "again").build(env=github("pull_request", tmp_path)).ran().restored("one", "two")
    clone(edited, "merged").build(env=github("push", tmp_path)).ran("two").restored("one")


def test_a_result_with_a_secret_in_it_stays_here(pair: Project):
    """The value of a variable that no task declares; it is reported once, and the rest is shared."""
    pair.edit("pipeline.toml", "sort -rn one.txt >", "echo $DB_URL >")
    secret = {"DB_URL": "postgres://hush-hush", "DB_PASSWORD": "postgres://hush-hush"}
    built = pair.build(env=secret).ran("one", "two").said("1 sent, 1 not sent")
    assert built.err.count("two was not shared: two.txt holds the value of DB_PASSWORD") == 1
    assert records(pair) == 1
    assert not any(b"hush-hush" in path.read_bytes() for path in shared_files(pair))
    pair.build(env=secret).ran()


@pytest.mark.slow
def test_what_could_not_be_sent_goes_with_the_next_build(pair: Project):
    """A shared cache that cannot be written costs one warning; later the results follow."""
    place = pair.root.parent / "shared"
    place.write_text("no folder")
    built = pair.build().ran("one", "two").said("2 not sent")
    assert built.err.count("warning: ") == 1
    place.unlink()
    pair.remove("two.txt").build().ran().restored("two").said("2 sent")
    clone(pair, "second").build().ran().restored("one", "two")


@pytest.mark.slow
def test_a_result_whose_bytes_are_gone_is_not_sent_for_ever(pair: Project):
    """It is counted once; only its task can bring it back."""
    place = pair.root.parent / "shared"
    place.write_text("no folder")
    pair.build().ran("one", "two").said("2 not sent")
    place.unlink()
    for blob in (pair / ".nbdag/cache/blobs").glob("*/*"):
        blob.unlink()
    again = "sort -rn one.txt | tee two.txt"
    pair.edit("pipeline.toml", "sort -rn one.txt > two.txt", again).build().ran("two").said("1 sent, 2 not sent")
    pair.edit("pipeline.toml", again, f"{again} | cat").build().ran("two").said("1 sent")


def damaged_blob(shared: Path) -> None:
    for path in shared.glob("*/blobs/*/*"):
        path.chmod(0o644)
        path.write_bytes(b"evil" + path.read_bytes()[4:])


def evil_paths(shared: Path) -> None:
    for path in shared.glob("*/records/*/*"):
        path.write_bytes(path.read_bytes().replace(b"one.txt", b"../x.tx"))


def pickles(shared: Path) -> None:
    for path in shared.glob("*/*/*/*"):
        path.chmod(0o644)
        path.write_bytes(b"\x80\x04\x95\x0f\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x8c\x06getpid\x93)R.")


def links(shared: Path) -> None:
    for path in shared.glob("*/records/*/*"):
        path.unlink()
        path.symlink_to("/dev/zero")


@pytest.mark.slow
@pytest.mark.parametrize("poison", [damaged_blob, evil_paths, pickles, links])
def test_a_poisoned_shared_cache_is_built_around(pair: Project, poison):
    """Everything runs, one warning counts what was refused, and nothing is written beside the project."""
    pair.build().ran("one", "two")
    shared = pair.root.parent / "shared"
    poison(shared)
    reader = clone(pair, "reader").edit("pipeline.toml", "read-write", "read")
    before = sorted(str(path) for path in pair.root.parent.rglob("*") if reader.root not in path.parents)
    built = reader.build().ran("one", "two")
    assert built.err.count("warning: ") == 1
    assert "were refused" in built.err
    after = sorted(str(path) for path in pair.root.parent.rglob("*") if reader.root not in path.parents)
    assert after == before
    assert reader.contents(["one.txt", "two.txt"]) == pair.contents(["one.txt", "two.txt"])


def test_only_signed_records_are_believed_where_keys_are_declared(pair: Project):
    """Without the private key nothing is written, and what others wrote unsigned is refused."""
    pair.build().ran("one", "two")
    signer, private_key = Signer.new()
    keys = f'remote_mode = "read-write"\n    public_keys = ["{signer.public_key}"]'
    careful = clone(pair, "careful").edit("pipeline.toml", 'remote_mode = "read-write"', keys)
    built = careful.build().ran("one", "two")
    built.said("NBDAG_CACHE_SIGNING_KEY is not set").said("2 of its entries were refused (no signature: 2)")
    signing = clone(careful, "signing").build(env={"NBDAG_CACHE_SIGNING_KEY": private_key})
    signing.ran("one", "two").said("2 sent")
    clone(careful, "verifying").build().ran().restored("one", "two")
    other = clone(careful, "other").build(env={"NBDAG_CACHE_SIGNING_KEY": Signer.new()[1]})
    assert (other.code, "belongs to none of" in other.err) == (2, True)


def test_the_signing_key_does_not_reach_the_work(pair: Project):
    """A task could print it."""
    _signer, private_key = Signer.new()
    pair.edit("pipeline.toml", "seq 1 20 >", "env >")
    pair.build(env={"NBDAG_CACHE_SIGNING_KEY": private_key}).said("sent")
    assert private_key not in pair.read("one.txt")


@pytest.mark.parametrize("remote", ["gs://bucket/x", "nonsense://x"])
def test_a_file_system_that_is_not_installed_is_one_clear_error(pair: Project, remote: str):
    """Nothing is built."""
    built = pair.edit("pipeline.toml", "../shared", remote).build()
    assert (built.code, built.summary["tasks"]) == (2, [])
    built.said("`[cache] remote` cannot be used")


@pytest.fixture
def bucket(project: Project) -> Iterator[dict[str, str]]:
    """Serve a bucket; its variables are for the builds."""
    with bucket_called("team") as variables:
        yield variables


@pytest.mark.slow
def test_two_clones_share_a_bucket(pair: Project, bucket: dict[str, str]):
    """S3 over HTTP; when it is gone, builds go on, with one warning."""
    pair.edit("pipeline.toml", "../shared", "s3://team/cache")
    pair.build(env=bucket).ran("one", "two").said("2 sent")
    clone(pair, "second").build(env=bucket).ran().restored("one", "two").said("2 received")
    nobody = {**bucket, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    alone = clone(pair, "alone").build(env=nobody).ran("one", "two")
    assert alone.err.count("warning: ") == 1


@pytest.mark.slow
def test_a_server_that_never_answers_costs_a_bounded_time(pair: Project):
    """About half a minute, in which nothing else could have been done; then everything runs."""
    with serving(silent) as port:
        pair.edit("pipeline.toml", "../shared", f"http://127.0.0.1:{port}/cache")
        built = pair.build().ran("one", "two").said("no answer within 10 s")
    assert built.err.count("warning: ") == 1
