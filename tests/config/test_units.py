"""Durations and sizes with units."""

import re

import pytest

from nbmake_dag.config.units import DURATION_PATTERN, SIZE_PATTERN, seconds, size


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("10s", 10.0),
        ("5m", 300.0),
        ("1h30m", 5_400.0),
        ("1d", 86_400.0),
        ("1d2h3m4s500ms", 93_784.5),
        ("1.5h", 5_400.0),
        ("0s", 0.0),
        (5, 5.0),
        (0.25, 0.25),
        (0, 0.0),
        (100 * 365 * 86_400, 3_153_600_000.0),
    ],
)
def test_a_duration_is_seconds(value, expected):
    """Units from days to milliseconds, largest first; a number is in seconds."""
    assert seconds(value) == expected


@pytest.mark.parametrize(
    "value",
    ["", "5", "1.5", "s", "5 s", "5x", "30m1h", "1h1h", "-5s", "\uff15s", "1e3s", "36501d", -1, True, None],
)
def test_what_is_no_duration_is_refused(value):
    """Without a unit, in another order, negative, endless or not a number."""
    with pytest.raises(ValueError, match=r"^(needs a unit|must be a duration|must be written)"):
        seconds(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0B", 0),
        ("10GB", 10**10),
        ("10 GB", 10**10),
        ("1GiB", 2**30),
        ("1.5KiB", 1_536),
        ("900MB", 900_000_000),
        ("1kB", 1_000),
        ("1KB", 1_000),
        ("2TiB", 2**41),
        (5, 5),
        (0, 0),
    ],
)
def test_a_size_is_bytes(value, expected):
    """GB is a thousand million, GiB is 2 to the 30; a number is in bytes."""
    assert size(value) == expected


@pytest.mark.parametrize("value", ["", "5", "GB", "5gb", "-5GB", "5G", "9999999PB", -1, 1.5, True, None, 2**63])
def test_what_is_no_size_is_refused(value):
    """Without a unit, with an unclear one, negative, or more than any disk."""
    with pytest.raises(ValueError, match=r"^(needs a unit|must be a size|must be written)"):
        size(value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5 min", "must be written `5m`, not `5 min`"),
        ("30m1h", "must be written `1h30m`, not `30m1h`"),
        ("1 hour, 30 minutes", "must be written `1h30m`, not `1 hour, 30 minutes`"),
        ("5 months", "must be a duration, such as `10s`, `5m`, `1h30m` or `1d`, not `5 months`"),
        ("1h1h", "must be a duration, such as `10s`, `5m`, `1h30m` or `1d`, not `1h1h`"),
    ],
)
def test_a_duration_in_other_words_is_said_as_it_is_written(text: str, expected: str):
    """Where only one can be meant."""
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        seconds(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4G", "must be written `4GB`, not `4G`"),
        ("4 gib", "must be written `4GiB`, not `4 gib`"),
        ("four", "must be a size, such as `500MB`, `10GB` or `1GiB`, not `four`"),
    ],
)
def test_a_size_in_other_words_is_said_as_it_is_written(text: str, expected: str):
    """Likewise."""
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        size(text)


def test_the_patterns_of_the_schema_agree_with_the_code():
    """An editor accepts and refuses the same strings."""
    for text in ["10s", "1h30m", "1.5h", "5", "", "30m1h", "x"]:
        assert bool(re.search(DURATION_PATTERN, text)) == _reads(seconds, text)
    for text in ["10GB", "1 GiB", "5", "", "5gb"]:
        assert bool(re.search(SIZE_PATTERN, text)) == _reads(size, text)


def _reads(read, text):
    try:
        read(text)
    except ValueError:
        return False
    return True
