"""One file of a file system that fsspec knows, such as an object of S3."""

from __future__ import annotations

from nbmake_dag.core.model import RemoteFile
from nbmake_dag.remote_inputs.limits import DownloadError, Got, Limits
from nbmake_dag_cache.admission import RefusedError
from nbmake_dag_cache.remote import Limits as RemoteLimits
from nbmake_dag_cache.remote import Remote, RemoteError, UnknownRemoteError, check_url


class BucketFile:
    """One URL; credentials are those that its file system finds."""

    def __init__(self, remote: RemoteFile, limits: Limits) -> None:
        folder, _, self._name = remote.url.rpartition("/")
        options = {"version_aware": True} if remote.is_version else {}
        self._remote = remote
        self._files = Remote(folder, RemoteLimits(operation=limits.ask, rate=limits.rate, failures=1), options)

    def ask(self) -> tuple[int, str]:
        """Return size and version; raises `DownloadError`."""
        try:
            check_url(self._remote.url)
            found = self._files.describe(self._name)
        except UnknownRemoteError as error:
            raise DownloadError(f"{error}; s3:// needs the extra `s3` of nbdag, or the package s3fs") from error
        except (RemoteError, RefusedError) as error:
            raise DownloadError(str(error)) from error
        if found is None:
            raise DownloadError("it does not exist, or its bucket does not")
        if found[0] > self._remote.max_size:
            raise DownloadError(f"it is {found[0]} bytes, more than max_size")
        return found

    def download(self, size: int, version: str, part: str) -> Got:
        """Write the content into a file; raises `DownloadError`, `OSError`."""
        path = f"{part}-new.part"
        try:
            with open(path, "wb") as file:
                file.writelines(self._files.pieces(self._name, size))
        except (RemoteError, RefusedError) as error:
            raise DownloadError(str(error)) from error
        return Got(path=path, etag=version)
