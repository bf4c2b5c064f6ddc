"""The identity of an execution: named ingredients, and the key that is their hash.

One sequence of ingredients is both hashed and shown, so that a key and its explanation cannot disagree.
The ingredients have three stages, because some are learned late: ``own`` are known before anything runs,
``upstream`` are digests of what the tasks above produced, ``trace`` is what an execution was seen to use.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Literal, NewType, TypeAlias

import msgspec
from xxhash import xxh3_128_hexdigest

from nbmake_dag_cache.digest import Sha256

Key = NewType("Key", str)
"""32 hexadecimal digits: xxh3-128 over ingredients."""

Stage: TypeAlias = Literal["own", "upstream", "trace"]

Which: TypeAlias = tuple[str, str, str]
"""Kind, name and path of an ingredient: its identity among those of a task."""


class Ingredient(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """One thing that decides a task's result.

    ``kind`` is a word such as ``cell``, ``parameter`` or ``input``; ``name`` identifies it, together with ``path``
    where the name alone does not; ``value`` is a digest, or the thing itself where it is short enough to be read.
    """

    kind: str
    name: str
    value: str
    stage: Stage = "own"
    path: str = ""

    @property
    def which(self) -> Which:
        return self.kind, self.name, self.path


def key_of(ingredients: Iterable[Ingredient]) -> Key:
    """Hash ingredients, independent of their order.

    Each text is preceded by its length in bytes, so that no two different lists have the same encoding.
    """
    return Key(xxh3_128_hexdigest(_encoded(ingredients)))


def shared_name_of(ingredients: Iterable[Ingredient]) -> Sha256:
    """Hash ingredients to a collision-resistant name, for use across a trust boundary."""
    return Sha256(sha256(_encoded(ingredients)).hexdigest())


def _encoded(ingredients: Iterable[Ingredient]) -> bytes:
    rows = sorted((item.kind, item.name, item.path, item.value) for item in ingredients)
    plain = "".join(
        [f"{len(a)}:{a}{len(b)}:{b}{len(c)}:{c}{len(d)}:{d}" for a, b, c, d in rows],
    )
    if plain.isascii():
        # as many bytes as characters
        return plain.encode()
    encoded = (text.encode("utf-8", "surrogatepass") for row in rows for text in row)
    return b"".join(b"%d:%b" % (len(text), text) for text in encoded)
