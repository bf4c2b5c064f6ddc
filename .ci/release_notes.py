"""Print the changelog of a release for its tag, or say why this commit cannot be released under it."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def release_notes(tag: str, root: Path = ROOT) -> str:
    """Return the section of the changelog; exits where the tag, the versions and the changelog disagree."""
    text = (root / "pyproject.toml").read_text()
    version = tomllib.loads(text)["project"]["version"]
    if tag != f"v{version}":
        sys.exit(f"the version in pyproject.toml is {version}, and the tag is {tag}")
    if f'__version__ = "{version}"' not in (root / "nbmake_dag/__init__.py").read_text():
        sys.exit(f"nbmake_dag/__init__.py has another __version__ than {version}")
    if "/OWNER/" in text:
        sys.exit("pyproject.toml has OWNER in place of the repository's owner")
    sections = re.split(r"^## +", (root / ".github/CHANGELOG.md").read_text(), flags=re.MULTILINE)[1:]
    found = {title.strip(): body.strip() for title, _, body in (each.partition("\n") for each in sections)}
    if not found.get(version):
        sys.exit(f"the changelog has no section {version}, or nothing in it")
    if found.get("Unreleased"):
        sys.exit(f"the changelog has unreleased lines above {version}")
    return f"{found[version]}\n"


if __name__ == "__main__":
    sys.stdout.write(release_notes(sys.argv[1]))
