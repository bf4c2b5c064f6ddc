"""Which runs a published site shows: read from the site itself, so that links lead to something."""

from __future__ import annotations

from urllib.parse import urljoin

import msgspec
import requests

from nbmake_dag import __version__

STATE = "site.json"
_TIMEOUT_S = (5, 10)
_LARGEST = 64 << 20


class UnreadableSiteError(Exception):
    """The site cannot be read; the message gives the reason."""


class _State(msgspec.Struct, frozen=True):
    runs: dict[str, str]


def published_runs(folder: str) -> frozenset[str]:
    """Return the identifiers of the runs on the site in this folder of the web; raises `UnreadableSiteError`."""
    url = urljoin(folder, STATE)
    headers = {"User-Agent": f"nbdag/{__version__}"}
    data = b""
    try:
        with requests.get(url, stream=True, timeout=_TIMEOUT_S, headers=headers, auth=_as_anybody) as response:
            if not response.ok:
                raise UnreadableSiteError(f"{url}: {response.status_code} {response.reason}")
            for piece in response.iter_content(1 << 20):
                data += piece
                if len(data) > _LARGEST:
                    raise UnreadableSiteError(f"{url} is larger than {_LARGEST >> 20} MB")
        return frozenset(msgspec.json.decode(data, type=_State).runs)
    except requests.RequestException as error:
        raise UnreadableSiteError(f"{url} cannot be reached: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableSiteError(f"{url} is not the list of a site's runs: {error}") from error


def _as_anybody(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Send no credentials, also none of a ``.netrc``."""
    return request
