"""The files of the repository that some code imports or starts, directly or indirectly."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from importlib.machinery import EXTENSION_SUFFIXES

import msgspec
from msgspec.structs import replace

from nbmake_dag.observe.arguments import LESS_USUAL, SUFFIXES
from nbmake_dag.observe.places import Places, trail
from nbmake_dag.observe.project import Project
from nbmake_dag.observe.reach import Code, Reached, Search, names_in, shared_reached
from nbmake_dag.observe.scripts import scripts_of, with_own_folder
from nbmake_dag.observe.shell import recipes
from nbmake_dag_cache.computed_imports import WholeFolder, WholePackage
from nbmake_dag_cache.digest import Digest, digest_text, digest_with_permission
from nbmake_dag_cache.identity import identify, identity_schema
from nbmake_dag_cache.imports import Imports, imports_of
from nbmake_dag_cache.memo import IdentityMemo, StatMemo
from nbmake_dag_cache.notebook import UnreadableNotebookError, read_code
from nbmake_dag_cache.started import PYTHON, StartedCommand, Word
from nbmake_dag_cache.syntax import python_identity


class ModuleIdentity(msgspec.Struct, frozen=True, array_like=True):
    """The content of a module or script: its identity, and what it imports and starts."""

    digest: Digest
    imports: Imports
    is_program: bool = False
    """It names its interpreter, so that whether it can be executed counts."""


_ARCHIVES = (".zip", ".egg", ".whl", ".pyz")
_NOT_SHELL = (*LESS_USUAL, ".R", ".r", ".jl", ".pl", ".rb", ".js", ".mjs", ".lua")
_decode = msgspec.json.Decoder(ModuleIdentity).decode


class Modules:
    """Finds local modules by reading code, never by running it.

    It lives for one run, in which files are taken as at rest.
    """

    def __init__(
        self,
        project: Project,
        files: StatMemo,
        identities: IdentityMemo,
        installed: Iterable[str],
        folders: Places | None = None,
    ) -> None:
        self._project = project
        self._files = files
        self._identities = identities
        self._schema = f"module 2 {identity_schema()}"
        self._installed = tuple(path for path in installed if self.is_local(path))
        self._kinds: dict[str, str] = {}
        self._read: dict[str, ModuleIdentity | None] = {}
        self._real_folders: dict[str, str] = {}
        self.folders = Places() if folders is None else folders
        """Folders as they were before they were first searched, and files that were not there.

        An import may refer to a module that is added to one.
        """

    def fresh(self) -> Modules:
        """Return one that has read nothing yet, and notes folders in the same place."""
        return Modules(self._project, self._files, self._identities, self._installed, self.folders)

    def explore(
        self, code: Code, editable: Callable[[], dict[str, str]] = dict[str, str], *, named: bool = False
    ) -> Reached:
        """Follow all that code imports and starts; ``named``: and collect the names that it mentions."""
        search = Search(named=named)
        imported: set[str] = set()
        waiting = [code]
        while waiting:
            code = waiting.pop()
            search.note(code)
            imported |= self._archives(code)
            first = (*self._additions(code, first=True), *code.path)
            after = (*code.path_after, *self._additions(code, first=False))
            path = (*first, *self._installed, *after)
            listed = self._listed(code, path, (code.folder, *first, *after), editable)
            for module in (*self._mentioned(code.imports, code.package, path, editable), *listed):
                if module in imported:
                    continue
                imported.add(module)
                identity = self.identity(module)
                if identity is not None:
                    waiting += (
                        replace(
                            code,
                            imports=identity.imports,
                            folder=folder,
                            path=first,
                            path_after=after,
                            package=os.path.dirname(module),
                        )
                        for folder in self._folders_of(module)
                    )
            for command in (*code.imports.commands, *(() if code.is_traced else self._named(code))):
                waiting += self._started(command, code, search)
        return shared_reached(
            paths=tuple(sorted(search.scripts | imported)),
            names=tuple(sorted(search.names)),
            unknown=tuple(dict.fromkeys(search.unknown)),
            is_opaque=search.is_opaque,
        )

    def mentioned_in(self, path: str) -> frozenset[str]:
        """Return the names by which a file mentions modules and scripts."""
        identity = self.identity(path)
        return frozenset(names_in(identity.imports, os.path.dirname(path))) if identity else frozenset()

    def _named(self, code: Code) -> Iterator[StartedCommand]:
        """Yield the start of every local script that a text in code names, as code beside it or where it runs."""
        for text in code.imports.named:
            for word in (Word("working", text), Word("file", text)):
                path = os.path.normpath(os.path.join(code.folder if word.base == "file" else code.working, text))
                if self._kind(path) == "file":
                    yield StartedCommand((PYTHON, word))
                elif self.is_local(path):
                    self.search(path)

    def _started(self, command: StartedCommand, code: Code, search: Search) -> Iterator[Code]:
        """Add the local scripts that a command runs to the search; yield the code of those to be followed."""
        words = command.arguments
        arguments = (
            with_own_folder(words, code.folder)
            if isinstance(words, str)
            else [_text(word, code) for word in words]
        )
        given = (_text(word, code) for word in code.imports.python_path)
        python_path = (
            *(os.path.normpath(os.path.join(code.working, place)) for place in given),
            *code.python_path,
        )
        scripts = scripts_of(arguments, os.path.normpath(os.path.join(code.working, _text(command.folder, code))))
        search.note_unknown(scripts.unknown, code)
        for path in filter(self.is_local, scripts.missing):
            self.search(path)
        for path in filter(self.is_local, scripts.kinds):
            self.folders.kinds.setdefault(path, scripts.kinds[path])
        for path in filter(self.is_local, scripts.programs):
            self.folders.programs.setdefault(path, scripts.programs[path])
        for script in scripts.files:
            if not self.is_local(script.path):
                continue
            identity = self.identity(script.path)
            if search.is_new(script) and identity is not None:
                search.is_opaque |= _kind_of_script(script.path) in _NOT_SHELL
                places = (*script.python_path, *python_path)
                first = (self._real_folder(script.path), *places)
                for folder in self._folders_of(script.path):
                    yield Code(identity.imports, folder, script.working, first, python_path=places)
        for inline in scripts.code:
            places = (*inline.python_path, *python_path)
            yield Code(
                inline.imports, inline.working, inline.working, (inline.working, *places), python_path=places
            )

    def _real_folder(self, path: str) -> str:
        """Return the folder in which links to some code end.

        Python puts that of a script first on its import path, and code may ask for its own.
        """
        if path not in self._real_folders:
            self._real_folders[path] = self._find_real_folder(path)
        return self._real_folders[path]

    def _find_real_folder(self, path: str) -> str:
        *links, real = trail(path)
        if not links:
            return os.path.dirname(path)
        repository = os.path.realpath(self._project.repository)
        for link in links:
            if _within(link, repository):
                self.search(os.path.dirname(link))
        # the repository may be named by a link itself
        within = os.path.relpath(os.path.dirname(real), repository)
        return os.path.normpath(os.path.join(self._project.repository, within))

    def _folders_of(self, path: str) -> Iterable[str]:
        """Return the folders that code may start from where it names files beside itself."""
        return dict.fromkeys((os.path.dirname(path), self._real_folder(path)))

    def identity(self, path: str) -> ModuleIdentity | None:
        """Return a module's identity, ``None`` if it cannot be read."""
        if path not in self._read:
            self._read[path] = self._identify(path)
        return self._read[path]

    def digest(self, path: str) -> Digest | None:
        """Return the digest of a module's code; of a folder, by a slash at its end, that of its modules' names."""
        if path.endswith("/"):
            modules, _ = self._modules_in(path.rstrip("/"))
            return digest_text("\n".join(module.removeprefix(path) for module in modules)) if modules else None
        identity = self.identity(path)
        if identity is None or not identity.is_program:
            return identity.digest if identity else None
        try:
            return digest_with_permission(identity.digest, executable=self._files.is_executable(path))
        except FileNotFoundError:
            return None

    def _identify(self, path: str) -> ModuleIdentity | None:
        try:
            schema = f"{self._schema} {_kind_of_script(path)}"
            known = self._identities.get(self._files.digest(path), schema)
            if known is not None:
                return _decode(known)
            # it may have been saved meanwhile
            source, digest = self._files.read(path)
        except OSError:
            self.search(path)
            return None
        identity = _identity_of(path, source, digest)
        self._identities.put(digest, schema, msgspec.json.encode(identity).decode())
        return identity

    def _additions(self, code: Code, *, first: bool) -> tuple[str, ...]:
        """Return the local folders that code puts before the rest of its import path, or after it, in order."""
        if not code.imports.folders:
            return ()
        places = [
            os.path.normpath(os.path.join(code.folder if addition.base == "file" else code.working, addition.path))
            for addition in code.imports.folders
            if addition.first == first
        ]
        # what is inserted last comes first
        return tuple(place for place in (reversed(places) if first else places) if self.is_local(place))

    def _archives(self, code: Code) -> set[str]:
        """Return the local archives that code puts on its import path."""
        if not code.imports.folders:
            return set()
        added = (*self._additions(code, first=True), *self._additions(code, first=False))
        return {place for place in added if place.endswith(_ARCHIVES) and self._kind(place) == "file"}

    def _listed(
        self, code: Code, path: tuple[str, ...], own: tuple[str, ...], editable: Callable[[], dict[str, str]]
    ) -> Iterator[str]:
        """Yield the modules that code may import by computed names: all of a package, of a folder, or of its path.

        Of what only running tells, those directly in the folders ``own`` are taken, unless the run is traced.
        """
        for item in code.imports.listed:
            match item:
                case WholeFolder(base="file", path=place):
                    yield from self._below(os.path.normpath(os.path.join(code.folder, place)))
                case WholeFolder(path=place):
                    yield from self._below(os.path.normpath(os.path.join(code.working, place)))
                case WholePackage(module=module, level=level):
                    start = code.package or code.folder
                    for _ in range(level - 1):
                        start = os.path.dirname(start)
                    parts = tuple(part for part in module.split(".") if part)
                    folders, files = self._walk(parts, (start,) if level else path, editable())
                    yield from files
                    for folder in folders if parts else (start,):
                        yield from self._below(folder)
        if code.imports.computed and not code.is_traced:
            for folder in dict.fromkeys(own):
                yield from self._modules_in(folder)[0]

    def _below(self, folder: str) -> Iterator[str]:
        """Yield the modules in a folder and in all folders below it."""
        waiting = [folder]
        while waiting:
            modules, folders = self._modules_in(waiting.pop())
            yield from modules
            waiting += folders

    def _modules_in(self, folder: str) -> tuple[list[str], list[str]]:
        """Return the modules and packages in a folder, and the folders in it, in which there may be more."""
        if not self.is_local(folder):
            return [], []
        self.search(folder)
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            return [], []
        paths = [os.path.join(folder, name) for name in names if not name.startswith((".", "__pycache__"))]
        folders = [path for path in paths if self._kind(path) == "folder" and not os.path.islink(path)]
        packages = [os.path.join(path, "__init__.py") for path in folders]
        found = [path for path in (*paths, *packages) if path.endswith(".py") and self._kind(path) == "file"]
        return found, [path for path in folders if not os.path.exists(os.path.join(path, "pyvenv.cfg"))]

    def _mentioned(
        self, imports: Imports, package: str | None, path: tuple[str, ...], editable: Callable[[], dict[str, str]]
    ) -> Iterator[str]:
        for item in imports.modules:
            if item.level:
                if package is None:
                    continue
                start = package
                for _ in range(item.level - 1):
                    start = os.path.dirname(start)
                search: tuple[str, ...] = (start,)
                if self.is_local(start) and self._kind(init := os.path.join(start, "__init__.py")) == "file":
                    yield init
            else:
                search = path
            parts = tuple(part for part in item.module.split(".") if part)
            folders, files = self._walk(parts, search, editable())
            yield from files
            for name in item.names:
                if name != "*" and folders:
                    yield from self._walk((name,), folders, {})[1]

    def _walk(
        self, parts: tuple[str, ...], search: tuple[str, ...], editable: dict[str, str]
    ) -> tuple[tuple[str, ...], list[str]]:
        """Follow a dotted name; return the folders of the package that it is, and the files passed on the way."""
        folders = search
        files: list[str] = []
        for position, part in enumerate(parts):
            mapped = editable.get(part) if position == 0 else None
            spots = (
                (mapped, *(os.path.join(folder, part) for folder in folders))
                if mapped
                else tuple(os.path.join(folder, part) for folder in folders)
            )
            namespace: list[str] = []
            for spot in spots:
                if not self.is_local(spot):
                    continue
                self.search(os.path.dirname(spot))
                if self._kind(init := os.path.join(spot, "__init__.py")) == "file":
                    files.append(init)
                    folders = (spot,)
                    break
                if module := self._module_at(spot):
                    files.append(module)
                    return (), files
                if self._kind(spot) == "folder":
                    namespace.append(spot)
            else:
                if not namespace:
                    return (), files
                folders = tuple(namespace)
        return folders, files

    def _module_at(self, spot: str) -> str | None:
        """Return the file that a module is imported from: Python prefers one that is compiled."""
        spots = (spot,) if spot.endswith(".py") else (spot + suffix for suffix in (*EXTENSION_SUFFIXES, ".py"))
        return next((path for path in spots if self._kind(path) == "file"), None)

    def search(self, place: str) -> None:
        """Note that something is looked for in a folder, or that a file is looked for."""
        self.folders.note(place)

    def _kind(self, path: str) -> str:
        """Return whether a path is a ``file``, a ``folder`` or nothing."""
        if path not in self._kinds:
            kind = "file" if os.path.isfile(path) else "folder" if os.path.isdir(path) else ""
            self._kinds[path] = kind
        return self._kinds[path]

    def is_local(self, path: str) -> bool:
        """Whether a path is in the repository, and not in an environment that lies inside it."""
        return _within(path, self._project.repository) and not (
            _within(sys.prefix, self._project.repository) and _within(path, sys.prefix)
        )


