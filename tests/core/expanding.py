"""A ``pipeline.toml`` expanded without a disk."""

from collections.abc import Mapping

from nbmake_dag.core.config import Signature, expand, parse, parse_override
from nbmake_dag.core.model import Pipeline


def pipeline(text: str, *options: str, **signatures: str) -> Pipeline:
    """Expand a file; ``train="lr seed"`` says what the parameters cell of ``train.py`` assigns."""
    known: Mapping[str, Signature] = {
        f"{stem}.py": Signature(names=frozenset(names.split())) for stem, names in signatures.items()
    }
    return expand(parse(text.encode()), known, dict(map(parse_override, options)))
