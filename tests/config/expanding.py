"""A ``pipeline.toml`` expanded without a disk."""

from collections.abc import Mapping

from nbmake_dag.config.pipeline_file import Found, Signature, Unreadable, expand, parse, parse_override
from nbmake_dag.core.globs import matches
from nbmake_dag.core.model import Pipeline, ProjectPath


def pipeline(text: str, *options: str, **signatures: str) -> Pipeline:
    """Expand a file; ``train="lr seed"`` says what the parameters cell of ``train.py`` assigns."""
    return pipeline_beside({}, text, *options, **signatures)


def pipeline_beside(there: Mapping[str, bytes], text: str, *options: str, **signatures: str) -> Pipeline:
    """Expand a file whose instances may come from other files."""
    known: Mapping[str, Signature] = {
        f"{stem}.py": Signature(names=frozenset(names.split())) for stem, names in signatures.items()
    }
    parsed = parse(text.encode())
    paths, patterns = parsed.data()
    found = Found(
        rows={path: there.get(path, Unreadable("does not exist")) for path in paths},
        files={
            captures.glob: tuple(ProjectPath(path) for path in sorted(there) if matches(captures.glob, path))
            for captures in patterns
        },
    )
    return expand(parsed, known, dict(map(parse_override, options)), found)