def _text(word: Word, code: Code) -> str:
    """Return a word of a command; a path that starts at the code's own file as an absolute one."""
    if word.base == "file":
        return os.path.normpath(os.path.join(code.folder, word.text))
    return with_own_folder(word.text, code.folder)


def _kind_of_script(path: str) -> str:
    """Name how a file is read: modules as ``python``, others by their ending or as ``make``."""
    name = os.path.basename(path)
    if name.endswith((".py", ".pyw")):
        return "python"
    is_make = name.lower().startswith(("makefile", "gnumakefile")) or name.endswith(".mk")
    return "make" if is_make else os.path.splitext(name)[1]


def _identity_of(path: str, source: bytes, digest: Digest) -> ModuleIdentity:
    kind, is_program = _kind_of_script(path), source.startswith(b"#!")
    if kind == "python" or (is_program and b"python" in source.split(b"\n", 1)[0]):
        return ModuleIdentity(python_identity(source), imports_of(source), is_program)
    if kind == ".ipynb":
        with suppress(UnreadableNotebookError):
            found = identify(read_code(source, path, ""))
            return ModuleIdentity(digest_text("\n".join(map(str, found.ingredients()))), found.imports)
    if b"\0" in source:
        return ModuleIdentity(digest, Imports(), is_program)
    text = source.decode(errors="replace")
    if kind in _NOT_SHELL:
        return ModuleIdentity(digest, Imports(named=tuple(_named_in(text, kind))), is_program)
    # without an ending it may be either
    imports = imports_of(source) if not kind and not is_program else Imports()
    lines = recipes(text) if kind == "make" else [text]
    commands = (*imports.commands, *map(StartedCommand, lines))
    return ModuleIdentity(digest, msgspec.structs.replace(imports, commands=commands), is_program)


_QUOTED = re.compile(r"""["']([^"'\s\\]+)["']""")
_LOADED = re.compile(
    r"""\b(?:require|require_relative|include|source|import|from|dofile|load|do)\b[\s(]*["']([^"'\s\\]+)["']"""
)


def _named_in(text: str, kind: str) -> Iterator[str]:
    """Yield what code of another language may load or start: quoted names of scripts, also without an ending."""
    yield from (name for name in _QUOTED.findall(text) if name.endswith(SUFFIXES))
    yield from (f"{name}{kind}" for name in _LOADED.findall(text) if not name.endswith(SUFFIXES))


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
