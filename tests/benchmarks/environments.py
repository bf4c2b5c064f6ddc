"""The tools that are compared, each in a virtual environment of its own, made by pip and kept between runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import click

REPOSITORY = Path(__file__).resolve().parents[2]
OURS = "nbdag"
_NOTEBOOKS = ("papermill", "ipykernel")
REQUIREMENTS = {
    "doit": ("doit",),
    "joblib": ("joblib",),
    # of the system
    "make": (),
    "dvc": ("dvc", *_NOTEBOOKS),
    "nbmake": ("nbmake", "pytest-xdist", "ipykernel"),
    "ninja": ("ninja",),
    "papermill": _NOTEBOOKS,
    # it stands still, and calls what later versions of these have removed
    "ploomber": ("ploomber", "jupyter-client<8", "ipykernel<7", "setuptools<80"),
    "pytask": ("pytask",),
    "snakemake": ("snakemake", *_NOTEBOOKS),
}
"""What pip installs for each peer."""
CHEAP = ("doit", "joblib", "make", "ninja", "papermill")
"""The peers of a quick look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """An installed tool. ``home`` is empty: no configuration of the user's has a part in what is measured."""

    folder: Path
    home: Path

    def program(self, name: str) -> str:
        return str(self.folder / "bin" / name)

    def variables(self) -> dict[str, str]:
        return {
            "HOME": str(self.home),
            "PATH": f"{self.folder / 'bin'}:/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "DVC_NO_ANALYTICS": "1",
            "PLOOMBER_STATS_ENABLED": "false",
        }

    def versions(self) -> dict[str, str]:
        """Return the version of every installed package."""
        listed = _output([self.program("python"), "-m", "pip", "list", "--format=json"])
        return {package["name"]: package["version"] for package in json.loads(listed)}


def cache_folder() -> Path:
    """Return where all is kept: ``NBDAG_BENCHMARKS``, else a folder of the user's cache."""
    default = Path.home() / ".cache" / "nbdag-benchmarks"
    return Path(os.environ.get("NBDAG_BENCHMARKS") or default).absolute()


def peer(tool: str, cache: Path) -> Environment:
    """Install a peer, unless it is."""
    return _made(tool, cache, REQUIREMENTS[tool], stamp=" ".join(REQUIREMENTS[tool]))


def ours(cache: Path) -> Environment:
    """Install this checkout as anyone would: not editable, anew whenever a file of it has changed."""
    return _made(OURS, cache, (f"{REPOSITORY}[examples]",), stamp=_checkout())


def at_hand(cache: Path) -> dict[str, Environment]:
    """Install the cheap peers together; nbdag is that of the Python that runs this."""
    requirements = tuple(dict.fromkeys(package for tool in CHEAP for package in REQUIREMENTS[tool]))
    together = _made("cheap", cache, requirements, stamp=" ".join(requirements))
    return {OURS: replace(together, folder=Path(sys.prefix)), **dict.fromkeys(CHEAP, together)}


def _made(tool: str, cache: Path, requirements: tuple[str, ...], stamp: str) -> Environment:
    environment = Environment(folder=cache / "environments" / tool, home=cache / "home")
    environment.home.mkdir(parents=True, exist_ok=True)
    done = environment.folder / "made-of.txt"
    stamp = f"{sys.version}\n{stamp}\n"
    if done.exists() and done.read_text() == stamp:
        return environment
    click.echo(f"installing {tool}", err=True)
    if not done.exists() or not done.read_text().startswith(sys.version):
        _output([sys.executable, "-m", "venv", "--clear", str(environment.folder)])
    pip = [environment.program("python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if done.exists() and tool == OURS:
        pip += ["--force-reinstall", "--no-deps"]
    if requirements:
        _output([*pip, *requirements])
    done.write_text(stamp)
    return environment


def _checkout() -> str:
    """Return a digest of what this checkout installs."""
    folders = ("nbmake_dag", "cache/nbmake_dag_cache", "reporting/nbmake_dag_reporting")
    digest = sha256((REPOSITORY / "pyproject.toml").read_bytes())
    for folder in folders:
        for path in sorted((REPOSITORY / folder).rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                digest.update(str(path).encode() + path.read_bytes())
    return digest.hexdigest()


def _output(argv: list[str]) -> str:
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout
