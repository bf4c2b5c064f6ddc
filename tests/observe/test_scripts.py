"""The scripts that lines of shell run, found by reading them."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbmake_dag.observe.scripts import scripts_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    for name in ("a.sh", "b.sh", "s.py", "sub/g.py", "sub/h.sh"):
        (tmp_path / name).write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("lines", "files"),
    [
        ('d=sub; cd "$d" && python g.py', ["sub/g.py"]),
        ("export D=sub; python ${D}/g.py", ["sub/g.py"]),
        ("for f in a.sh b.sh; do bash $f; done", ["a.sh", "b.sh"]),
        ('for f in *.sh; do sh "$f"; done', ["a.sh", "b.sh"]),
        ("cat <<EOF > q.sh\nsh a.sh\nEOF\nsh b.sh", ["b.sh"]),
        ("bash <<-'EOF'\n\tsh a.sh\n\tEOF\n", ["a.sh"]),
        ("echo $((1<<2))\nsh a.sh", ["a.sh"]),
        ("cat <<A <<B\nsh a.sh\nA\nsh b.sh\nB\nsh sub/h.sh", ["sub/h.sh"]),
        ('sh -c "cd sub; sh h.sh"', ["sub/h.sh"]),
        ("> out.txt sh a.sh", ["a.sh"]),
        ('"$PYTHON" s.py', ["s.py"]),
        ("eval 'sh a.sh'", ["a.sh"]),
        ("(cd sub; python g.py); sh a.sh", ["sub/g.py", "a.sh"]),
    ],
)
def test_what_is_written_is_found(folder: Path, lines: str, files: list[str]) -> None:
    """Through variables, loops, patterns, here-documents and folders."""
    found = scripts_of(lines, str(folder))
    assert [script.path.removeprefix(f"{folder}/") for script in found.files] == files
    assert not found.unknown


@pytest.mark.parametrize(
    ("lines", "unknown"),
    [
        ('cd "$d" && python g.py', "python g.py"),
        ("cd $(git rev-parse --show-toplevel); sh a.sh", "sh a.sh"),
        ('bash "$1" > out.txt', "bash $1"),
        ("python -m $module", "python -m $module"),
        ('while read f; do bash "$f"; done < list.txt', "bash $f"),
        ("ls | xargs bash", "xargs bash"),
        ('eval "$line"', "$line"),
        ('bash -c "$line"', "$line"),
        ("$tools/run x", "$tools/run x"),
    ],
)
def test_what_is_computed_is_named(folder: Path, lines: str, unknown: str) -> None:
    """No path is made of a text that means another one when it runs."""
    found = scripts_of(lines, str(folder))
    assert found.unknown == (unknown,)
    assert not any("$" in path for path in found.missing)
    assert not found.files


@pytest.mark.parametrize(
    "lines",
    ['git commit -m "$text"', "mkdir -p $d; cp x $d/y.sh", "x=$(date); echo $x", "echo hi > $out", "ls $d/*.csv"],
)
def test_a_computed_argument_of_another_program_is_no_script(folder: Path, lines: str) -> None:
    """Only interpreters run what they are given."""
    assert scripts_of(lines, str(folder)).unknown == ()
