"""What is below ``.nbdag`` moved, copied, damaged or removed: one sentence, no file of another project touched."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from pathlib import Path

import pytest
from xxhash import xxh3_128_hexdigest

from nbmake_dag.engine.state.rescued_files import note_rescued, put_damage_aside, read_rescued
from nbmake_dag.observe.project import Project as ProjectPaths
from nbmake_dag.record.outcome import RescuedFile
from tests.support.every_kind import files_below, make_every_kind
from tests.support.limits import limited
from tests.support.project import DEADLINE_S, NBDAG, Project, await_true, kill

pytestmark = pytest.mark.fault

SLOW = """
    [tasks.a]
    command = "touch begun; cp in.txt a.txt; sleep $(cat s.txt)"
    inputs = ["in.txt", "s.txt"]
    outputs = ["a.txt"]
"""


def begun(project: Project) -> subprocess.Popen[bytes]:
    """Build once, then begin a task that takes long after it wrote its output."""
    project.pipeline(SLOW).write("in.txt", "old").write("s.txt", "0").build().ran("a")
    project.remove("begun").write("in.txt", "new").write("s.txt", "1000")
    build = project.start("build")
    await_true((project / "begun").exists, 60, "it did not begin")
    await_true((project / "a.txt").exists, 60, "it wrote nothing")
    return build


def quick(project: Project) -> None:
    """Let the task end at once, with another key than before."""
    project.write("s.txt", "0.0")


def moved(project: Project, name: str) -> Project:
    other = Project(project.root.parent / name)
    other.root.rmdir() if other.root.exists() else None
    project.root.rename(other.root)
    return other


def test_a_project_that_was_moved_after_a_kill_builds(project):
    """As it would have where it was."""
    kill(begun(project))
    other = moved(project, "elsewhere")
    quick(other)
    other.build().ran("a").said("an interrupted build left")
    assert other.read("a.txt") == "new"


def test_a_copy_made_while_a_build_runs_leaves_the_original_alone(project):
    """Neither its output nor its end suffers from a build of the copy."""
    build = begun(project)
    other = Project.copied(project.root, project.root.parent / "copy")
    quick(other)
    other.build().ran("a")
    assert project.read("a.txt") == "new"
    assert not (project / ".nbdag/failed").exists()
    kill(build)
    quick(project)
    project.build().ran("a")


def test_a_build_whose_state_is_removed_ends_and_spares_the_results_of_the_next(project):
    """The next build takes a lock of its own; the first ends with one sentence, and moves nothing."""
    project.pipeline(SLOW).write("in.txt", "new").write("s.txt", "1000")
    first = subprocess.Popen(
        [*NBDAG, "build"], cwd=project.root, env=project.environment(), stderr=subprocess.PIPE, text=True
    )
    await_true((project / "begun").exists, 60, "it did not begin")
    shutil.rmtree(project / ".nbdag")
    quick(project)
    project.build("--no-wait").ran("a")
    said = first.communicate(timeout=DEADLINE_S)[1]
    assert first.returncode == 3
    assert ".nbdag was removed or replaced while the build ran" in said
    assert "defect" not in said
    assert project.read("a.txt") == "new"
    project.build().ran()


@pytest.mark.parametrize("kind", ["flip", "empty", "directory", "fifo", "dangling"])
@pytest.mark.parametrize("name", ["last.json", "drafts.json"])
def test_a_damaged_file_of_the_state_costs_one_warning(project, name, kind):
    """It is put aside, and what was up to date still is."""
    project.pipeline(SLOW).write("in.txt", "new").write("s.txt", "0").build().ran("a")
    path = project / ".nbdag/state" / name
    content = path.read_bytes() if path.exists() else b"nbdag"
    path.unlink(missing_ok=True)
    match kind:
        case "flip":
            path.write_bytes(content[:-3] + bytes([content[-3] ^ 0x80]) + content[-2:])
        case "empty":
            path.touch()
        case "directory":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case _:
            path.symlink_to("nothing")
    shutil.rmtree(project / ".nbdag/state/unchanged")
    project.build().ran().said(f"warning: {path} cannot be used and is put aside")
    shutil.rmtree(project / ".nbdag/state/unchanged", ignore_errors=True)
    again = project.build().ran()
    assert "warning" not in again.err


def test_a_damaged_index_or_record_is_said_once(project):
    """By the build that finds it, which goes well; the next one has nothing to say of it."""
    project.pipeline('[tasks.a]\ncommand = "echo > a.txt"\noutputs = ["a.txt"]\n').build().ran("a")
    (record,) = (project / ".nbdag/cache/records").rglob("*.json")
    record.write_bytes(record.read_bytes()[:-9])
    (project / ".nbdag/state/files/cache.db").write_bytes(b"garbage" * 1_000)
    found = project.build().ran("a")
    assert found.err.count(f"warning: {record} was damaged and is removed") == 1
    assert found.err.count("state/files was damaged and is recreated") == 1
    assert "damaged" not in project.build().ran().err


def test_a_result_of_another_version_is_left_to_it(project):
    """A command that only looks says so once, and removes nothing."""
    project.pipeline('[tasks.a]\ncommand = "echo > a.txt"\noutputs = ["a.txt"]\n').build().ran("a")
    (path,) = (project / ".nbdag/cache/records").rglob("*.json")
    body = b"," + path.read_bytes().partition(b",")[2].replace(b'"format":7', b'"format":8,"more":1')
    path.write_bytes(b'{"checksum":"%b"' % xxh3_128_hexdigest(body).encode() + body)
    said = project.nbdag("status").stderr
    assert said.count("results of another version of nbdag are not used") == 1
    assert "it has format 8, this version reads" in said
    assert path.exists()


def test_a_damaged_table_of_hits_is_reported_and_made_again(project):
    """Runs that name it are shown without its tasks; the next build looks at all, and they are whole again."""
    project.pipeline("""
        [tasks.a]
        matrix = { n = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23] }
        command = "touch {n}.txt"
        outputs = ["{n}.txt"]
    """)
    for name in range(24):
        project.write(f"{name}.txt", "")
    project.build("--accept")
    project.build().ran()
    shown = project.nbdag("show", "latest", "--json")
    assert (shown.stdout.count('"up_to_date"'), shown.stderr) == (25, "")
    for table in (project / ".nbdag/runs/.hits").iterdir():
        table.write_bytes(table.read_bytes()[:-9])
    shown = project.nbdag("show", "latest")
    assert (shown.returncode, shown.stderr.count("\n")) == (0, 1)
    assert "lacks tasks that were up to date: a table of their spans is gone or damaged" in shown.stderr
    project.build().ran()
    for run in ("latest", "latest~1"):
        shown = project.nbdag("show", run, "--json")
        assert (shown.stdout.count('"up_to_date"'), shown.stderr) == (25, "")


def test_a_line_that_was_cut_off_loses_no_other_of_the_rescued_files(tmp_path):
    """What is added later stands on a line of its own."""
    place = ProjectPaths(config=str(tmp_path / "pipeline.toml"), root=str(tmp_path), repository=str(tmp_path))
    first, second = (RescuedFile(path=name, sha256=name * 64) for name in "ab")
    note_rescued(place, [first])
    (listed,) = (tmp_path / ".nbdag/runs").iterdir()
    whole = listed.read_bytes()
    for length in range(len(whole)):
        listed.write_bytes(whole[:length])
        note_rescued(place, [second])
        assert second in read_rescued(place)


def test_a_flipped_bit_in_the_list_of_rescued_files_is_reported_once(tmp_path):
    """Wherever it is; the line counts as lost, and is never read as another file. The other lines stay."""
    place = ProjectPaths(config=str(tmp_path / "pipeline.toml"), root=str(tmp_path), repository=str(tmp_path))
    note_rescued(place, [RescuedFile(path=name, sha256=name * 64) for name in "abc"])
    whole, files = read_rescued(place), (tmp_path / ".nbdag/runs/rescued.jsonl").read_bytes()
    for at in range(len(files)):
        for bit in (1, 4, 0x80):
            (tmp_path / ".nbdag/runs/rescued.jsonl").write_bytes(
                files[:at] + bytes([files[at] ^ bit]) + files[at + 1 :]
            )
            warnings: list[str] = []
            put_damage_aside(place, warnings.append)
            left = read_rescued(place)
            assert set(left) < set(whole)
            assert len(left) >= 1
            assert len(warnings) == 1
            put_damage_aside(place, warnings.append)
            assert (read_rescued(place), len(warnings)) == (left, 1)
            for aside in (tmp_path / ".nbdag/runs").glob("*.damaged"):
                aside.unlink()


def rescued_three(folder: Path) -> ProjectPaths:
    """Make a project whose list names three files."""
    place = ProjectPaths(config=str(folder / "pipeline.toml"), root=str(folder), repository=str(folder))
    note_rescued(place, [RescuedFile(path=name, sha256=name * 64) for name in "abc"])
    return place


def test_a_list_of_rescued_files_that_cannot_be_read_is_not_taken_for_empty(tmp_path):
    """Whoever wants to remove what it does not name has the error, and the list stays."""
    place = rescued_three(tmp_path)
    whole = read_rescued(place)
    with pytest.raises(OSError, match="Too many open files"), limited(resource.RLIMIT_NOFILE, 0):
        read_rescued(place)
    assert read_rescued(place) == whole


def test_a_full_disk_loses_no_sound_line_of_the_rescued_files(tmp_path):
    """The list is replaced as a whole, or stays."""
    place = rescued_three(tmp_path)
    listed = tmp_path / ".nbdag/runs/rescued.jsonl"
    listed.write_bytes(listed.read_bytes()[:-3])
    left = read_rescued(place)
    assert len(left) == 2
    warnings: list[str] = []
    with pytest.raises(OSError, match="File too large"), limited(resource.RLIMIT_FSIZE, 0):
        put_damage_aside(place, warnings.append)
    assert read_rescued(place) == left


@pytest.mark.parametrize(
    "makes", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("nothing")], ids=["folder", "fifo", "dangling"]
)
def test_what_stands_in_the_place_of_the_rescued_files_is_put_aside_with_a_warning(tmp_path, makes):
    """Reading alone changes nothing; what is added later is in a new list."""
    place = rescued_three(tmp_path)
    listed = tmp_path / ".nbdag/runs/rescued.jsonl"
    listed.unlink()
    makes(listed)
    assert read_rescued(place) == ()
    assert [item.name for item in listed.parent.iterdir()] == ["rescued.jsonl"]
    warnings: list[str] = []
    for _ in range(2):
        put_damage_aside(place, warnings.append)
    assert len(warnings) == 1
    assert f"{listed} is not a file" in warnings[0]
    makes(listed)
    note_rescued(place, [RescuedFile(path="d", sha256="d" * 64)])
    assert [item.path for item in read_rescued(place)] == ["d"]


@pytest.mark.parametrize(
    ("path", "makes"),
    [
        (".nbdag", lambda path: path.write_text("")),
        (".nbdag", lambda path: path.symlink_to("nothing")),
        (".nbdag", lambda path: path.symlink_to(".nbdag")),
        (".nbdag/state", lambda path: path.write_text("")),
        (".nbdag/state/aside", lambda path: path.write_text("")),
        (".nbdag/runs", lambda path: path.write_text("")),
    ],
)
def test_something_else_in_the_place_of_a_folder_is_no_defect(project, path, makes):
    """The message has its path and what to do."""
    project.pipeline('[tasks.a]\ncommand = "echo 1 > a.txt"\noutputs = ["a.txt"]\n')
    (project / path).parent.mkdir(parents=True, exist_ok=True)
    makes(project / path)
    done = project.nbdag("build")
    assert done.returncode in {0, 3}, done.stderr
    assert "defect" not in done.stderr
    assert str(project / path) in done.stderr


def test_a_working_directory_that_is_gone_is_no_defect(project):
    """The message says that it is."""
    gone = project.root / "gone"
    gone.mkdir()
    done = subprocess.run(
        ["sh", "-c", 'rmdir ../gone; exec "$@"', "sh", *NBDAG, "build"],
        cwd=gone,
        env=project.environment(),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 3
    assert "defect" not in done.stderr
    assert "hint: the current directory was removed; change to one that exists" in done.stderr


def test_few_file_descriptors_are_no_defect_and_no_wrong_usage(project):
    """The exit code is that of a machine."""
    project.pipeline('[tasks.a]\ncommand = "echo 1 > a.txt"\noutputs = ["a.txt"]\n')
    for limit in (10, 12, 16, 20):
        done = subprocess.run(
            ["sh", "-c", f'ulimit -n {limit}; exec "$@"', "sh", *NBDAG, "build"],
            cwd=project.root,
            env=project.environment(),
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        assert done.returncode in {0, 1, 3}, done.stderr
        assert "defect" not in done.stderr


def test_no_command_waits_for_a_pipe_in_the_place_of_a_file_of_ours(project):
    """Whatever reads a file below `.nbdag` takes what is no file as lost."""
    make_every_kind(project)
    for path in files_below(project):
        (project / ".nbdag" / path).unlink()
        os.mkfifo(project / ".nbdag" / path)
    for command in (
        "status",
        "explain a",
        "runs --kind=replay",
        "runs",
        "report",
        "show",
        "diff",
        "blame",
        "replay",
        "clean --dry-run",
        "cache info",
        "cache gc",
        "cache gc --drop-secrets",
        "build",
    ):
        done = project.nbdag(*command.split())
        assert done.returncode in {0, 1, 2, 5}, f"{command}\n{done.stderr}"
        assert "defect" not in done.stderr, f"{command}\n{done.stderr}"
    assert project.read("c.txt") == "11"
