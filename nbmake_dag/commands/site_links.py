"""Addresses of pages on a published site."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from nbmake_dag.errors import UsageError


class SiteLinks:
    """Links into the site at ``url``, the address of its folder or of its page."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise UsageError(f"{url} is not the address of a site", (), "it begins with https://")
        path = parts.path if parts.path.endswith((".html", "/")) else f"{parts.path}/"
        self._page = f"{parts.scheme}://{parts.netloc}{quote(path, safe='/%')}"

    def run(self, run: str) -> str:
        return f"{self._page}#/run/{quote(run, safe='')}"

    def task(self, run: str, task: str) -> str:
        return f"{self.run(run)}/task/{quote(task, safe='')}"

    def compare(self, before: str, after: str) -> str:
        return f"{self._page}#/compare?runs={quote(before, safe='')},{quote(after, safe='')}"

    def pictures(self, before: str, after: str) -> str:
        return f"{self.compare(before, after)}&view=pictures"
