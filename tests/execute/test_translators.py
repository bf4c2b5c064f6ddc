"""Parameters as code of other languages."""

from __future__ import annotations

import subprocess

import pytest

from nbmake_dag.execute.notebook.source import ParameterError, injected_code


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        (
            "r",
            'a = "\\u00e9 $x \\"\\U0001f600\\u000a\\\\"\nb = list(1, TRUE, NULL, Inf, list("k" = NaN))\n',
        ),
        (
            "julia",
            'a = "\\u00e9 \\$x \\"\\U0001f600\\u000a\\\\"\nb = [1, true, nothing, Inf, Dict("k" => NaN)]\n',
        ),
    ],
)
def test_values_are_spelled_as_the_language_reads_them(language, expected):
    """Text in ASCII, whatever the locale of the kernel is; nothing in it is code."""
    values = {"a": 'é $x "\U0001f600\n\\', "b": [1, True, None, float("inf"), {"k": float("nan")}]}
    assert injected_code("any", language, values) == f"# Parameters\n{expected}"


@pytest.mark.parametrize(
    ("language", "values"), [("r", {"_x": 1}), ("r", {"function": 1}), ("r", {"x": "\0"}), ("julia", {"end": 1})]
)
def test_what_a_language_cannot_hold_is_refused(language, values):
    """Before any cell, with the language's name."""
    with pytest.raises(ParameterError, match=f"cannot be written in {language}"):
        injected_code("any", language, values)


@pytest.mark.r
@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_r_reads_every_character(locale):
    """Each one that is special somewhere, and one of each length in UTF-8."""
    text = "".join(map(chr, range(1, 0x250))) + "日\ufeff\U0001f600${x}%s"
    code = injected_code("ir", "r", {"x": text}) + 'cat(utf8ToInt(enc2utf8(x)), sep = " ")'
    done = subprocess.run(
        ["Rscript", "-"],
        input=code,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": locale},
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.stdout.split() == [str(ord(character)) for character in text], done.stderr
