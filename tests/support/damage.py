"""What can happen to a file: cut, flipped bits, replaced by something else, gone. Reproduced by their `Random`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from random import Random
from typing import TypeAlias

Change: TypeAlias = Callable[[bytes, Random], bytes]
"""From what is in a file to what is in it after the damage."""


def cut(content: bytes, chance: Random) -> bytes:
    return content[: chance.randrange(len(content))] if content else b""


def flip(content: bytes, chance: Random) -> bytes:
    return _flipped(content, chance.randrange(len(content)), 1 << chance.randrange(8)) if content else b""


def flip_high(content: bytes, chance: Random) -> bytes:
    """Flip the bit that makes a letter something that is no UTF-8."""
    return _flipped(content, chance.randrange(len(content)), 0x80) if content else b""


def _flipped(content: bytes, at: int, bits: int) -> bytes:
    return content[:at] + bytes([content[at] ^ bits]) + content[at + 1 :]


CHANGES: Mapping[str, Change] = {
    "cut": cut,
    "flip": flip,
    "flip high": flip_high,
    "empty": lambda _, __: b"",
    "no UTF-8": lambda content, _: b"\xff\xfe" + content,
    "garbage": lambda _, chance: chance.randbytes(chance.randrange(1, 4096)),
    "twice": lambda content, _: content + content,
    "zeros": lambda content, _: bytes(len(content)),
}
PLACES: Mapping[str, Callable[[Path], object]] = {
    "deleted": lambda _: None,
    "directory": Path.mkdir,
    "fifo": os.mkfifo,
    "dangling": lambda path: path.symlink_to("nothing"),
    "loop": lambda path: path.symlink_to(path.name),
}
"""What is at the path instead of the file."""
OTHERS = ("another of its kind", "no permission")
DAMAGES = (*CHANGES, *PLACES, *OTHERS)


def damage(path: Path, how: str, chance: Random, other: bytes = b"") -> None:
    """Damage a file in one of `DAMAGES`; ``other`` is the content of another one of its kind."""
    if how == "no permission":
        path.chmod(0)
        return
    content = path.read_bytes()
    path.unlink()
    if how in PLACES:
        PLACES[how](path)
    else:
        path.write_bytes(other if how in OTHERS else CHANGES[how](content, chance))


def every_damage(content: bytes, step: int = 1) -> Iterator[bytes]:
    """Yield truncations and flips of the bytes of a file, each ``step`` bytes, then what other programs write."""
    yield from (content[:length] for length in range(0, len(content), step))
    for at in range(0, len(content), step):
        yield from (_flipped(content, at, bits) for bits in (1, 2, 16, 0x80))
    yield content + content
    yield content + b"\0"
    yield b"\xff\xfe" + content
    yield bytes(4096)
