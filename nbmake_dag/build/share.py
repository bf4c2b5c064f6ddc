"""From ``[cache]`` and the environment to the shared cache of a build."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING

from nbmake_dag.build.prepare import Prepared, Stores
from nbmake_dag.build.request import Request
from nbmake_dag.errors import UsageError

if TYPE_CHECKING:
    from nbmake_dag.build.sharing import Sharing
    from nbmake_dag_cache.signatures import Signer, Verifier

SIGNING_KEY = "NBDAG_CACHE_SIGNING_KEY"


def open_sharing(
    prepared: Prepared,
    request: Request,
    stores: Stores,
    *,
    post: Callable[[object], None],
    said: Callable[[str], None],
) -> Sharing | None:
    """Make what a build shares with others, ``None`` if that is nothing; raises `UsageError`.

    The remote itself is not touched yet.
    """
    settings = prepared.pipeline.cache
    seeks = prepared.rules.seek_records and prepared.rules.use_records
    writes = request.writes_cache and "write" in settings.remote_mode
    if settings.remote is None or not (seeks or writes):
        return None
    from nbmake_dag.build.sharing import Sharing  # noqa: PLC0415 - most builds share nothing
    from nbmake_dag.build.trust import trust_of  # noqa: PLC0415 - likewise
    from nbmake_dag.build.uploads import Uploads  # noqa: PLC0415 - likewise
    from nbmake_dag_cache.remote import Remote, UnknownRemoteError, check_url  # noqa: PLC0415 - likewise
    from nbmake_dag_cache.shared import SharedCache  # noqa: PLC0415 - likewise

    url = _url(settings.remote, prepared)
    try:
        check_url(url)
    except UnknownRemoteError as error:
        hint = 'the extra `s3` has what s3:// needs: pip install "nbmake-dag[s3]"'
        raise UsageError(
            f"`[cache] remote` cannot be used: {error}", (("remote", settings.remote),), hint
        ) from error
    trust = trust_of(prepared.variables, settings.trusted_branches)
    signer, verifier = _keys(prepared)
    refusal = trust.refusal
    if not refusal and verifier is not None and signer is None:
        refusal = f"{SIGNING_KEY} is not set, and a record without a signature would be refused"
    if writes and refusal:
        said(f"nothing is written to the shared cache: {refusal}")
    zones = replace(trust.zones, reads=trust.zones.reads if seeks else ())
    shared = SharedCache(Remote(url), zones, max_size=settings.max_size, verifier=verifier, signer=signer)
    uploads = None
    if writes and not refusal:
        uploads = Uploads(shared, stores, prepared.project.state, _secrets(prepared))
    return Sharing(prepared, stores, shared, uploads=uploads, post=post)


def readable(prepared: Prepared) -> tuple[str | None, tuple[str, ...]]:
    """Return the URL of the shared cache and the zones of it that this build reads; raises `UsageError`."""
    settings = prepared.pipeline.cache
    if settings.remote is None or not prepared.rules.seek_records:
        return None, ()
    from nbmake_dag.build.trust import trust_of  # noqa: PLC0415 - most builds share nothing

    zones = trust_of(prepared.variables, settings.trusted_branches).zones
    return _url(settings.remote, prepared), zones.reads


def _url(remote: str, prepared: Prepared) -> str:
    return remote if "://" in remote else os.path.join(prepared.project.root, remote)


def new_keys() -> tuple[str, str]:
    """Make a public key and the private one that belongs to it."""
    signer, private_key = _signatures().Signer.new()
    return signer.public_key, private_key


def _signatures() -> ModuleType:
    try:
        from nbmake_dag_cache import signatures  # noqa: PLC0415 - needs a package of its own
    except ModuleNotFoundError as error:
        hint = 'pip install "nbmake-dag[signatures]"'
        raise UsageError("signatures of records need the package cryptography", (), hint) from error
    return signatures


def _keys(prepared: Prepared) -> tuple[Signer | None, Verifier | None]:
    """Read the private key from the environment and the public ones from the file."""
    public_keys, private_key = prepared.pipeline.cache.public_keys, prepared.variables.get(SIGNING_KEY)
    if not public_keys and not private_key:
        return None, None
    signatures = _signatures()
    try:
        verifier = signatures.Verifier(public_keys) if public_keys else None
        signer = signatures.Signer(private_key) if private_key else None
    except ValueError as error:
        what = f"{SIGNING_KEY} or a key of `[cache] public_keys` is no Ed25519 key in base64"
        raise UsageError(what, (), "`nbdag cache keygen` makes a pair") from error
    if signer and public_keys and signer.public_key not in public_keys:
        what = f"{SIGNING_KEY} belongs to none of `[cache] public_keys`"
        raise UsageError(what, (("its public key", signer.public_key),))
    return signer, verifier


def _secrets(prepared: Prepared) -> dict[str, str]:
    """Return what must not get out: values of declared secrets, and of variables whose names say what they are."""
    from nbmake_dag_reporting.secrets_scan import suspects  # noqa: PLC0415 - most builds share nothing

    variables = prepared.variables
    declared = {name for task in prepared.whole.tasks.values() for name in task.secrets}
    return {**suspects(variables), **{name: variables[name] for name in sorted(declared) if name in variables}}
