"""Spellings of values, and ``-p NAME=VALUE``."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmake_dag.config.values import parse_override, spelling, value_fault
from nbmake_dag.errors import UsageError

scalars = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.text("01.-+eE_:TZtrufalsinxob[]{}='\",# \n")
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab .=", max_size=3), inner, max_size=3),
    max_leaves=8,
)


def typed(value):
    """Make values comparable by type too: 1 is not 1.0, and neither is True."""
    if isinstance(value, list):
        return [typed(item) for item in value]
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    return type(value), repr(value)


@given(values)
def test_an_override_reads_what_a_spelling_says(value):
    """The spelling of any value, given with -p, is that value again, of the same type."""
    name, read = parse_override(f"x={spelling(value)}")
    assert (name, typed(read)) == ("x", typed(value))


@given(values, values)
def test_two_values_never_share_a_spelling(first, second):
    """Spellings are equal only where values and their types are."""
    assert (spelling(first) == spelling(second)) == (typed(first) == typed(second))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (600, "600"),
        (1.0, "1.0"),
        (1e-7, "1e-07"),
        (True, "true"),
        ("adam", "adam"),
        ("data/raw-1.csv", "data/raw-1.csv"),
        ("größe", "größe"),
        ("1", '"1"'),
        ("true", '"true"'),
        ("nan", '"nan"'),
        ("1979-05-27", '"1979-05-27"'),
        ("", '""'),
        ("a,b", '"a,b"'),
        ("a]", '"a]"'),
        ("a=b", '"a=b"'),
        ("a b", '"a b"'),
        ('a"b\\c', '"a\\"b\\\\c"'),
        ("'a'", "\"'a'\""),
        ("a\nb\x7f\u202e", '"a\\nb\\u007f\\u202e"'),
        ([64, "x", 0.5], '[64,"x",0.5]'),
        ({"b": 1, "a": [True]}, '{"a"=[true],"b"=1}'),
    ],
)
def test_a_value_is_spelled_as_in_toml(value, expected):
    """Strings stand without quotes unless that would be ambiguous."""
    assert spelling(value) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x=1", 1),
        ("x=1.5", 1.5),
        ("x=true", True),
        ('x="1"', "1"),
        ("x=[1, 2]", [1, 2]),
        ("x={ a = 1 }", {"a": 1}),
        ("x=adam", "adam"),
        ("x=", ""),
        ("x=a=b", "a=b"),
        ("x=1,", "1,"),
        ("x=1, 2", "1, 2"),
        ("x=1#2", "1#2"),
        ("x=1]\ny=[2", "1]\ny=[2"),
        ("x=" + "[" * 5_000, "[" * 5_000),
        ("x=" + "[" * 5_000 + "]" * 5_000, "[" * 5_000 + "]" * 5_000),
        ("x=" + "9" * 5_000, "9" * 5_000),
    ],
)
def test_an_override_is_toml_or_else_a_string(text, value):
    """Whatever is not exactly one value of TOML is taken as it stands."""
    assert parse_override(text) == ("x", value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x", "`x` gives no value\n\nhint: write NAME=VALUE, such as `-p learning_rate=0.1`"),
        ("a-b=1", "`a-b` cannot be a parameter: it is not an identifier"),
        ("lambda=1", "`lambda` cannot be a parameter: it is a keyword of Python"),
        (
            "x=1979-05-27",
            (
                "`x` cannot have this value: it holds a date or a time, whose type not every kernel knows"
                "\n\nhint: quote it to give a string"
            ),
        ),
        (
            "x=inf",
            (
                "`x` cannot have this value: it holds `inf`, which cannot be written to JSON"
                "\n\nhint: quote it to give a string"
            ),
        ),
        (
            "x=9223372036854775808",
            (
                "`x` cannot have this value: it holds a number that does not fit into 64 bits"
                "\n\nhint: quote it to give a string"
            ),
        ),
        (
            "x=\udcff",
            "`x` cannot have this value: it holds text that is not Unicode\n\nhint: quote it to give a string",
        ),
    ],
)
def test_an_override_that_cannot_be_is_a_usage_error(text, expected):
    """Names and values of -p are checked as those of the file are."""
    with pytest.raises(UsageError) as caught:
        parse_override(text)
    assert (str(caught.value), caught.value.exit_code) == (expected, 2)


def test_none_is_no_value_of_a_parameter():
    """What TOML cannot say would be spelled as a string is."""
    assert value_fault([1, None]) == "holds nothing, which TOML cannot express"
