"""The stores of a project below ``.nbdag``: memos, records, blobs, previous results, drafts."""

from __future__ import annotations

import errno

import msgspec

from nbmake_dag.engine.state.drafts import Drafts
from nbmake_dag.engine.state.previous_results import PreviousResults
from nbmake_dag.observe.project import Project
from nbmake_dag_cache.blobs import BlobStore
from nbmake_dag_cache.memo import IdentityMemo, StatMemo
from nbmake_dag_cache.records import RecordStore

_ONLY_READ = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


class Stores(msgspec.Struct, frozen=True, kw_only=True):
    """Written by the thread of the loop alone; `BlobStore` may be used by any."""

    files: StatMemo
    identities: IdentityMemo
    records: RecordStore
    blobs: BlobStore
    previous: PreviousResults
    drafts: Drafts
    warnings: list[str] = []
    """What could not be used of it."""

    @classmethod
    def open(cls, project: Project) -> Stores:
        try:
            project.make_state()
        except OSError as error:
            # who may only read may look; what changes something has locked the folder by now
            if error.errno not in _ONLY_READ:
                raise
        warnings: list[str] = []
        return cls(
            warnings=warnings,
            files=StatMemo(project.state, warnings.append),
            identities=IdentityMemo(project.state, warnings.append),
            records=RecordStore(project.cache, warnings.append),
            blobs=BlobStore(project.cache),
            previous=PreviousResults(project.state, warnings.append),
            drafts=Drafts(project.state, warnings.append),
        )

    def flush(self) -> None:
        """Write the new entries."""
        self.previous.save()
        self.drafts.save()
        self.files.flush()
        self.identities.flush()

    def close(self) -> None:
        self.flush()
        self.files.close()
        self.identities.close()
