"""Complaints about the text and the types of ``pipeline.toml``, as a user reads them."""

import pytest

from nbmake_dag.config.pipeline_file import expand, parse
from nbmake_dag.errors import ConfigError


def complaints(text: str | bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        expand(parse(text if isinstance(text, bytes) else text.encode()), {}, {})
    assert caught.value.exit_code == 2
    return str(caught.value)


NO_TASKS = """\
pipeline.toml:1: the pipeline has no tasks
  hint: a task is a table, such as `[tasks.clean]` with `notebook = "clean.py"`"""

TOO_DEEP = "pipeline.toml:1: keys and values are nested deeper than 32 levels"

FILES = {
    "empty": (b"", NO_TASKS),
    "only comments": (b"# nothing\n\n", NO_TASKS),
    "byte order mark": (
        b"\xef\xbb\xbf[tasks.a]\n",
        "pipeline.toml:1: the file is UTF-8 with a byte order mark\n  hint: save it as plain UTF-8",
    ),
    "UTF-16": (
        "[tasks.a]".encode("utf-16"),
        "pipeline.toml:1: the file is UTF-16\n  hint: save it as plain UTF-8",
    ),
    "UTF-16 without a mark": (
        "[tasks.a]".encode("utf-16-le"),
        "pipeline.toml:1: the file holds a NUL byte\n  hint: save it as plain UTF-8",
    ),
    "latin-1": (
        '[tasks.a]\ncommand = "é"\n'.encode("latin-1"),
        "pipeline.toml:2: the file is not UTF-8: byte 0xe9\n  hint: save it as plain UTF-8",
    ),
    "too large": (b"#" * (64 * 2**20 + 1), "pipeline.toml: the file has 67,108,865 bytes, more than 67,108,864"),
    "arrays that never close": (b"x = " + b"[" * 2_000, TOO_DEEP),
    "nested arrays": (b"x = " + b"[" * 2_000 + b"]" * 2_000, TOO_DEEP),
    "nested tables": (b"x = " + b"{a = " * 40 + b"1" + b"}" * 40, TOO_DEEP),
    "a long dotted key": (b".".join([b"a"] * 50_000) + b" = 1", TOO_DEEP),
    "a long dotted key of quoted parts": (b".".join([b'"a.b"'] * 50_000) + b" = 1", TOO_DEEP),
    "a long dotted key in a table": (b"x = {" + b".".join([b"a"] * 50_000) + b" = 1}", TOO_DEEP),
    "a long header": (b"[" + b".".join([b"a"] * 50_000) + b"]", TOO_DEEP),
    "a long number": (b"[parameters]\nx = " + b"9" * 5_000, "pipeline.toml:2: a number has too many digits"),
    "no TOML": (
        b"[tasks.a]\ncommand 5\n",
        "pipeline.toml:2: not TOML: expected '=' after a key in a key/value pair (column 9)",
    ),
    "an open string": (b'x = "a\n', "pipeline.toml:1: not TOML: illegal character '\\n' (column 7)"),
    "a merge that is not resolved": (
        b'[tasks.a]\n<<<<<<< HEAD\ncommand = "x"\n=======\ncommand = "y"\n>>>>>>> other\n',
        "pipeline.toml:2: a conflict marker of git\n  hint: resolve the merge",
    ),
    "a table twice": (
        b'[tasks.a]\ncommand = "x"\n[tasks.a]\n',
        "pipeline.toml:3: the table is declared a second time",
    ),
    "a key twice": (
        b'[tasks.a]\ncommand = "x"\ncommand = "y"\n',
        "pipeline.toml:3: the key has a value already",
    ),
}


@pytest.mark.parametrize(("text", "expected"), FILES.values(), ids=FILES.keys())
def test_a_file_that_cannot_be_read_is_refused(text: bytes, expected: str):
    """What is not a TOML file of bounded depth gets one complaint with its line."""
    assert complaints(text) == expected


PATHS = 'a list of paths or a table of named paths, such as `["data/x.csv"]` or `{ x = "data/x.csv" }`'

KEYS = {
    'ouputs = ["x"]': "unknown key `ouputs` in `tasks.a`\n  hint: did you mean `outputs`?",
    "resources = { cpu = 1 }": "unknown key `cpu` in `tasks.a.resources`\n  hint: did you mean `cpus`?",
    "resources = { zzz = 1 }": (
        "unknown key `zzz` in `tasks.a.resources`\n  hint: known are cpus, custom, gpus, memory, node"
    ),
    '"a\\nb\\u001b[0m" = 1': (
        "unknown key `a\\nb\\u001b[0m` in `tasks.a`\n"
        "  hint: known are after, allow_errors, cache, check, command, description, env, environment, format, "
        "function, inputs, instances, kernel, matrix, max_age, notebook, notebook_output, outputs, parameters, "
        "pools, priority, resources, retries, retry_delay, sandbox, secrets, store, strict, tags, timeout, workdir"
    ),
    'outputs = "x"': f'`outputs` must be {PATHS}, not `"x"`',
    'inputs = ["x", 5]': f"`inputs` must be {PATHS}, not a list whose item 2 is `5`",
    "inputs = { x = 5 }": f"`inputs` must be {PATHS}, not a table whose entry `x` is `5`",
    "notebook = 5": "`notebook` must be a path, not `5`",
    "function = []": "`function` must be `module:callable`, not a list",
    "after = 'b'": '`after` must be a list of names of tasks, not `"b"`',
    "matrix = [1]": "`matrix` must be a table of lists of values, not a list",
    "matrix = { x = 1 }": "`matrix` must be a table of lists of values, not a table whose entry `x` is `1`",
    "parameters = 5": "`parameters` must be a table, not `5`",
    "env = { TZ = 1 }": "`env` must be a table of strings, not a table whose entry `TZ` is `1`",
    'timeout = "5"': "`timeout` needs a unit, such as `5s`",
    'timeout = "5 parsecs"': "`timeout` must be a duration, such as `10s`, `5m`, `1h30m` or `1d`, not `5 parsecs`",
    "timeout = true": "`timeout` must be a duration, such as `10s`, `5m`, `1h30m` or `1d`",
    "timeout = 1979-05-27": "`timeout` must be a duration, such as `10s`, `5m`, `1h30m` or `1d`",
    "timeout = 0": "`timeout` must be more than zero",
    'timeout = "0s"': "`timeout` must be more than zero",
    "timeout = -1": "`timeout` must be a duration from 0 to 100 years",
    "timeout = nan": "`timeout` must be a duration from 0 to 100 years",
    "timeout = inf": "`timeout` must be a duration from 0 to 100 years",
    "timeout = 1e300": "`timeout` must be a duration from 0 to 100 years",
    f"timeout = 0x{'f' * 5_000}": "`timeout` must be a duration from 0 to 100 years",
    "retry_delay = -1.0": "`retry_delay` must be a duration from 0 to 100 years",
    "max_age = 0": "`max_age` must be more than zero",
    "retries = -1": "`retries` must be a whole number from 0 to 1000000, not `-1`",
    "retries = true": "`retries` must be a whole number from 0 to 1000000, not `true`",
    "retries = 1.5": "`retries` must be a whole number from 0 to 1000000, not `1.5`",
    f"retries = 0x{'f' * 5_000}": (
        "`retries` must be a whole number from 0 to 1000000, not a number of more than 64 bits"
    ),
    "cache = 1": "`cache` must be `true` or `false`, not `1`",
    "strict = 'yes'": '`strict` must be `true` or `false`, not `"yes"`',
    "resources = { cpus = -1 }": "`cpus` must be a number from 0, not `-1`",
    "resources = { cpus = nan }": "`cpus` must be a number from 0, not `nan`",
    "resources = { gpus = inf }": "`gpus` must be a number from 0, not `inf`",
    f"resources = {{ gpus = 0x{'f' * 5_000} }}": (
        "`gpus` must be a number from 0, not a number of more than 64 bits"
    ),
    "resources = { cpus = true }": "`cpus` must be a number from 0, not `true`",
    'resources = { memory = "4" }': "`memory` needs a unit, such as `4GB`",
    "resources = { memory = -4 }": "`memory` must be a size from 0 to 8 EiB",
    "resources = { memory = 1.5 }": "`memory` must be a size, such as `500MB`, `10GB` or `1GiB`",
    "resources = 4": "`resources` must be a table, not `4`",
}


@pytest.mark.parametrize(("line", "expected"), KEYS.items(), ids=[line[:40] for line in KEYS])
def test_a_wrong_key_of_a_task_is_said_in_the_users_words(line: str, expected: str):
    """Each wrong type, unit, range and name of a task's key has one complaint at its line."""
    assert complaints(f"[tasks.a]\ndescription = 'd'\n{line}\n") == f"pipeline.toml:3: {expected}"


def test_all_complaints_come_at_once():
    """Wrong tables, types, names and paths of the whole file are listed by line, in one error."""
    text = """\
[task.x]
[pipeline]
name = 5
[defaults]
timeout = "10 minutes"
[runs]
keep = 0
[cache]
max_size = "10 GBytes"
remote_mode = "append"
[kernel]
start = "lukewarm"
[report.metrics.auc]
direction = "up"
[report.metrics.loss]
tolerance = "small"
[tasks.ingest]
notebook = 5
ouputs = []
[tasks.train]
notebook = "train.py"
outputs = ["/models"]
after = ["ingest", "spilt"]
[tasks.split]
outputs = ["../split"]
[tasks.plain]
command = "make"
"""
    assert (
        complaints(text)
        == """\
pipeline.toml:1: unknown key `task`
  hint: did you mean `tasks`?
pipeline.toml:3: `name` must be a string, not `5`
pipeline.toml:5: `timeout` must be written `10m`, not `10 minutes`
pipeline.toml:7: `keep` must be a whole number from 1 to 1000000, not `0`
pipeline.toml:9: `max_size` must be written `10GB`, not `10 GBytes`
pipeline.toml:10: `remote_mode` must be `read`, `write` or `read-write`, not `"append"`
pipeline.toml:12: `start` must be `warm` or `fresh`, not `"lukewarm"`
pipeline.toml:14: `direction` must be `higher` or `lower`, not `"up"`
pipeline.toml:16: `tolerance` must be a number from 0, not `"small"`
pipeline.toml:18: `notebook` must be a path, not `5`
pipeline.toml:19: unknown key `ouputs` in `tasks.ingest`
  hint: did you mean `outputs`?
pipeline.toml:22: output `/models` is absolute
  hint: write it relative to pipeline.toml
pipeline.toml:23: `train` waits for `spilt`, which is not a task
  hint: did you mean `split`?
pipeline.toml:24: task `split` has nothing to run
  hint: give it one of `notebook`, `function` and `command`
pipeline.toml:25: output `../split` is not inside the project
  hint: a task writes below the folder of pipeline.toml"""
    )


@pytest.mark.parametrize("written", ["below 0.9", "= 1", "> x", ""])
def test_an_alert_is_a_limit_or_worse(written: str):
    expected = f'pipeline.toml:2: `alert` must be `worse`, or a limit such as `< 0.9`, not `"{written}"`'
    assert expected in complaints(f'[report.metrics.auc]\nalert = "{written}"\n')


def test_worse_needs_a_direction():
    expected = (
        "pipeline.toml:2: `[report.metrics.auc] alert` needs to know which way is better\n  hint: add `direction"
    )
    assert expected in complaints('[report.metrics.auc]\nalert = "worse"\n')


def test_tables_of_the_wrong_kind_are_said():
    """A list of tables, or a value where tables are expected, is a complaint about that key."""
    assert complaints("[[tasks]]\n") == "pipeline.toml:1: `tasks` must be a table of tables, not a list"
    assert complaints("tasks.a = 5\n") == "pipeline.toml:1: `a` must be a table, not `5`"


def test_the_file_is_named_as_the_user_named_it():
    """Places begin with the file's name that the caller gives."""
    with pytest.raises(ConfigError, match=r"^ci/nightly\.toml:1: not TOML"):
        parse(b"[tasks", file="ci/nightly.toml")


def test_lines_are_counted_past_strings_arrays_and_windows_line_ends():
    """Text that looks like keys inside of strings and arrays does not move the lines of complaints."""
    text = """\
[tasks.a]
description = '''
[tasks.b]
retries = 1
'''
command = [
  "x", # ]
  '[',
]
retries = -1
""".replace("\n", "\r\n")
    assert complaints(text) == ("pipeline.toml:10: `retries` must be a whole number from 0 to 1000000, not `-1`")
