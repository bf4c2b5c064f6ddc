"""The scripts that lines of shell run, found by reading them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmake_dag.observe.scripts import scripts_of
from nbmake_dag.observe.shell import commands, recipes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    for name in ("a.sh", "b.sh", "s.py", "sub/g.py", "sub/h.sh", "plain", "sub/Makefile", "x.mk", "sub/tool"):
        (tmp_path / name).write_text("")
    (tmp_path / "enter").write_text("D=sub\ncd $D\n")
    (tmp_path / "tool").write_text("")
    (tmp_path / "tool").chmod(0o755)
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
        ("env X=1 python -u plain", ["plain"]),
        ("bash -o pipefail plain", ["plain"]),
        ("timeout 10 nice -n 5 ./tool x", ["tool"]),
        ("mpirun -n 2 ./tool x", ["tool"]),
        ("echo `./tool`", ["tool"]),
        ('x="$(./tool)"', ["tool"]),
        ("diff <(./tool) x", ["tool"]),
        ('bash -ec "cd sub && python g.py --x 1"', ["sub/g.py"]),
        ('parallel "python s.py {}"', ["s.py"]),
        ("xargs -n1 ./tool", ["tool"]),
        ("find . -name '*.py' -exec python {} \\;", ["s.py", "sub/g.py"]),
        ("cat plain | sh", ["plain"]),
        ("sh < plain", ["plain"]),
        ("echo 'sh a.sh' | sh", ["a.sh"]),
        ("python x --plugin=s.py", ["s.py"]),
        ("make -C sub", ["sub/Makefile"]),
        ("make -f x.mk", ["x.mk"]),
        (". ./enter; python g.py", ["enter", "sub/g.py"]),
        ('"$PWD/tool" x', ["tool"]),
        ("PATH=$PWD/sub:$PATH; tool", ["sub/tool"]),
        ("pushd sub; python g.py; popd; sh a.sh", ["sub/g.py", "a.sh"]),
        ("bash \\\n  plain", ["plain"]),
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
        ('python "$script" --config c.txt', "python $script --config c.txt"),
        ("generate | sh", "generate | sh"),
    ],
)
def test_what_is_computed_is_named(folder: Path, lines: str, unknown: str) -> None:
    """No path is made of a text that means another one when it runs."""
    found = scripts_of(lines, str(folder))
    assert found.unknown == (unknown,)
    assert not any("$" in path for path in found.missing)
    assert not found.files


def test_a_computed_folder_leaves_scripts_unknown(folder: Path) -> None:
    """It is no folder of that name."""
    found = scripts_of(["python", "s.py"], f"{folder}/\N{REPLACEMENT CHARACTER}")
    assert (found.unknown, found.files) == (("python s.py",), ())


@pytest.mark.parametrize(
    ("arguments", "paths"),
    [
        ("PYTHONPATH=sub python s.py", ["sub"]),
        ("export PYTHONPATH=$PWD/sub:$PYTHONPATH; python s.py", ["sub"]),
        (["env", "PYTHONPATH=sub:/x", "python", "s.py"], ["sub", "/x"]),
    ],
)
def test_an_import_path_goes_with_a_script(folder: Path, arguments: str | list[str], paths: list[str]) -> None:
    """As the shell or `env` sets it."""
    [script] = scripts_of(arguments, str(folder)).files
    assert [path.removeprefix(f"{folder}/") for path in script.python_path] == paths


def test_makefiles_are_read_by_lines() -> None:
    """With their variables, what they export, and what they include."""
    makefile = "S = s.py\nexport P=1\ninclude x.mk\nall: \\\n a\n\t@cd sub && $(MAKE) x\n\tpython $(S) $@\n"
    expected = ["make -f x.mk", "all:   a", "cd sub && make x", "python s.py $@"]
    assert [line.removeprefix("export P=1;") for line in recipes(makefile)][2:] == expected


@pytest.mark.parametrize(
    "lines",
    [
        'git commit -m "$text"',
        "mkdir -p $d; cp x $d/y.sh",
        "x=$(date); echo $x",
        "echo hi > $out",
        "ls $d/*.csv",
        "grep -o '[^\"]*.txt' x",
        "tr -d '(' < x",
        """tr -d "'" < x""",
    ],
)
def test_a_computed_argument_of_another_program_is_no_script(folder: Path, lines: str) -> None:
    """Only interpreters run what they are given."""
    assert scripts_of(lines, str(folder)).unknown == ()


@given(st.text(alphabet="ab1_./=,:@%+*?~^$[]{}!;&|()<>\n \t-", max_size=30))
def test_lines_without_quotes_are_taken_apart_as_any_others_are(lines: str) -> None:
    """A comment turns the short way off."""
    assert commands(lines) == commands(f"{lines} # said")
