"""`nbdag verify`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import file_digest
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import click
from msgspec import Struct

from nbmake_dag.commands.helping import Command
from nbmake_dag.commands.options import as_json, located, project_of, say
from nbmake_dag.errors import NbdagError, UsageError, describe
from nbmake_dag_reporting.documents import Format, described

if TYPE_CHECKING:
    from nbmake_dag_reporting.attestation import Statement


_CHANGES = {True: ", with uncommitted changes", False: "", None: ", perhaps with uncommitted changes"}
_LARGEST = 64 << 20
"""Bytes of an attestation that may come from anybody."""


class VerifiedDocument(Struct, frozen=True, kw_only=True):
    """What made a file, as somebody whose key is known has signed."""

    format: Format = 1
    file: Annotated[str, described("the path that the file had in the project")]
    sha256: Annotated[str, described("the digest of its bytes")]
    public_key: Annotated[str, described("the key that signed")]
    run: Annotated[str, described("the run that executed the task")]
    started: Annotated[str, described("when it began")]
    commit: Annotated[str | None, described("the commit of the repository")]
    uncommitted: Annotated[bool | None, described("whether there were changes in no commit; null: not known")]
    repository: Annotated[str | None, described("the address of the repository, `unknown:` without one")]
    pipeline: Annotated[str, described("`[pipeline] name`")]
    task: Annotated[str, described("the task")]
    type: Annotated[str, described("what it executed")]
    source: Annotated[str | None, described("the notebook")]
    parameters: Annotated[dict[str, Any], described("the values that reached it")]
    key: Annotated[str, described("the key of the result")]
    code: Annotated[tuple[tuple[str, str, str], ...], described("kind, name and digest of each piece of code")]
    inputs: Annotated[tuple[tuple[str, str, str], ...], described("kind, path and digest of each input")]
    software: Annotated[tuple[tuple[str, str, str], ...], described("kind, name and version or digest")]
    others: Annotated[tuple[tuple[str, str, str], ...], described("what else decided the result")]


class NotVerifiedError(NbdagError):
    """Nobody whose key is known says what made a file."""

    exit_code = 1


@click.command(
    cls=Command,
    examples={
        "nbdag verify model.onnx --attestation run.intoto.jsonl --public-key KEY": "what made this file",
    },
)
@click.argument("path", metavar="FILE", type=click.Path())
@located
@click.option("--attestation", required=True, metavar="A", help="What `nbdag export --attest` wrote.")
@click.option("--public-key", "keys", multiple=True, metavar="KEY", help="Who may sign; else [cache] public_keys.")
@as_json("verified")
def command(
    directory: str | None,
    file: str | None,
    path: str,
    attestation: str,
    keys: tuple[str, ...],
    *,
    writes_json: bool,
) -> None:
    """Show which run, commit, notebook, inputs, parameters and software made a file; no repository is needed.

    The statement must be signed by a key that you name, or that [cache] public_keys of the pipeline here names.
    """
    from nbmake_dag.engine.shared_cache.client import signing  # noqa: PLC0415 - not for --help

    dsse = signing("dsse")
    keys = keys or _configured(directory, file)
    if not keys:
        hint = "name a key with --public-key: who signed is all that an attestation can show"
        raise NotVerifiedError("nobody's key is known, so nothing can be verified", (), hint)
    found, key = signed_statement(dsse, _read(attestation), _digest(path), keys, os.path.basename(path))
    document = _document(found, key)
    if writes_json:
        from nbmake_dag_reporting.documents import encode_document  # noqa: PLC0415 - only where it is asked for

        click.echo(encode_document(document), nl=False)
        return
    for line in _lines(path, document):
        say(line if line.isprintable() else repr(line)[1:-1])


def _configured(directory: str | None, file: str | None) -> tuple[str, ...]:
    from nbmake_dag.commands.settings import settings_of  # noqa: PLC0415 - not for --help

    try:
        project = project_of(directory, file)
    except UsageError:
        return ()
    return settings_of(project).cache.public_keys


def _digest(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {describe(error)}") from error


def _read(path: str) -> bytes:
    from nbmake_dag_reporting.runs import open_regular  # noqa: PLC0415 - not for --help

    try:
        with open_regular(path) as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {describe(error)}") from error
    if len(data) > _LARGEST:
        raise NotVerifiedError(f"{path} is larger than any attestation")
    return data


def signed_statement(
    dsse: ModuleType, data: bytes, sha256: str, keys: tuple[str, ...], name: str = ""
) -> tuple[Statement, str]:
    """Return the statement about some bytes that a key signed, and the key; raises `NotVerifiedError`.

    Of several, as of empty files, it is the one about a file with this name, if there is one.
    """
    from nbmake_dag_reporting.attestation import StatementError, read_statement  # noqa: PLC0415 - not for --help

    found: list[tuple[Statement, str]] = []
    others = False
    try:
        for envelope in dsse.read_envelopes(data):
            key = envelope.signer(keys)
            if key is None:
                others = True
                continue
            statement = read_statement(envelope.payload)
            if statement.sha256 == sha256:
                found.append((statement, key))
    except dsse.EnvelopeError as error:
        raise NotVerifiedError(f"the attestation was changed: {error}") from error
    except StatementError as error:
        raise NotVerifiedError(f"the attestation cannot be used: {error}") from error
    except ValueError as error:
        raise UsageError(
            "a public key is not an Ed25519 key in base64", (), "`nbdag cache keygen` makes one"
        ) from error
    if found:
        return next((each for each in found if os.path.basename(each[0].file) == name), found[0])
    unsigned = "; statements of others, or changed ones, are in it" if others else ""
    raise NotVerifiedError(
        f"no statement about these bytes is signed by a known key{unsigned}", (("sha256", sha256),)
    )


def _document(found: Statement, key: str) -> VerifiedDocument:
    work, used = found.work, found.used
    return VerifiedDocument(
        file=found.file,
        sha256=found.sha256,
        public_key=key,
        run=found.run,
        started=found.started,
        commit=found.commit,
        uncommitted=found.uncommitted,
        repository=found.repository,
        pipeline=work.pipeline,
        task=work.task,
        type=work.type,
        source=work.path,
        parameters=work.parameters,
        key=used.key,
        code=used.code,
        inputs=used.inputs,
        software=used.software,
        others=used.others,
    )


def _lines(path: str, found: VerifiedDocument) -> Iterator[str]:
    yield f"{os.path.basename(path)} is {found.file}, made by task {found.task} of {found.pipeline}"
    yield f"  run         {found.run}, {found.started}"
    yield f"  commit      {found.commit or 'not known'}{_CHANGES[found.uncommitted] if found.commit else ''}"
    yield f"  {found.type:<11} {found.source or ''}".rstrip()
    for name, value in found.parameters.items():
        yield f"  parameter   {name} = {value!r}"
    for kind, name, value in (*found.inputs, *found.software):
        yield f"  {kind:<11} {name or '-'}  {value[:40]}"
    yield f"  signed by   {found.public_key}"
