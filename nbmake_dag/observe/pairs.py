"""The files that Jupytext pairs a notebook with, by its metadata or by a configuration file above it."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable

import tomli

_BESIDE = re.compile(r"\s*(?!auto\b)\w+(:\w+)?\s*(,\s*(?!auto\b)\w+(:\w+)?\s*)*")
"""Formats of notebooks that lie beside each other and differ in the extension alone."""
_STEMS = ("jupytext", ".jupytext")
_NAMES = tuple(f"{stem}{ending}" for stem in _STEMS for ending in ("", ".toml", ".yml", ".yaml", ".json"))
"""Configuration files of Jupytext; those that are Python programs are not executed here."""
_PYPROJECT = "pyproject.toml"


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def may_pair(path: str, before: Callable[[], bytes | None]) -> bool:
    """Return whether a file decides what notebooks are paired with, or did by what it had in it ``before``."""
    name = os.path.basename(path)
    return name in _NAMES or (
        name == _PYPROJECT and any(b"jupytext" in (data or b"") for data in (_read(path), before()))
    )


def config_of(folder: str, top: str, read: Callable[[str], bytes | None] = _read) -> str | None:
    """Return the configuration file that counts for the notebooks of a folder.

    ``read`` returns ``None`` where there is no file. None above ``top`` counts, so that the same checkout has the
    same pairs for everybody.
    """
    while folder == top or folder.startswith(f"{top}/"):
        for name in (*_NAMES, _PYPROJECT):
            place = os.path.join(folder, name)
            if (data := read(place)) is not None and _configures(place, data):
                return place
        folder = os.path.dirname(folder)
    return None


def _configures(path: str, data: bytes) -> bool:
    """Return whether a file at such a place is a configuration of Jupytext."""
    if os.path.basename(path) != _PYPROJECT:
        return True
    if b"jupytext" not in data:
        return False
    try:
        tool = tomli.loads(data.decode()).get("tool")
    except ValueError:
        return False
    return isinstance(tool, dict) and "jupytext" in tool


def paired_files(path: str, language: str, formats: str, config: str | None) -> list[str]:
    """Return the files that a notebook, by absolute path, is paired with, itself among them.

    ``formats`` are those of its metadata; without, those of the configuration file count. Raises `ValueError` with
    the reason for one that cannot be read.
    """
    extension = os.path.splitext(path)[1]
    if formats and _BESIDE.fullmatch(formats):
        stem = path.removesuffix(extension)
        return [f"{stem}.{each.partition(':')[0].strip()}" for each in formats.split(",")]
    if not formats and config is not None:
        formats = _configured(config, path)
    if not formats:
        return []
    # slow to import
    from jupytext.formats import long_form_multiple_formats  # noqa: PLC0415
    from jupytext.paired_paths import paired_paths  # noqa: PLC0415

    metadata = {"kernelspec": {"language": language}}
    try:
        known = long_form_multiple_formats(formats, metadata, auto_ext_requires_language_info=False)
        return [os.path.normpath(found) for found, _ in paired_paths(path, extension, known)]
    except ValueError:
        # formats that are none, or not for this path
        return []


def _configured(config: str, path: str) -> str:
    """Return the formats that a configuration file has for a notebook."""
    from jupytext.config import load_jupytext_configuration_file  # noqa: PLC0415 - slow to import

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = load_jupytext_configuration_file(config)
            return (loaded and loaded.default_formats(path)) or ""
    except Exception as error:
        raise ValueError(" ".join(str(error).split())) from error
