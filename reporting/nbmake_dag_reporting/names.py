"""Names of any shape as parts of attribute keys, and back.

Many tools treat the dots of a key as levels, and then ``metric.loss`` cannot stand beside ``metric.loss.val``.
So a name's own dots are escaped, and no key is ever the prefix of another.
"""

from __future__ import annotations

import re

from nbmake_dag_reporting.spans import Attributes, AttributeValue

_EMPTY = "%"
_TO_ESCAPE = re.compile("[%.\ud800-\udfff]")
_ESCAPED = re.compile("%u([0-9A-F]{4})|%([0-9A-F]{2})")


def escape(name: str) -> str:
    """Write ``loss.val`` as ``loss%2Eval``; only ``%``, ``.``, lone surrogates and emptiness are escaped."""
    return _TO_ESCAPE.sub(_escape_one, name) or _EMPTY


def unescape(name: str) -> str:
    """Read back what `escape` wrote."""
    return "" if name == _EMPTY else _ESCAPED.sub(lambda match: chr(int(match[1] or match[2], 16)), name)


def below(attributes: Attributes, prefix: str) -> dict[str, AttributeValue]:
    """Return the attributes whose keys start with a prefix, under their own names."""
    return {unescape(key[len(prefix) :]): value for key, value in attributes.items() if key.startswith(prefix)}


def _escape_one(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"%{code:02X}" if code < 0x80 else f"%u{code:04X}"
