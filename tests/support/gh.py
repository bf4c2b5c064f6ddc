"""The program `gh` as the workflows use it, on a repository that is a file of JSON; jq is jq.

The repository has `private`, `public` (its Pages), `comments` of pull request 7, `artifacts` and `releases`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import jq

_PAGE = 2
_COMMENTS = "repos/ada/digits/issues/7/comments"


def main(words: list[str]) -> None:
    state = Path(os.environ["GITHUB_STATE"])
    repository: dict[str, Any] = json.loads(state.read_text())
    assert os.environ["GH_TOKEN"]
    assert os.environ["GH_REPO"] == "ada/digits"
    match words:
        case ["api", "repos/ada/digits", "--jq", query]:
            show([repository], query)
        case ["api", "repos/ada/digits/pages", "--jq", query]:
            show([repository], query)
        case ["api", "--paginate", address, "--jq", query] if address == _COMMENTS:
            comments = repository["comments"]
            show([comments[at : at + _PAGE] for at in range(0, len(comments), _PAGE)], query)
        case ["api", "--method", "PATCH", address, "--field", body]:
            number = int(address.removeprefix("repos/ada/digits/issues/comments/"))
            (comment,) = [comment for comment in repository["comments"] if comment["id"] == number]
            comment["body"] = Path(body.removeprefix("body=@")).read_text()
        case ["pr", "comment", "7", "--body-file", body]:
            number = max([comment["id"] for comment in repository["comments"]], default=0) + 1
            text = Path(body).read_text()
            repository["comments"].append({"id": number, "user": {"type": "Bot"}, "body": text})
        case ["api", address, "--jq", query] if address.startswith("repos/ada/digits/actions/artifacts?name="):
            name = address.partition("?name=")[2].partition("&")[0]
            show([{"artifacts": [found for found in repository["artifacts"] if found["name"] == name]}], query)
        case ["api", address] if address.startswith("repos/ada/digits/actions/artifacts/"):
            number = int(address.split("/")[-2])
            (artifact,) = [found for found in repository["artifacts"] if found["id"] == number]
            sys.stdout.buffer.write(Path(artifact["zip"]).read_bytes())
        case ["release", "create", tag, *rest]:
            repository["releases"].append([tag, *rest])
        case _:
            sys.exit(f"gh: unknown: {words}")
    state.write_text(json.dumps(repository))


def show(pages: list[Any], query: str) -> None:
    """Print what a query finds on each page, as `gh` does."""
    for page in pages:
        for found in jq.compile(query).input_value(page).all():
            sys.stdout.write(f"{found if isinstance(found, str) else json.dumps(found)}\n")


main(sys.argv[1:])
