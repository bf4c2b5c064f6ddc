"""Paths that are taken apart into the values of an instance."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmake_dag.config.captures import CaptureError, read_captures
from nbmake_dag.config.paths import PathError
from nbmake_dag.config.templates import fill_path
from nbmake_dag.core.model import Value

parts = st.text("ab-_. 1é", min_size=1, max_size=4)


@given(st.lists(parts, min_size=1, max_size=3), st.data())
def test_a_capture_fills_the_pattern_to_the_path_again(values: list[str], data: st.DataObject):
    """Whatever is read from a path gives the path; what has two readings is refused."""
    glue = data.draw(st.sampled_from(["-", "--", "/", "_x_"]))
    pattern = f"d/{glue.join(f'{{p{number}}}' for number in range(len(values)))}.csv"
    path = f"d/{glue.join(values)}.csv"
    try:
        found: dict[str, Value] = read_captures(pattern).values(path, {})
    except CaptureError:
        return
    assert fill_path(pattern, found) == path


def test_a_path_with_two_readings_is_refused():
    """`a-b-c` is `a-b` and `c`, or `a` and `b-c`; with a name twice, or a fixed form, it may be clear."""
    with pytest.raises(CaptureError) as caught:
        read_captures("{x}-{y}").values("a-b-c", {})
    assert caught.value.what == "can be read in two ways: `x` is `a` or `a-b`"
    assert read_captures("{x}-{x}-c").values("a-a-c", {}) == {"x": "a"}
    with pytest.raises(CaptureError):
        read_captures("{x}").values("a[1]", {})
    with pytest.raises(PathError):
        read_captures("../x/./{y}")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2024", 2024),
        ("007", "007"),
        ("0.5", 0.5),
        ("1_000", "1_000"),
        ("true", True),
        ("inf", "inf"),
        ("2024-01-15", "2024-01-15"),
        ("1e5", "1e5"),
        ("9" * 30, "9" * 30),
        ("x y", "x y"),
    ],
)
def test_a_capture_is_a_number_only_where_that_has_the_same_spelling(text: str, value: Value):
    """Else it is a text."""
    found = read_captures("{x}").values(text, {})["x"]
    assert (found, type(found)) == (value, type(value))
