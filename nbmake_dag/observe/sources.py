"""What tasks run, as it is written: notebooks and functions."""

from __future__ import annotations

import ast
import os
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from nbmake_dag.core.model import Function, ProjectPath
from nbmake_dag.core.signature import Signature
from nbmake_dag.errors import Complaint, ConfigError
from nbmake_dag.observe.project import Project
from nbmake_dag_cache.blobs import BlobStore
from nbmake_dag_cache.digest import Digest, digest_bytes
from nbmake_dag_cache.identity import NotebookIdentity, identify, identity_schema
from nbmake_dag_cache.memo import IdentityMemo, StatMemo
from nbmake_dag_cache.notebook import UnreadableNotebookError, read_notebook

_BLOB = "blob"
MAX_NOTEBOOK_BYTES = 256 << 20
_decode = msgspec.json.Decoder(NotebookIdentity).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class NotebookFile:
    """A notebook on disk: the digest of its bytes, and what they come to."""

    digest: Digest
    identity: NotebookIdentity

    @property
    def signature(self) -> Signature:
        names = self.identity.parameters
        return Signature(
            names=None if names is None else frozenset(names),
            takes_any=False,
            assigns_inputs=self.identity.takes_inputs,
            assigns_outputs=self.identity.takes_outputs,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionFile:
    """The module of a function on disk, and what the function's signature names."""

    path: str
    """Absolute."""
    signature: Signature


class Sources:
    """Reads notebooks and functions, each once; for one run, in which files are taken as at rest."""

    def __init__(self, project: Project, files: StatMemo, identities: IdentityMemo, path: tuple[str, ...]) -> None:
        self._project = project
        self._files = files
        self._identities = identities
        self._schema = identity_schema()
        self._installed = path
        self._path = (project.root, *path)
        self._notebooks: dict[tuple[str, str | None], NotebookFile] = {}
        self._functions: dict[tuple[str, str], FunctionFile] = {}

    def fresh(self) -> Sources:
        """Return one that has read nothing yet."""
        return Sources(self._project, self._files, self._identities, self._installed)

    def notebook(self, path: ProjectPath, place: str = "", *, language: str | None = None) -> NotebookFile:
        """Read a notebook, in another ``language`` than its own where given; raises `ConfigError` without one."""
        if (path, language) not in self._notebooks:
            self._notebooks[path, language] = self._read_notebook(path, place, language)
        return self._notebooks[path, language]

    def function(self, work: Function, place: str = "") -> FunctionFile:
        """Find a function without importing it; raises `ConfigError` where there is none."""
        name = (work.module, work.qualname)
        if name not in self._functions:
            self._functions[name] = self._find_function(work, place)
        return self._functions[name]

    def blob(self, path: ProjectPath, blobs: BlobStore) -> str:
        """Return the name of the blob that holds a notebook as it was read, and see that there is one."""
        digest = self.notebook(path).digest
        known = self._identities.get(digest, _BLOB)
        if known is not None and blobs.has(known):
            return known
        stored = blobs.put_file(self._project.absolute(path))
        self._identities.put(stored.xxh3, _BLOB, stored.sha256)
        return stored.sha256

    def _read_notebook(self, path: str, place: str, language: str | None) -> NotebookFile:
        absolute = self._project.absolute(path)
        schema = " ".join((os.path.splitext(path)[1], *([language] if language else ()), self._schema))
        try:
            known = self._identities.get(digest := self._files.digest(absolute), schema)
            if known is not None:
                return NotebookFile(digest=digest, identity=_decode(known))
            with open(absolute, "rb") as file:
                data = file.read(MAX_NOTEBOOK_BYTES)
            # it may have been saved meanwhile
            digest = digest_bytes(data)
            source = read_notebook(data, path)
            identity = identify(replace(source, language=language) if language else source)
        except UnreadableNotebookError as error:
            raise ConfigError((Complaint(what=str(error), place=place),)) from error
        except OSError as error:
            reason = (
                "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
            )
            hint = "paths are relative to the folder of pipeline.toml"
            raise ConfigError((Complaint(what=f"notebook `{path}` {reason}", place=place, hint=hint),)) from error
        self._identities.put(digest, schema, msgspec.json.encode(identity).decode())
        return NotebookFile(digest=digest, identity=identity)

    def _find_function(self, work: Function, place: str) -> FunctionFile:
        relative = work.module.replace(".", "/")
        for folder in self._path:
            for path in (f"{folder}/{relative}.py", f"{folder}/{relative}/__init__.py"):
                if os.path.isfile(path):
                    return FunctionFile(path=path, signature=_signature(path, work, place))
        what = f"module `{work.module}` cannot be found"
        hint = "modules are looked for in the folder of pipeline.toml, then where packages are installed"
        raise ConfigError((Complaint(what=what, place=place, hint=hint),))


def _signature(path: str, work: Function, place: str) -> Signature:
    try:
        with open(path, "rb") as file:
            tree = ast.parse(file.read())
    except (OSError, SyntaxError, ValueError) as error:
        raise ConfigError(
            (Complaint(what=f"module `{work.module}` cannot be read: {error}", place=place),)
        ) from error
    body = tree.body
    *owners, name = work.qualname.split(".")
    for owner in owners:
        body = next((node.body for node in body if isinstance(node, ast.ClassDef) and node.name == owner), [])
    for node in reversed(body):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == name:
            names = frozenset(item.arg for item in (*node.args.args, *node.args.kwonlyargs))
            return Signature(
                names=names,
                takes_any=node.args.kwarg is not None,
                assigns_inputs="inputs" in names,
                assigns_outputs="outputs" in names,
            )
    if any(name in _bound(node) for node in body):
        return Signature(names=None, takes_any=True, assigns_inputs=False, assigns_outputs=False)
    what = f"module `{work.module}` has no function `{work.qualname}`"
    raise ConfigError((Complaint(what=what, place=place, hint=f"it is {path}"),))


def _bound(node: ast.stmt) -> set[str]:
    """Return the names that a statement binds by assignment or import."""
    match node:
        case ast.Assign(targets=targets):
            return {target.id for target in targets if isinstance(target, ast.Name)}
        case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
            return {alias.asname or alias.name for alias in aliases}
        case _:
            return set()
