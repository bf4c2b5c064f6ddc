"""The validator of RO-Crates finds nothing that the profiles require, also in the crate of a hostile run.

It is in an environment of its own, because its bounds are not ours. It would fetch the context of RO-Crate 1.1,
which an older version of the library has in it; with that in its cache it connects to nobody:

    python -m venv crate && crate/bin/pip install roc-validator==0.13.0 rocrate==0.13.0
    NBDAG_ROC_VALIDATOR=crate/bin/python pytest -m roc_validator tests/reporting/test_crate_validator.py
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.reporting.crates import hostile_crate

pytestmark = [pytest.mark.roc_validator, pytest.mark.slow]
VALIDATE = """
import json, sys
from datetime import datetime, timezone
from importlib.resources import files
from io import BytesIO
import requests
from requests_cache import CachedResponse, CachedSession
from rocrate_validator.services import validate
from urllib3 import HTTPResponse

crate, profile, severity, cache = sys.argv[1:]
context = files("rocrate").joinpath("data/ro-crate.jsonld").read_bytes()
url = "https://w3id.org/ro/crate/1.1/context"
assert json.loads(context)["@id"] == url
session = CachedSession(cache, backend="sqlite", expire_after=-1)
for accept in ("application/ld+json, application/json", "application/ld+json, application/json, */*;q=0.1"):
    request = session.prepare_request(requests.Request("GET", url, headers={"Accept": accept}))
    response = requests.Response()
    response.status_code, response.url, response.request = 200, url, request
    response.headers["Content-Type"] = "application/ld+json"
    response._content = context
    response.raw = HTTPResponse(BytesIO(context), headers=response.headers, status=200, request_url=url)
    session.cache.save_response(response, session.cache.create_key(request))
found = validate({
    "rocrate_uri": crate,
    "profile_identifier": profile,
    "requirement_severity": severity,
    "cache_path": cache,
    "offline": True,
})
print(json.dumps(sorted(f"{issue.check.identifier}: {issue.message}" for issue in found.get_issues())))
"""


def issues(crate: Path, severity: str = "REQUIRED") -> list[str]:
    """Return what the validator finds, connected to nobody."""
    cache = crate.parent / "cache"
    command = [
        os.environ["NBDAG_ROC_VALIDATOR"],
        "-c",
        VALIDATE,
        str(crate),
        "provenance-run-crate",
        severity,
        str(cache),
    ]
    env = {**os.environ, "HOME": str(crate.parent), "https_proxy": "http://127.0.0.1:9"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return found


def test_the_crate_of_a_hostile_run_is_valid(tmp_path: Path) -> None:
    """And the validator sees what is wrong in one that was damaged."""
    hostile_crate(tmp_path / "crate")
    assert issues(tmp_path / "crate") == []
    (tmp_path / "crate/pipeline.toml").unlink()
    assert issues(tmp_path / "crate") != []
