"""Literal types for settings and for what tasks log; imports nothing slow."""

from __future__ import annotations

from typing import Literal, TypeAlias

RemoteMode: TypeAlias = Literal[
    "read",  # take results from the shared cache
    "write",  # send results to it
    "read-write",  # both
]
"""What a build does with a shared cache."""

KernelStart: TypeAlias = Literal[
    "warm",  # forked from a process that has imported what is slow
    "fresh",  # a process of its own
]
"""How the kernel of a notebook begins."""

CompareKind: TypeAlias = Literal[
    "bytes",  # every byte
    "text",  # lines, whatever ends them
    "numeric",  # the values of a table, an array, a JSON document, or the numbers in a text
    "image",  # pixels
]
"""How an output of a replayed task is compared."""

TrialKind: TypeAlias = Literal[
    "replay",  # a result is made again, and compared
    "bisect",  # the commit that changed it is sought
    "blame",  # the change that changed it is sought
]
"""What a run is for that is no build."""

LoggedKind: TypeAlias = Literal["params", "metrics", "tags", "artifacts"]
"""What a task can log."""

ReadKind: TypeAlias = LoggedKind | Literal["tasks"]
"""What `upstream()` can be asked for: logged values of a task, or the set of tasks."""

ValueType: TypeAlias = Literal[
    "text",  # as it stands
    "int",  # a whole number
    "float",  # any number
    "bool",  # true or false
]
"""How the text of a column, or of a part of a file's name, becomes the value of a parameter."""
