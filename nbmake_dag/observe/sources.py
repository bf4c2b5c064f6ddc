"""The sources of tasks: notebooks and functions."""

from __future__ import annotations

import ast
import os

import msgspec
from msgspec.structs import replace

from nbmake_dag.core.model import Function, Notebook, ProjectPath, Signature
from nbmake_dag.core.suggest import did_you_mean
from nbmake_dag.errors import Complaint, ConfigError, describe
from nbmake_dag.observe.instance_data import Disk
from nbmake_dag.observe.pairs import config_of, paired_files
from nbmake_dag.observe.places import Places
from nbmake_dag.observe.project import Project, nearby
from nbmake_dag_cache.blobs import BlobStore
from nbmake_dag_cache.digest import Digest
from nbmake_dag_cache.identity import CellIdentity, NotebookIdentity, identify, identity_schema
from nbmake_dag_cache.memo import IdentityMemo, StatMemo
from nbmake_dag_cache.notebook import UnreadableNotebookError, read_code

_BLOB = "blob"
MAX_NOTEBOOK_BYTES = 256 << 20
_decode = msgspec.json.Decoder(NotebookIdentity).decode


class NotebookFile(msgspec.Struct, frozen=True, kw_only=True):
    """A notebook on disk: the digest of its bytes, and its identity."""

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


class FunctionFile(msgspec.Struct, frozen=True, kw_only=True):
    """The module of a function on disk, and what the function's signature names."""

    path: str
    """Absolute."""
    signature: Signature


_NO_CELL = CellIdentity(digest=Digest("unread"), index=0, title="")
_UNREAD_NOTEBOOK = NotebookFile(
    digest=Digest("unread"),
    identity=NotebookIdentity(language="python", kernel=None, cells=(_NO_CELL,), parameters=None),
)
_UNKNOWN = Signature(names=None, takes_any=True, assigns_inputs=False, assigns_outputs=False)


