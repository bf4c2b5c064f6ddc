"""Log metrics, parameters and tags, with MLflow's names and argument orders."""

from __future__ import annotations

import math
import operator
import time
from collections.abc import Mapping
from json.encoder import encode_basestring
from typing import Any, SupportsFloat, SupportsIndex

from nbmake_dag.inside.stream import append, append_line, checked_text

_INT64 = 1 << 63


def log_metric(key: str, value: SupportsFloat, step: SupportsIndex | None = None) -> None:
    """Log a number. Logged again, it becomes a series, of which the last value counts.

    ``value`` is anything that ``float`` takes, NaN and infinities included; its unit belongs into ``key``, such as
    ``loss_eur``. ``step`` is a whole number of 64 bits. Raises `TypeError` for text and anything else that is not
    a number, and `ValueError` for one that is too large.
    """
    log_point(key, value, step, time.time_ns())


def log_point(key: str, value: SupportsFloat, step: SupportsIndex | None, at: int) -> None:
    """Log a number of a given time, in nanoseconds since the epoch."""
    name, number, count = encode_basestring(_text("a metric's key", key)), _number(key, value), _step(step)
    append_line(f'{{"kind":"metric","key":{name},"value":{_json(number)},"step":{_json(count)},"time":{at}}}')


def log_metrics(metrics: Mapping[str, SupportsFloat], step: SupportsIndex | None = None) -> None:
    """Log several numbers of the same step; what one of them would raise, this raises, and logs none."""
    checked, now = _step(step), time.time_ns()
    append(
        {
            "kind": "metrics",
            "points": [
                [_text("a metric's key", key), _number(key, value), checked, now] for key, value in metrics.items()
            ],
        }
    )


def log_param(key: str, value: Any) -> None:
    """Log a parameter that the work chose itself; the last value counts.

    A value that is neither text, number, bool nor ``None`` is stored as its ``str``. Raises `TypeError` for a
    ``key`` that is not a string, and `ValueError` for text that UTF-8 cannot hold.
    """
    name = _text("a parameter's key", key)
    append({"kind": "param", "key": name, "value": _scalar(f"parameter {name!r}", value)})


def log_params(params: Mapping[str, Any]) -> None:
    """Log several parameters, each as `log_param` does."""
    for key, value in params.items():
        log_param(key, value)


def set_tag(key: str, value: Any) -> None:
    """Attach a word to the task, as its ``str``; the last value counts."""
    name = _text("a tag's key", key)
    append({"kind": "tag", "key": name, "value": _words(f"tag {name!r}", value)})


def set_tags(tags: Mapping[str, Any]) -> None:
    """Attach several words, each as `set_tag` does."""
    for key, value in tags.items():
        set_tag(key, value)


def _text(what: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a string, not {type(value).__name__}")
    return checked_text(what, value)


def _words(what: str, value: object) -> str:
    """Return the text of a value; what Python does not write, as a number of too many digits, names ``what``."""
    try:
        text = str(value)
    except ValueError as error:
        raise ValueError(f"{what} cannot be written as text: {error}") from error
    return checked_text(what, text)


def _number(key: str, value: SupportsFloat) -> float | str:
    """Return a float, or protobuf's word for a float that JSON cannot express."""
    if isinstance(value, (str, bytes)) or not hasattr(value, "__float__"):
        raise TypeError(f"metric {key!r} must be a number, not {type(value).__name__}")
    try:
        number = float(value)
    except OverflowError as error:
        raise ValueError(f"metric {key!r} is too large for a float") from error
    if math.isfinite(number):
        return number
    if math.isnan(number):
        return "NaN"
    return "Infinity" if number > 0 else "-Infinity"


def _json(value: float | str | None) -> str:
    """Encode what a point is made of, several times as fast as a whole record."""
    if value is None:
        return "null"
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _step(step: SupportsIndex | None) -> int | None:
    if step is None:
        return None
    number = operator.index(step)
    if not -_INT64 <= number < _INT64:
        raise ValueError(f"step {number} does not fit 64 bits")
    return number


def _scalar(what: str, value: object) -> object:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and -_INT64 <= value < _INT64:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return _words(what, value)
