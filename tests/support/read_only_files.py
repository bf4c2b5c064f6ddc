"""A file system that nobody may write, as a user without write access sees a shared folder."""

from __future__ import annotations

from typing import Any, NoReturn

import fsspec
from fsspec.implementations.local import LocalFileSystem

SCHEME = "readonly"


class ReadOnlyFiles(LocalFileSystem):  # type: ignore[misc]  # fsspec has no types
    """Refuses as servers do: without a number of the error."""

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.removeprefix(f"{SCHEME}://")))

    def makedirs(self, path: str, *_arguments: Any, **_options: Any) -> NoReturn:
        raise PermissionError(f"Access Denied: {path}")

    def pipe_file(self, path: str, *_arguments: Any, **_options: Any) -> NoReturn:
        raise PermissionError(f"Access Denied: {path}")

    def put_file(self, _source: str, path: str, *_arguments: Any, **_options: Any) -> NoReturn:
        raise PermissionError(f"Access Denied: {path}")

    def rm_file(self, path: str) -> NoReturn:
        raise PermissionError(f"Access Denied: {path}")


fsspec.register_implementation(SCHEME, ReadOnlyFiles, clobber=True)