class Sources:
    """Reads notebooks and functions, each once; for one run, in which files are taken as at rest."""

    def __init__(
        self,
        project: Project,
        files: StatMemo,
        identities: IdentityMemo,
        path: tuple[str, ...],
        places: Places | None = None,
    ) -> None:
        self._project = project
        self._files = files
        self._identities = identities
        self._schema = identity_schema()
        self._installed = path
        self._path = (project.root, *path)
        self._notebooks: dict[tuple[str, str | None, str], NotebookFile] = {}
        self._functions: dict[tuple[str, str], FunctionFile] = {}
        self._configs: dict[str, str | None] = {}
        """The configuration file of Jupytext that counts for the notebooks of a folder."""
        self.unread: dict[str, Complaint] | None = None
        """If set, what cannot be read is noted here, by its path or function, and counts as without code."""
        self.places = Places() if places is None else places
        """Files that could be a module or the text of a notebook, as they were before they were looked for."""

    def fresh(self) -> Sources:
        """Return one that has read nothing yet."""
        again = Sources(self._project, self._files, self._identities, self._installed, self.places)
        again.unread = None if self.unread is None else {}
        return again

    @property
    def data(self) -> Disk:
        """What instances come from, as it is on disk."""
        return Disk(self._project, self._files, self.places)

    def notebook(
        self, path: ProjectPath, place: str = "", *, language: str | None = None, form: str = ""
    ) -> NotebookFile:
        """Read a notebook; raises `ConfigError` without one, unless that is to be noted.

        In another ``language`` than its own where given, and in a Jupytext format that is not to be guessed.
        """
        name = (path, language, form)
        if name not in self._notebooks:
            try:
                self._notebooks[name] = self._read_notebook(path, place, language, form)
            except ConfigError as error:
                absolute = self._project.absolute(path)
                self.places.note(absolute)
                self._note_unread(path, error)
                self._notebooks[name] = _UNREAD_NOTEBOOK
        return self._notebooks[name]

    def _note_unread(self, source: str, error: ConfigError) -> None:
        if self.unread is None:
            raise error
        self.unread.setdefault(source, error.complaints[0])

    def signature(self, path: ProjectPath, place: str, *, form: str = "") -> Signature:
        """Return what a notebook takes, or the text that its metadata pair it with; raises `ConfigError`.

        Times say nothing after a checkout, so of a pair the text is the source, as in Jupytext's contents manager.
        """
        notebook = self.notebook(path, place, form=form)
        if path.endswith(".ipynb"):
            for text in self._paired_texts(path, notebook, place):
                absolute = self._project.absolute(text)
                self.places.note(absolute)
                if os.path.isfile(absolute):
                    return msgspec.structs.replace(self.notebook(text, place).signature, paired_with=text)
        return notebook.signature

    def _paired_texts(self, path: ProjectPath, notebook: NotebookFile, place: str) -> list[ProjectPath]:
        """Return the texts of the project that a notebook is paired with, in their order."""
        absolute, identity = self._project.absolute(path), notebook.identity
        config = None if identity.formats else self._jupytext_config(os.path.dirname(absolute))
        if config is None and not identity.formats:
            return []
        self.places.note(absolute)
        schema = f"texts {path} {self._files.digest(config) if config else ''}"
        known = self._identities.get(notebook.digest, schema)
        if known is None:
            try:
                found = paired_files(absolute, identity.language, identity.formats, config)
            except ValueError as error:
                name = self._project.relative(config or path)
                what = f"{name} can pair `{path}` with a text, and cannot be read: {error}"
                raise ConfigError((Complaint(what=what, place=place),)) from error
            texts = (self._project.relative(each) for each in found if not each.endswith(".ipynb"))
            known = "\n".join(text for text in texts if not text.startswith(os.pardir))
            self._identities.put(notebook.digest, schema, known)
        return [ProjectPath(text) for text in known.splitlines()]

    def _jupytext_config(self, folder: str) -> str | None:
        if folder not in self._configs:
            self._configs[folder] = config_of(folder, self._project.repository, self._read)
        return self._configs[folder]

    def _read(self, path: str) -> bytes | None:
        """Read a file that may be absent; whether it is will be looked at again."""
        self.places.note(path)
        try:
            return self._files.read(path)[0] if os.path.isfile(path) else None
        except OSError:
            return None

    def differs(self, work: Notebook) -> bool:
        """Return whether the cells of a paired notebook are not those of its text."""
        if work.paired is None:
            return False
        other, text = self.notebook(work.paired).identity, self.notebook(work.path, form=work.form).identity
        return [cell.digest for cell in other.cells] != [cell.digest for cell in text.cells]

    def function(self, work: Function, place: str = "") -> FunctionFile:
        """Find a function without importing it; raises `ConfigError` without one, unless that is to be noted."""
        name = (work.module, work.qualname)
        if name not in self._functions:
            try:
                self._functions[name] = self._find_function(work, place)
            except ConfigError as error:
                self._note_unread(":".join(name), error)
                path = self._project.absolute(f"{work.module.replace('.', '/')}.py")
                self._functions[name] = FunctionFile(path=path, signature=_UNKNOWN)
        return self._functions[name]

    def blob(self, work: Notebook, blobs: BlobStore) -> str:
        """Return the name of the blob that holds a notebook as it was read, and see that there is one."""
        digest = self.notebook(work.path, form=work.form).digest
        known = self._identities.get(digest, _BLOB)
        if known is not None and blobs.has(known):
            return known
        stored = blobs.put_file(self._project.absolute(work.path))
        self._identities.put(stored.xxh3, _BLOB, stored.sha256)
        return stored.sha256

    def _read_notebook(self, path: str, place: str, language: str | None, form: str) -> NotebookFile:
        absolute = self._project.absolute(path)
        schema = " ".join((form or os.path.splitext(path)[1], *([language] if language else ()), self._schema))
        try:
            known = self._identities.get(digest := self._files.digest(absolute), schema)
            if known is not None:
                return NotebookFile(digest=digest, identity=_decode(known))
            # it may have been saved meanwhile
            data, digest = self._files.read(absolute, MAX_NOTEBOOK_BYTES)
            source = read_code(data, path, form)
            identity = identify(replace(source, language=language) if language else source)
        except UnreadableNotebookError as error:
            raise ConfigError((Complaint(what=str(error), place=place),)) from error
        except OSError as error:
            is_absent = isinstance(error, FileNotFoundError)
            reason = "does not exist" if is_absent else f"cannot be read: {error.strerror}"
            close = did_you_mean(path, nearby(self._project.root, path)) if is_absent else ""
            hint = close or "paths are relative to the folder of pipeline.toml"
            raise ConfigError((Complaint(what=f"notebook `{path}` {reason}", place=place, hint=hint),)) from error
        self._identities.put(digest, schema, msgspec.json.encode(identity).decode())
        return NotebookFile(digest=digest, identity=identity)

    def _find_function(self, work: Function, place: str) -> FunctionFile:
        relative = work.module.replace(".", "/")
        for folder in self._path:
            # Python prefers a package to a module of the same name
            for path in (f"{folder}/{relative}/__init__.py", f"{folder}/{relative}.py"):
                self.places.note(path)
                if os.path.isfile(path):
                    return FunctionFile(path=path, signature=_signature(path, self._project, work, place))
        what = f"module `{work.module}` cannot be found"
        files = [path for path in nearby(self._project.root, f"{relative}.py") if path.endswith(".py")]
        close = did_you_mean(work.module, (path.removesuffix(".py").replace("/", ".") for path in files))
        hint = close or "modules are looked up in the folder of pipeline.toml, then where packages are installed"
        raise ConfigError((Complaint(what=what, place=place, hint=hint),))


