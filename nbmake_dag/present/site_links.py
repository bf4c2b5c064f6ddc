"""Addresses of pages on a published site, of the runs that it shows."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from urllib.parse import quote, urljoin, urlsplit

from nbmake_dag.errors import UsageError


class SiteLinks:
    """Links into the site at ``url``, the address of its folder or of its page, to the ``runs`` that are on it."""

    def __init__(self, url: str, runs: AbstractSet[str] = frozenset()) -> None:
        self._page = _page(url)
        self._runs = runs

    @staticmethod
    def folder(url: str) -> str:
        """Return the address of the folder of a site, by that of its page; raises `UsageError`."""
        return urljoin(_page(url), ".")

    def run(self, run: str) -> str | None:
        return f"{self._page}#/run/{quote(run, safe='')}" if run in self._runs else None

    def task(self, run: str, task: str) -> str | None:
        page = self.run(run)
        return page and f"{page}/task/{quote(task, safe='')}"

    def compare(self, before: str, after: str) -> str | None:
        if not {before, after} <= self._runs:
            return None
        return f"{self._page}#/compare?runs={quote(before, safe='')},{quote(after, safe='')}"

    def pictures(self, before: str, after: str) -> str | None:
        page = self.compare(before, after)
        return page and f"{page}&view=pictures"


def _page(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError(f"{url} is not the address of a site", (), "it begins with https://")
    path = parts.path if parts.path.endswith((".html", "/")) else f"{parts.path}/"
    return f"{parts.scheme}://{parts.netloc}{quote(path, safe='/%')}"
