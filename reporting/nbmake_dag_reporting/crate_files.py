"""The folder of an RO-Crate: each file with an entity that describes it, under a name that leads nowhere else."""

from __future__ import annotations

import hashlib
import mimetypes
import os
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import msgspec
from rocrate.model import ComputationalWorkflow, ComputerLanguage, ContextEntity, File
from rocrate.rocrate import ROCrate

from nbmake_dag_reporting.bundle import Recorded
from nbmake_dag_reporting.safe_names import safe_name, safe_paths
from nbmake_dag_reporting.secrets_scan import Secrets

_TERMS = {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"}
"""What the context of RO-Crate 1.1 lacks; as a part of the crate, it need not be fetched by who reads it."""
_TYPES = {
    ".ipynb": "application/x-ipynb+json",
    ".toml": "application/toml",
    ".parquet": "application/vnd.apache.parquet",
}
"""What not every machine has in its list."""
_METADATA = "ro-crate-metadata.json"
URL = re.compile(r"https?://[A-Za-z0-9._~:/?#@!$&'()*+,;=%\[\]-]+")
"""An address that can be the name of an entity as it is."""

Look = Callable[[str, str], bytes | None]
"""Returns the content of the file at a path, if it has a digest."""


class Workflow(msgspec.Struct, frozen=True, kw_only=True):
    """The workflow as a file, its language, and where it is from."""

    name: str
    content: bytes
    language: str
    origin: str


class RecordedFile(msgspec.Struct, frozen=True):
    """A file as a record has it."""

    path: str
    xxh3: str
    sha256: str
    size: int


class CrateFiles:
    """The folder of a crate, and its entities; a file whose bytes are gone is only described."""

    def __init__(self, folder: str, recorded: Recorded, look: Look, secrets: Secrets) -> None:
        self.crate: Any = ROCrate(version="1.1")
        self.crate.metadata.extra_terms.update(_TERMS)
        self.missing: list[str] = []
        self._folder = folder
        self._recorded = recorded
        self._look = look
        self._secrets = secrets
        self._known: dict[tuple[str, str], Any] = {}
        self._files: set[str] = {_METADATA}
        self._folders: set[str] = set()

    def finish(self) -> None:
        """Write the metadata; raises `SecretFoundError`."""
        document: dict[str, Any] = self.crate.metadata.generate()
        document["@graph"] = [_compact(entity) for entity in document["@graph"]]
        data = msgspec.json.format(msgspec.json.encode(document))
        self._write(_METADATA, self._secrets.clean(data, _METADATA))

    def entity(self, at: str, kind: str | list[str], properties: Mapping[str, Any]) -> Any:
        """Add something that is not a file."""
        return self.crate.add(ContextEntity(self.crate, at, utf8({"@type": kind, **properties})))

    def workflow(self, workflow: Workflow, properties: Mapping[str, Any]) -> Any:
        """Add the main entity of the crate."""
        language = {"name": workflow.language}
        content = self._secrets.clean(workflow.content, workflow.name)
        place = self._free(workflow.name)
        self._write(place, content)
        properties = {
            # what has steps is a HowTo, too
            "@type": [*ComputationalWorkflow.TYPES, "HowTo"],
            "description": workflow.origin,
            **_facts(place, content),
            **properties,
        }
        return self.crate.add_workflow(
            os.path.join(self._folder, place),
            place,
            properties=utf8(properties),
            main=True,
            lang=self.crate.add(ComputerLanguage(self.crate, "#language", language)),
        )

    def recorded(self, file: RecordedFile) -> Any:
        """Add a file whose SHA-256 is in a record, once."""
        which = file.path, file.sha256
        if which not in self._known:
            data = self._recorded.blob(file.sha256)
            if data is None:
                data = self._look(file.path, file.xxh3)
            if data is not None and hashlib.sha256(data).hexdigest() != file.sha256:
                data = None
            said = {"sha256": file.sha256, "contentSize": str(file.size)}
            self._known[which] = self.file(_place_of(file.path), file.path, data, said)
        return self._known[which]

    def by_digest(self, path: str, digest: str) -> Any:
        """Add an input, of which a record has the digest that counts in the key."""
        which = path, digest
        if which not in self._known:
            said = {"identifier": f"xxh3-128:{digest}"}
            if "://" in path:
                self._known[which] = self._remote(path, said)
            else:
                self._known[which] = self.file(_place_of(path), path, self._look(path, digest), said)
        return self._known[which]

    def file(self, place: str, name: str, data: bytes | None, said: Mapping[str, Any]) -> Any:
        """Add a file, without its bytes where these are gone or must not be published as they are."""
        if data is None or self._secrets.clean(data, name) != data:
            self.missing.append(name)
            known = {
                "name": name,
                "encodingFormat": _type_of(name),
                "description": "It is not in this crate.",
                **said,
            }
            return self._described(f"#file/{id_of(f'{place} {sorted(said.items())}')}", known)
        place = self._free(place)
        self._write(place, data)
        properties = utf8({"name": name, **said, **_facts(name, data)})
        return self.crate.add(File(self.crate, os.path.join(self._folder, place), place, properties=properties))

    def _remote(self, url: str, said: Mapping[str, Any]) -> Any:
        known = {"name": url, "encodingFormat": _type_of(url), "description": "An input from elsewhere.", **said}
        is_name = URL.fullmatch(url) and self.crate.get(url) is None
        return self._described(url if is_name else f"#file/{id_of(f'{url} {said}')}", known)

    def _described(self, at: str, known: Mapping[str, Any]) -> Any:
        entity = self.entity(at, "File", known)
        self.crate.root_dataset.append_to("hasPart", entity)
        return entity

    def _free(self, place: str) -> str:
        """Return a path like this one at which nothing is, on any file system."""
        number, free = 1, place
        while self._is_taken(free.casefold()) or self._files.intersection(_above(free)):
            number += 1
            above, _, rest = place.partition("/")
            free = f"{above}/{number}~/{rest}" if rest else f"{number}~{above}"
        self._files.add(free.casefold())
        self._folders.update(_above(free))
        return free

    def _is_taken(self, folded: str) -> bool:
        return folded in self._files or folded in self._folders

    def _write(self, path: str, data: bytes) -> None:
        place = os.path.join(self._folder, path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "wb") as file:
            file.write(data)


def _place_of(path: str) -> str:
    return f"files/{safe_paths([path])[path]}"


def _above(path: str) -> list[str]:
    parts = path.casefold().split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def id_of(text: str) -> str:
    """Write any text as a part of the name of an entity."""
    return quote(safe_name(text), safe="")


def _facts(name: str, data: bytes) -> dict[str, str]:
    sha256 = hashlib.sha256(data).hexdigest()
    return {"encodingFormat": _type_of(name), "contentSize": str(len(data)), "sha256": sha256}


def _type_of(name: str) -> str:
    if known := _TYPES.get(os.path.splitext(name)[1]):
        return known
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


def _compact(entity: Mapping[str, Any]) -> dict[str, Any]:
    """Write a list of one value as the value, as RO-Crate 1.1 recommends."""
    return {
        name: value[0] if isinstance(value, list) and len(value) == 1 else value for name, value in entity.items()
    }


def utf8(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Replace what no text in UTF-8 can have: the name of a file may be any bytes."""
    return {
        name: value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
        for name, value in properties.items()
    }
