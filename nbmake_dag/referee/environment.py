"""The environment variables of a trial: those that say where programs are, and those that its caller names.

A result that depends on any other variable depends on something that its pipeline does not declare.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

_NAMES = frozenset(
    {
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "LANG",
        "LANGUAGE",
        "TZ",
        "TMPDIR",
        "VIRTUAL_ENV",
        "LD_LIBRARY_PATH",
        "DYLD_LIBRARY_PATH",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
    }
)
_BEGINNINGS = (
    "LC_",
    "XDG_",
    "PYTHON",
    "JUPYTER_",
    "IPYTHON",
    "CONDA_",
    "R_",
    "JULIA_",
    "CUDA_",
    "NVIDIA_",
)
_PROXIES = frozenset({"http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy"})


def clean(environ: Mapping[str, str], passed: Collection[str]) -> dict[str, str]:
    """Return the variables that a trial sees of an environment; ``passed`` are names of others that it may see."""
    return {name: value for name, value in environ.items() if name in passed or _is_of_machine(name)}


def _is_of_machine(name: str) -> bool:
    return name in _NAMES or name.startswith(_BEGINNINGS) or name.lower() in _PROXIES
