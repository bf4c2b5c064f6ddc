"""The JSON Schema of ``pipeline.toml``."""

import jsonschema
import pytest
import tomli

from nbmake_dag.config.pipeline_file import expand, json_schema, parse
from nbmake_dag.errors import ConfigError

SCHEMA = json_schema()


def faults(text: str) -> list[str]:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    return sorted(error.json_path for error in validator.iter_errors(tomli.loads(text)))


def test_the_schema_is_a_schema():
    """It is valid against the standard's own."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_every_key_is_described():
    """An editor has something to show for each key and each table."""
    for name, table in SCHEMA["$defs"].items():
        assert table["description"], name
        for key, schema in table["properties"].items():
            assert schema["description"], f"{name}.{key}"


@pytest.mark.parametrize(
    ("line", "at"),
    [
        ('outputs = "x"', ["$.tasks.a.outputs"]),
        ('ouputs = ["x"]', ["$.tasks.a"]),
        ('timeout = "5"', ["$.tasks.a.timeout"]),
        ("timeout = 0", ["$.tasks.a.timeout"]),
        ("retries = true", ["$.tasks.a.retries"]),
        ("resources = { cpus = -1 }", ["$.tasks.a.resources.cpus"]),
        ('resources = { memory = "4" }', ["$.tasks.a.resources.memory"]),
        ('timeout = "1h30m"\nresources = { memory = "4GB", custom = { tpu = 1 } }', []),
        ('outputs = { x = "x" }\nmatrix = { lr = [0.1, 1] }\nretry_delay = 1.5', []),
    ],
)
def test_an_editor_sees_what_nbdag_refuses(line: str, at: list[str]):
    """Types, units, ranges and unknown keys are in the schema."""
    assert faults(f'[tasks.a]\ncommand = "true"\n{line}\n') == at


REFUSED_FILES = [
    "",
    "[tasks]",
    "[tasks.a]",
    '[tasks.a]\ntags = ["x"]',
    '[defaults]\ntimeout = "1m"\n[tasks.a]',
    '[tasks."a//b"]\ncommand = "true"',
    '[tasks."a/.."]\ncommand = "true"',
    '[tasks." a"]\ncommand = "true"',
    '[tasks.".."]\ncommand = "true"',
    '[tasks.a]\nnotebook = "a.ipynb"\ncommand = "true"',
    '[tasks.a]\nnotebook = "a.ipynb"\nfunction = "a:b"',
    '[tasks.a]\nnotebook = "/a.ipynb"',
    '[tasks.a]\nnotebook = ""',
    '[tasks.a]\nnotebook = "a.ipynb"\nformat = "py:percent"',
    '[tasks.a]\nnotebook = "a.py"\nformat = "percent"',
    '[tasks.a]\nnotebook = "a.py"\nnotebook_output = "a.pdf"',
    '[tasks.a]\nfunction = "a.b"',
    '[tasks.a]\nfunction = "a:b()"',
    '[tasks.a]\nfunction = "a:b"\nkernel = "python3"',
    '[tasks.a]\ncommand = " "',
    "[tasks.a]\ncommand = []",
    '[tasks.a]\ncommand = ["", "x"]',
    '[tasks.a]\ncommand = ["true", "\\u0000"]',
    '[tasks.a]\ncommand = "true"\nallow_errors = true',
    '[sets.s]\nset = "t"\n[sets.t]\nrows = [{ n = 1 }]\n[tasks.a]\nnotebook = "a.py"\ninstances = { set = "t" }',
]
REFUSED_LINES = [
    "matrix = { n = [] }",
    "matrix = { for = [1] }",
    "matrix = { inputs = [1] }",
    "matrix = { __n = [1] }",
    "matrix = { n = [1] }\ninstances = { product = { m = [1] } }",
    "instances = {}",
    "instances = { product = { n = [] } }",
    "instances = { product = { n = [1] }, rows = [{ n = 1 }] }",
    "instances = { rows = [] }",
    "instances = { rows = [{}] }",
    'instances = { rows = "rows.txt" }',
    'instances = { rows = "*.csv" }',
    "instances = { rows = [{ n = 1 }], exclude = [{ n = 1 }] }",
    'instances = { rows = [{ n = "1" }], types = { n = "int" } }',
    'instances = { product = { n = [1] }, types = { n = "int" } }',
    'instances = { files = "data/x.csv" }',
    'instances = { files = "data/{x}*.csv" }',
    'instances = { files = "data/{x}{y}.csv" }',
    'parameters = { "a b" = 1 }',
    'inputs = [""]',
    'inputs = ["/data"]',
    'inputs = ["~/data"]',
    'outputs = ["https://x.org/data"]',
    'inputs = ["file:///etc/passwd"]',
    'inputs = ["https://x.org/"]',
    'inputs = { x = { url = "https://x.org/data", path = "x" } }',
    'inputs = { x = { path = "x", recheck = "1d" } }',
    'inputs = ["a\\\\b"]',
    'inputs = ["data/a**.csv"]',
    'inputs = ["data/{x.csv"]',
    'inputs = [".git/config"]',
    'inputs = { x = "/data" }',
    "inputs = { x = { output = 'y' } }",
    "inputs = { x = {} }",
    "inputs = { x = { optional = true } }",
    'inputs = { x = { path = "x", task = "a" } }',
    'inputs = { x = { path = "/x", optional = true } }',
    'inputs = { x = { task = "a", optional = true } }',
    'inputs = [{ path = "x", optional = true }]',
    'pools = ["p", "p"]\n[pools]\np = 2',
    "pools = { p = 0 }\n[pools]\np = 2",
    "priority = 0.5",
    "[pools]\np = 0",
    '[pools]\n" " = 1',
    'outputs = ["*.csv"]',
    'outputs = ["../x"]',
    'outputs = ["."]',
    'outputs = { x = "data/.nbdag/x" }',
    'workdir = "/data"',
    'env = { "A-B" = "1" }',
    'env = { A = "\\u0000" }',
    'secrets = ["A B"]',
    'timeout = "5 min"',
    'timeout = "0s"',
    "timeout = 4e9",
    'resources = { memory = "4G" }',
    '[pipeline]\nname = " "',
    '[pipeline]\nignore = ["!"]',
    '[software]\nlockfiles = ["*.lock"]',
    '[software]\npackages = ["numpy>=2"]',
    '[software]\nvariables = ["A="]',
    'environment = "e"\nkernel = "ir"\n[environments.e]\nlock = "uv.lock"',
    "[environments.e]",
    '[environments.e]\nlock = "poetry.lock"',
    '[environments.e]\nlock = "uv.lock"\npython = "3"',
    '[environments.e]\nlock = "uv.lock"\nenv = { "A-B" = "1" }',
    '[cache]\nremote_mode = "read"',
    '[cache]\ntrusted_branches = ["main"]',
    '[cache]\nremote = "s3://user:word@bucket"',
    '[cache]\nremote = "simplecache::s3://bucket"',
    '[cache]\nremote = ""',
    '[cache]\nremote = "/shared"\npublic_keys = ["short"]',
    '[kernel]\npreload = ["a-b"]',
    '[report]\nallow = ["A B"]',
    '[parameters]\n"1a" = 1',
    "[runs]\nkeep = 0",
]
ACCEPTED_LINES = [
    'inputs = ["https://x.org/data", "s3://b/{n}.csv"]\nparameters = { n = 1 }',
    'inputs = { x = { url = "https://x.org/data?a=*", recheck = "0s", max_size = "1MB", fetch = true } }',
    "",
    "matrix = {}",
    'matrix = { "größe" = [1, 1.5, "x", true], _n = [[1], [2]] }',
    "instances = { product = { n = [1, 2] }, exclude = [{ n = 1 }], include = [{ n = 3 }] }",
    'instances = { rows = "rows.csv", types = { n = "int" } }',
    "instances = { rows = [{ n = 1 }, { n = 2 }] }",
    'instances = { files = "data/{city}-{year}[*].csv", types = { year = "int" } }',
    'inputs = ["../data/x.csv", "data/**/*.csv", "data/[ab]?.csv", "..", "a b/ü.txt", "data/.hidden"]',
    'inputs = { x = "data/x.csv" }',
    'inputs = { x = { path = "data/x.csv", optional = true }, y = { path = "y/*.csv" } }',
    'pools = ["p", "q"]\npriority = -1\n[pools]\np = 1\n"a pool" = 2\nq = 1',
    "pools = { p = 2 }\n[pools]\np = 2",
    'matrix = { n = [1] }\ninputs = ["data/{n}.csv"]\noutputs = ["out/{n}/", "[*].csv", "..x"]',
    'workdir = "../notebooks/"',
    'env = { A = "" }\nsecrets = ["TOKEN"]',
    'timeout = "0.5s"\nretry_delay = 0\nmax_age = "1d12h"',
    'resources = { memory = "4 GiB", cpus = 0.5, custom = { tpu = 1 }, node = { zone = "a" } }',
    '[pipeline]\nname = "x y"\nignore = ["!*.tmp", "data/scratch/", "!!"]',
    '[software]\nlockfiles = ["../uv.lock"]\npackages = ["scikit-learn", "zope.interface"]',
    'environment = "e"\n[environments.e]\nlock = "../a/uv.lock"\npython = "3.12"\ngroups = ["b"]\nbuild = true',
    '[environments.e]\nlock = "pylock.gpu.toml"\n[environments.f]\nlock = "requirements.txt"',
    '[cache]\nremote = "s3://bucket/x@y"\nremote_mode = "read"',
    '[kernel]\npreload = ["numpy.linalg"]\nsnapshots = 0',
    '[report]\nallow = ["A_1"]\nmax_size = "1GB"\n[report.metrics."a b"]\ndirection = "higher"',
]
ACCEPTED_FILES = [
    '[defaults]\ncommand = "true"\n[tasks.a]',
    '[defaults]\nkernel = "python3"\n[tasks.a]\ncommand = "true"',
    '[tasks."näme 1"]\ncommand = ["echo", ""]',
    '[tasks.a]\nnotebook = "../a.py"\nformat = "py:percent"\nnotebook_output = "out/a.html"',
    '[tasks.a]\nfunction = "a.b:C.d"',
    '[sets.t]\nrows = [{ n = 1 }]\n[tasks.a]\nnotebook = "a.py"\ninstances = { set = "t" }',
]


def _task(line: str) -> str:
    return f'[tasks.a]\nnotebook = "a.py"\n{line}\n'


def _is_refused_by_a_build(text: str) -> bool:
    try:
        expand(parse(text.encode()), {}, {})
    except ConfigError:
        return True
    return False


@pytest.mark.parametrize("text", [*REFUSED_FILES, *map(_task, REFUSED_LINES)])
def test_the_schema_refuses_what_a_build_refuses_by_structure(text: str):
    """An editor marks it while it is written."""
    assert (_is_refused_by_a_build(text), faults(text) != []) == (True, True)


@pytest.mark.parametrize("text", [*ACCEPTED_FILES, *map(_task, ACCEPTED_LINES)])
def test_the_schema_accepts_what_a_build_accepts(text: str):
    """What resembles a fault is none."""
    assert (_is_refused_by_a_build(text), faults(text)) == (False, [])


@pytest.mark.parametrize(
    ("table", "key"), [("TaskTable", "retry_delay"), ("TaskTable", "timeout"), ("ResourcesTable", "memory")]
)
def test_what_has_a_unit_says_in_words_what_is_expected(table: str, key: str):
    """A pattern tells a person nothing."""
    described = SCHEMA["$defs"][table]["properties"][key]
    assert described["errorMessage"].startswith("must be a ")
    assert all(example in described["errorMessage"] for example in described["examples"])
