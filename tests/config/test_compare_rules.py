"""How outputs are compared, and whether inputs are kept: what makes no rule is said at its line, with a hint."""

from __future__ import annotations

import pytest

from nbmake_dag.core.model import CompareRule, TaskName
from nbmake_dag.errors import ConfigError
from tests.config.expanding import pipeline

_TASK = '[tasks.a]\nnotebook = "a.py"\n'
_OUTPUT = f'{_TASK}[tasks.a.outputs.r]\npath = "r.csv"\n'
_AMOUNT = "must be a number from 0, not"

FAULTS = {
    'compare = "numerc"': (5, '`compare` must be `bytes`, `text`, `numeric` or `image`, not `"numerc"`'),
    "compare = 3": (5, "`compare` must be `bytes`, `text`, `numeric` or `image`, not `3`"),
    'compar = "text"': (5, "unknown key `compar` in `tasks.a.outputs.r`\n  hint: did you mean `compare`?"),
    'compare = "numeric"\nrtol = -1': (6, f"`rtol` {_AMOUNT} `-1`"),
    'compare = "numeric"\nrtol = nan': (6, f"`rtol` {_AMOUNT} `nan`"),
    'compare = "numeric"\nrtol = inf': (6, f"`rtol` {_AMOUNT} `inf`"),
    'compare = "numeric"\nrtol = "1e-6"': (6, f'`rtol` {_AMOUNT} `"1e-6"`'),
    'compare = "numeric"\nrtol = true': (6, f"`rtol` {_AMOUNT} `true`"),
    'compare = "image"\natol = -0.5': (6, f"`atol` {_AMOUNT} `-0.5`"),
    "atol = 1": (
        5,
        (
            '`atol` of output `r` does nothing with `compare = "bytes"`\n'
            '  hint: it goes with `compare = "numeric"` or `compare = "image"`'
        ),
    ),
    'compare = "image"\nrtol = 1': (
        6,
        '`rtol` of output `r` does nothing with `compare = "image"`\n  hint: it goes with `compare = "numeric"`',
    ),
    'compare = "text"\nignore_columns = ["a"]': (
        6,
        (
            '`ignore_columns` of output `r` does nothing with `compare = "text"`\n'
            '  hint: it goes with `compare = "numeric"`'
        ),
    ),
    'compare = "numeric"\nignore_columns = "a"': (6, '`ignore_columns` must be a list of strings, not `"a"`'),
    'compare = "numeric"\nignore_columns = [1]': (
        6,
        "`ignore_columns` must be a list of strings, not a list whose item 1 is `1`",
    ),
}
TABLES = {
    '[tasks.a.outputs.r]\ncompare = "text"\n': (
        3,
        "`tasks.a.outputs.r` has no `path`\n  hint: add `path = ...`",
    ),
    '[runs]\nkeep_inputs = "yes"\n': (4, '`keep_inputs` must be `true` or `false`, not `"yes"`'),
    "[runs]\nkeep_inputs = 1\n": (4, "`keep_inputs` must be `true` or `false`, not `1`"),
    "[runs]\nkeep_input = true\n": (
        4,
        "unknown key `keep_input` in `runs`\n  hint: did you mean `keep_inputs`?",
    ),
}


def complaint(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        pipeline(text)
    assert caught.value.exit_code == 2
    return str(caught.value)


@pytest.mark.parametrize("keys", FAULTS)
def test_a_rule_that_makes_no_sense_is_refused(keys: str) -> None:
    """One complaint, at the line of the key."""
    line, said = FAULTS[keys]
    assert complaint(f"{_OUTPUT}{keys}\n") == f"pipeline.toml:{line}: {said}"


@pytest.mark.parametrize("table", TABLES)
def test_a_table_that_makes_no_sense_is_refused(table: str) -> None:
    """Also one without what it must have."""
    line, said = TABLES[table]
    assert complaint(_TASK + table) == f"pipeline.toml:{line}: {said}"


def test_a_rule_is_that_of_its_output() -> None:
    """Others are compared byte by byte."""
    keys = 'compare = "numeric"\nrtol = 1e-6\natol = 2\nignore_columns = ["a"]\n[tasks.a.outputs.s]\npath = "s"\n'
    numeric = CompareRule(how="numeric", rtol=1e-6, atol=2, ignored=("a",))
    assert [output.rule for output in pipeline(_OUTPUT + keys).tasks[TaskName("a")].outputs] == [
        numeric,
        CompareRule(),
    ]