def _signature(path: str, project: Project, work: Function, place: str) -> Signature:
    try:
        with open(path, "rb") as file:
            tree = ast.parse(file.read())
    except (OSError, SyntaxError, ValueError) as error:
        reason = f"line {error.lineno}: {error.msg}" if isinstance(error, SyntaxError) else describe(error)
        what = f"module `{work.module}` cannot be read: {reason}"
        raise ConfigError((Complaint(what=what, place=place),)) from error
    body = tree.body
    *owners, name = work.qualname.split(".")
    for owner in owners:
        body = next((node.body for node in body if isinstance(node, ast.ClassDef) and node.name == owner), [])
    for node in reversed(body):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == name:
            _refuse_if_idle(node, project.relative(path), work, place)
            names = frozenset(item.arg for item in (*node.args.args, *node.args.kwonlyargs))
            return Signature(
                names=names,
                takes_any=node.args.kwarg is not None,
                assigns_inputs="inputs" in names,
                assigns_outputs="outputs" in names,
            )
    if any(name in _bound(node) for node in body):
        return _UNKNOWN
    what = f"module `{work.module}` has no function `{work.qualname}`"
    named = (node.name for node in body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))
    raise ConfigError((Complaint(what=what, place=place, hint=did_you_mean(name, named) or f"it is {path}"),))


def _refuse_if_idle(node: ast.FunctionDef | ast.AsyncFunctionDef, path: str, work: Function, place: str) -> None:
    """Refuse a function of which a call executes nothing; what a decorator makes of it only the call shows."""
    if node.decorator_list:
        return
    if isinstance(node, ast.AsyncFunctionDef):
        is_what, instead = "an `async def`", "make it a `def` that does its work with `asyncio.run(...)`"
    elif _yields(node):
        is_what, instead = "a generator", "take `yield` out of it, or name a function that iterates over it"
    else:
        return
    what = f"function `{work.module}:{work.qualname}` is {is_what}: to call it executes nothing"
    raise ConfigError((Complaint(what=what, place=place, hint=f"{path}:{node.lineno}: {instead}"),))


def _yields(node: ast.AST) -> bool:
    """Return whether there is a `yield` in a function itself, not in one within it."""
    within = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
    return any(
        isinstance(child, (ast.Yield, ast.YieldFrom)) or (not isinstance(child, within) and _yields(child))
        for child in ast.iter_child_nodes(node)
    )


def _bound(node: ast.stmt) -> set[str]:
    """Return the names that a statement binds by assignment or import."""
    match node:
        case ast.Assign(targets=targets):
            return {target.id for target in targets if isinstance(target, ast.Name)}
        case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
            return {alias.asname or alias.name for alias in aliases}
        case _:
            return set()
