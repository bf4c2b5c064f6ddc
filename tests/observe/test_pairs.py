"""Which files Jupytext pairs with a notebook: by its metadata, or by the nearest configuration file."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbmake_dag.observe.pairs import config_of, paired_files

FORMATS = 'formats = "ipynb,py:percent"\n'


@pytest.mark.parametrize(
    ("formats", "expected"),
    [
        ("ipynb,py:percent", ["nb/a.ipynb", "nb/a.py"]),
        ("ipynb,auto:light", ["nb/a.ipynb", "nb/a.py"]),
        ("ipynb,md,auto", ["nb/a.ipynb", "nb/a.md", "nb/a.py"]),
        ("ipynb,s//py", ["nb/a.ipynb", "nb/s/a.py"]),
        ("nb//ipynb,s//py", ["nb/a.ipynb", "s/a.py"]),
        ("ipynb,.nb.py", ["nb/a.ipynb", "nb/a.nb.py"]),
        ("s//ipynb,py", []),
        ("ipynb,nonsense", ["nb/a.ipynb", "nb/a.nonsense"]),
        ("", []),
    ],
)
def test_formats_name_files(formats: str, expected: list[str], tmp_path: Path) -> None:
    """``auto`` is the extension of the notebook's language."""
    path = str(tmp_path / "nb" / "a.ipynb")
    assert paired_files(path, "python", formats, None) == [str(tmp_path / each) for each in expected]


def test_formats_of_a_configuration_are_those_of_metadata(tmp_path: Path) -> None:
    """Those of the metadata come first."""
    (tmp_path / "jupytext.toml").write_text('formats = "ipynb,s//auto:percent"\n')
    path, config = str(tmp_path / "nb" / "a.ipynb"), str(tmp_path / "jupytext.toml")
    assert paired_files(path, "R", "", config) == [path, str(tmp_path / "nb" / "s" / "a.R")]
    assert paired_files(path, "R", "ipynb,md", config) == [path, str(tmp_path / "nb" / "a.md")]


def test_the_folders_of_a_configuration_are_those_below_it(tmp_path: Path) -> None:
    """A table of formats pairs two trees."""
    config = tmp_path / "jupytext.toml"
    config.write_text('[formats]\n"notebooks/" = "ipynb"\n"scripts/" = "py:percent"\n')
    assert paired_files(f"{tmp_path}/notebooks/x/a.ipynb", "python", "", str(config)) == [
        f"{tmp_path}/notebooks/x/a.ipynb",
        f"{tmp_path}/scripts/x/a.py",
    ]
    assert paired_files(f"{tmp_path}/elsewhere/a.ipynb", "python", "", str(config)) == []


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("jupytext.toml", FORMATS, ["repository"]),
        (".jupytext", FORMATS, ["repository"]),
        ("jupytext.yml", "formats: ipynb,py\n", ["repository"]),
        ("pyproject.toml", f"[tool.jupytext]\n{FORMATS}", ["repository"]),
        ("pyproject.toml", 'dependencies = ["jupytext"]\n', []),
        ("pyproject.toml", "tool = 1 # jupytext\n", []),
        ("pyproject.toml", "[jupytext", []),
        (".jupytext.py", "c.formats = 'ipynb,py'\n", []),
    ],
)
def test_the_nearest_configuration_of_the_repository_counts(
    name: str, text: str, expected: list[str], tmp_path: Path
) -> None:
    """One above the repository is its owner's own, and one that is a program is not executed."""
    top = tmp_path / "repository"
    (top / "nb").mkdir(parents=True)
    (tmp_path / "jupytext.toml").write_text(FORMATS)
    assert config_of(str(top / "nb"), str(top)) is None
    (top / name).write_text(text)
    assert config_of(str(top / "nb"), str(top)) == next((str(tmp_path / each / name) for each in expected), None)
    (top / "nb" / "jupytext.toml").write_text(FORMATS)
    assert config_of(str(top / "nb"), str(top)) == str(top / "nb" / "jupytext.toml")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("jupytext.toml", "formats = {\n"),
        ("jupytext.toml", "nosuch = 1\n"),
        ("jupytext.json", "[]"),
        ("jupytext.yml", "a: ["),
        ("jupytext.toml", "formats = 7\n"),
    ],
)
def test_a_configuration_that_cannot_be_read_is_an_error(name: str, text: str, tmp_path: Path) -> None:
    """Whatever is wrong with it; a notebook whose metadata name its formats does without."""
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=r"\S"):
        paired_files(f"{tmp_path}/a.ipynb", "python", "", str(tmp_path / name))
    assert len(paired_files(f"{tmp_path}/a.ipynb", "python", "ipynb,s//py", str(tmp_path / name))) == 2
