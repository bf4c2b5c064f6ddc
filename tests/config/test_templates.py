"""``{name}`` in paths and commands."""

import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmake_dag.config.templates import UnknownNameError, fill_command, fill_path, names_in
from nbmake_dag.core.model import Value

VALUES: dict[str, Value] = {
    "lr": 0.1,
    "kind": "adam",
    "one": "1",
    "text": "it's {lr}",
    "on": True,
    "sizes": [1, 2],
}


def test_a_path_has_texts_as_they_are_and_other_values_as_in_instance_names():
    """So that a path can be made of what names of files are made of; values are not replaced again."""
    assert fill_path("m/{kind}-{lr}/{one}/{on}", VALUES) == "m/adam-0.1/1/true"
    assert fill_path("{text}", VALUES) == "it's {lr}"
    assert fill_path("plain", VALUES) == "plain"


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{lrr}", "lrr"),
        ("{}", ""),
        ("{lr.real}", "lr.real"),
        ("{lr:>5}", "lr:>5"),
        ("{lr!r}", "lr!r"),
        ("{sizes[0]}", "sizes[0]"),
        ("{ lr }", " lr "),
        ("{{lr}}", ""),
        ("{lr", ""),
        ("lr}", ""),
    ],
)
def test_braces_of_a_path_hold_a_name_and_nothing_more(template, name):
    """Attributes, items, conversions, format specs and braces alone are refused."""
    with pytest.raises(UnknownNameError) as caught:
        fill_path(template, VALUES)
    assert caught.value.name == name


def test_a_command_keeps_the_braces_that_are_no_parameters():
    """Shell, awk and JSON use braces too."""
    assert fill_command("awk '{print $1}' ${HOME} {lr} {} {lr.real}", VALUES) == (
        "awk '{print $1}' ${HOME} 0.1 {} {lr.real}"
    )
    assert fill_command(["{kind}", '{"a": 1}', "{one}", "x{on}{sizes}", "{text}"], VALUES) == (
        "adam",
        '{"a": 1}',
        "1",
        "xtrue[1,2]",
        "it's {lr}",
    )


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_the_shell_reads_back_what_a_string_command_quotes(text):
    """A value in a string command is one word, whatever it holds."""
    command = fill_command("echo {x}", {"x": text})
    assert isinstance(command, str)
    assert shlex.split(command) == ["echo", text]


def test_a_shell_prints_a_quoted_value_unchanged():
    """The real `sh -ec` agrees with the quoting."""
    nasty = "$(touch /x) `id` 'a' \"b\" \\ \n ; #é"
    command = fill_command("printf %s {x}", {"x": nasty})
    assert isinstance(command, str)
    assert subprocess.run(["sh", "-ec", command], check=True, capture_output=True).stdout.decode() == nasty


def test_names_are_found_without_values():
    """What could be a parameter is an identifier in braces."""
    assert names_in("{a} {b.c} ${d} {1} {é} { f }") == {"a", "d", "é"}
