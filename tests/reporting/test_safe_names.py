"""Names that a notebook chose stay below the folder that they are meant for, each as a file of its own."""

import os
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from nbmake_dag_reporting.safe_names import safe_folders, safe_name, safe_paths

HOSTILE = ["../../etc/passwd", "/etc/passwd", "..", ".", "", "a/../../b", "a\0b", "a\nb", "C:\\x", "~", "\ud800"]
NAMES = st.lists(st.text(max_size=300) | st.sampled_from([*HOSTILE, "a", "A", "a/b", "A/b"]), max_size=8)


def test_plain_names_stay_as_they_are() -> None:
    """Names of instances and of artefacts are readable in the tree."""
    for name in ("train[nr_train_images=600]", "roc.png", "größe.txt", "a b, c"):
        assert safe_name(name) == name
    assert safe_paths(["plots/roc.png"]) == {"plots/roc.png": "plots/roc.png"}
    assert safe_folders(["x=a/b"]) == {"x=a/b": "x=a%2Fb"}


def test_files_and_folders_of_one_name_are_told_apart() -> None:
    """Also where a file system does not tell cases apart."""
    assert safe_paths(["a", "a/b", "A"]) == {"A": "A", "a": "2~a", "a/b": "2~a/b"} or safe_paths(
        ["a", "a/b", "A"]
    ) == {"A": "A", "a": "2~a", "a/b": "3~a/b"}


@given(NAMES)
@example(HOSTILE)
def test_no_path_leaves_its_folder_and_none_is_used_twice(names: list[str]) -> None:
    """Every path is relative, has no step upwards, and fits a file system; no two are the same."""
    for paths in (safe_paths(names), safe_folders(names)):
        assert set(paths) == set(names)
        assert len({path.casefold() for path in paths.values()}) == len(paths)
        for path in paths.values():
            assert os.path.normpath(path) == path
            assert not os.path.isabs(path)
            parts = path.split("/")
            assert not {"", ".", ".."}.intersection(parts)
            assert all(len(os.fsencode(part)) <= 255 for part in parts)


def test_all_of_them_can_be_written(tmp_path: Path) -> None:
    """The file system takes them, and nothing is beside the folder."""
    inside = tmp_path / "inside"
    for path in safe_paths([*HOSTILE, "a", "a/b", "x" * 300]).values():
        (inside / path).parent.mkdir(parents=True, exist_ok=True)
        (inside / path).write_text("")
    assert os.listdir(tmp_path) == ["inside"]
