"""Instances from lists, rows, files and sets."""

from collections.abc import Mapping

import pytest

from nbmake_dag.config.pipeline_file import Found, expand, parse
from nbmake_dag.core.model import TaskName
from nbmake_dag.errors import ConfigError
from tests.config.expanding import pipeline, pipeline_beside

COMMAND = '[tasks.t]\ncommand = ["x", "{a}", "{b}"]\n'
RAW = ("data/raw/bergen-2023.csv", "data/raw/oslo-2024.csv", "data/raw/.hidden-1.csv", "data/raw/sub/x-1.csv")
DISK = {
    **dict.fromkeys(RAW, b""),
    "rows.csv": b'a,b\r\n1,2\r\n3,"x, y"\r\n\r\n',
    "rows.json": b'[{"a": 1, "b": 2.0}, {"a": [1], "b": {"c": "x"}}]',
    "rows.jsonl": b'{"a": 1, "b": true}\n\n{"b": "2", "a": 2}\n',
    "rows.toml": b'[[rows]]\na = 1\nb = 2\n[[rows]]\na = "1"\nb = 2\n',
    "typed.csv": b"\xef\xbb\xbfa,b\n1,true\n+2,False\n",
    "empty.csv": b"a,b\n",
    "empty.json": b"[]",
}


def names(instances: str, disk: Mapping[str, bytes] = DISK, rest: str = "", *options: str) -> list[str]:
    found = pipeline_beside(disk, f"{COMMAND}instances = {instances}\n{rest}", *options).tasks
    return [name.removeprefix("t") for name in found]


def complaint(instances: str, disk: Mapping[str, bytes] = DISK, rest: str = "", *options: str) -> str:
    with pytest.raises(ConfigError) as caught:
        names(instances, disk, rest, *options)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_a_product_is_a_matrix():
    """`matrix` is a short form: the same instances in the same order."""
    assert names("{ product = { b = [2, 1], a = [1, 2] } }") == [
        "[a=1,b=2]",
        "[a=2,b=2]",
        "[a=1,b=1]",
        "[a=2,b=1]",
    ]
    as_matrix = pipeline(f"{COMMAND}matrix = {{ b = [2, 1], a = [1, 2] }}\n").tasks
    as_product = pipeline(f"{COMMAND}instances = {{ product = {{ b = [2, 1], a = [1, 2] }} }}\n").tasks
    assert as_matrix == as_product


def test_exclude_and_include_are_those_of_github():
    """What is excluded has all values of a row, with their types; what is included extends, or is added."""
    product = "product = { a = [1, 2], b = [1, 2] }"
    assert names(f"{{ {product}, exclude = [{{ a = 1 }}, {{ a = 2, b = 2.0 }}] }}") == ["[a=2,b=1]", "[a=2,b=2]"]
    assert names(f"{{ {product}, exclude = [{{ a = 2 }}], include = [{{ a = 9, b = 9 }}] }}") == [
        "[a=1,b=1]",
        "[a=1,b=2]",
        "[a=9,b=9]",
    ]
    extended = '{ product = { a = [1, 2] }, include = [{ b = 0 }, { a = 2, b = "x" }] }'
    assert names(extended) == ["[a=1,b=0]", "[a=2,b=x]"]


def test_an_override_replaces_the_values_of_a_product():
    """Rows of `include` that contradict it are left out."""
    product = "{ product = { a = [1, 2], b = [1] }, include = [{ a = 3, b = 3 }, { a = 1, b = 7 }] }"
    assert names(product, DISK, "", "a=3") == ["[a=3,b=1]", "[a=3,b=3]"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("[{ a = 1, b = 2 }, { b = 4, a = 3 }]", ["[a=1,b=2]", "[a=3,b=4]"]),
        ('"rows.csv"', ['[a="1",b="2"]', '[a="3",b="x, y"]']),
        ('"rows.csv", types = { a = "int" }', ['[a=1,b="2"]', '[a=3,b="x, y"]']),
        ('"typed.csv", types = { a = "float", b = "bool" }', ["[a=1.0,b=true]", "[a=2.0,b=false]"]),
        ('"rows.json"', ["[a=1,b=2.0]", '[a=[1],b={"c"="x"}]']),
        ('"rows.jsonl"', ["[a=1,b=true]", '[a=2,b="2"]']),
        ('"rows.toml"', ["[a=1,b=2]", '[a="1",b=2]']),
    ],
)
def test_each_row_is_an_instance(source: str, expected: list[str]):
    """In their order, with their types; the text of CSV stays text unless `types` names another."""
    assert names(f"{{ rows = {source} }}") == expected


def test_each_file_that_matches_is_an_instance():
    """Braces match within the name of a file or folder, leave hidden ones out, and keep the type of a spelling."""
    text = (
        '[tasks.clean]\ncommand = "x"\ninstances = { files = "data/raw/{city}-{year}.csv" }\n'
        'inputs = ["data/raw/{city}-{year}.csv"]\noutputs = ["clean/{city}-{year}.txt"]\n'
    )
    tasks = pipeline_beside(DISK, text).tasks
    assert {name: (task.inputs[0].path, task.outputs[0].path) for name, task in tasks.items()} == {
        "clean[city=bergen,year=2023]": ("data/raw/bergen-2023.csv", "clean/bergen-2023.txt"),
        "clean[city=oslo,year=2024]": ("data/raw/oslo-2024.csv", "clean/oslo-2024.txt"),
    }
    typed = pipeline_beside(DISK, text.replace('.csv" }', '.csv", types = { year = "text" } }')).tasks
    assert list(typed) == ['clean[city=bergen,year="2023"]', 'clean[city=oslo,year="2024"]']


def test_names_and_tasks_do_not_depend_on_where_values_come_from():
    """So rows can move from the pipeline into a file, or into names of files, and nothing runs."""
    text = '[tasks.t]\ncommand = "x"\ninputs = ["d/{a}+{b}"]\noutputs = ["o/{a}+{b}"]\n'
    disk = {"d/x y+2024-01-15": b"", "r.csv": b"a,b\nx y,2024-01-15\n"}
    sources = (
        'instances = { files = "d/{a}+{b}" }',
        'instances = { rows = "r.csv" }',
        'instances = { rows = [{ a = "x y", b = "2024-01-15" }] }',
        'matrix = { a = ["x y"], b = ["2024-01-15"] }',
    )
    found = [dict(pipeline_beside(disk, f"{text}{source}\n").tasks) for source in sources]
    assert found[0] == found[1] == found[2] == found[3]
    (task,) = found[0].values()
    assert (task.name, task.outputs[0].path) == ('t[a="x y",b="2024-01-15"]', "o/x y+2024-01-15")


def test_a_set_is_shared():
    """Tasks that name a set have the same instances, each with the parameters of the set."""
    text = (
        "[sets]\ndigits = { product = { a = [1, 2] } }\n"
        '[tasks.t]\ncommand = "x {a}"\ninstances = { set = "digits" }\n'
        '[tasks.u]\ncommand = "y {a}"\ninstances.set = "digits"\n'
    )
    assert list(pipeline(text).tasks) == ["t[a=1]", "t[a=2]", "u[a=1]", "u[a=2]"]


def test_values_that_only_paths_use_are_no_parameters():
    """As a wildcard of a Snakemake rule: it chooses files, and the work need not know it."""
    text = '[tasks.t]\nnotebook = "t.py"\noutputs = ["{a}.txt"]\ninstances = { rows = [{ a = 1 }, { a = 2 }] }\n'
    tasks = pipeline(text, t="other").tasks
    assert {name: dict(task.parameters) for name, task in tasks.items()} == {"t[a=1]": {}, "t[a=2]": {}}


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ('rows = "empty.csv"', "`empty.csv` has no rows"),
        ('rows = "empty.json"', "`empty.json` has no rows"),
        ('files = "none/{a}.{b}"', "no file matches `none/{a}.{b}`"),
    ],
)
def test_data_may_be_empty(source: str, why: str):
    """Then the task has no instance, and what comes after it waits for nothing; its parameters are no error."""
    rest = '[tasks.u]\ncommand = "y"\nafter = ["t"]\n[parameters]\nb = 1\n'
    found = pipeline_beside(DISK, f"{COMMAND}instances = {{ {source} }}\n{rest}")
    assert (list(found.tasks), dict(found.empty)) == (["u"], {"t": why})
    assert found.tasks[next(iter(found.tasks))].after == ()


def test_nothing_is_known_without_the_data():
    """A pipeline that is read for its settings leaves such tasks out, without a complaint."""
    from nbmake_dag.config.pipeline_file import expand, parse

    text = f'{COMMAND}instances = {{ rows = "rows.csv" }}\n[parameters]\nb = 1\n'
    assert dict(expand(parse(text.encode()), {}, {}).tasks) == {}


FAULTS = {
    "nothing": ("{}", "the instances of `t` have no source\n  hint: give one of `product`, `rows`, `files`"),
    "two sources": (
        '{ rows = [], files = "x" }',
        "the instances of `t` have `rows` and `files`\n  hint: give one of `product`, `rows`, `files`",
    ),
    "include without product": (
        "{ rows = [{ a = 1, b = 1 }], include = [{ a = 2 }] }",
        "`include` is for `product`, and `t` has `rows`\n  hint: leave it out",
    ),
    "unknown key": (
        "{ row = [] }",
        "unknown key `row` in `tasks.t.instances`\n  hint: did you mean `rows`?",
    ),
    "wrong type": ("{ rows = 1 }", "`rows` must be a list of tables, or the path of a file, not `1`"),
    "wrong row": (
        "{ rows = [1] }",
        "`rows` must be a list of tables, or the path of a file, not a list whose item 1 is `1`",
    ),
    "wrong type of a type": (
        '{ rows = "rows.csv", types = { a = "number" } }',
        '`types` must be a table of `text`, `int`, `float` or `bool`, not a table whose entry `a` is `"number"`',
    ),
    "empty rows": ("{ rows = [] }", "`rows` is empty, so that `t` has no instances"),
    "row without values": ("{ rows = [{}] }", "`rows` has no columns in row 1"),
    "missing column": (
        "{ rows = [{ a = 1, b = 1 }, { a = 2 }] }",
        "`rows` has `b` in row 1, and none in row 2\n  hint: give it a value in each of them",
    ),
    "column too many": (
        "{ rows = [{ a = 1 }, { a = 2, b = 1 }] }",
        "`rows` has `b` in row 2, and none in row 1\n  hint: give it a value in each of them",
    ),
    "the same twice": (
        "{ rows = [{ a = 1, b = 1 }, { a = 2, b = 1 }, { b = 1, a = 1 }] }",
        "`rows` has the same values in row 1 and in row 3: [a=1,b=1]\n  hint: leave one of them out",
    ),
    "keyword as a column": (
        "{ rows = [{ class = 1 }] }",
        "`rows` has a column `class`, which cannot be a parameter: it is a keyword of Python",
    ),
    "date": (
        "{ rows = [{ a = 1, b = 2024-01-01 }] }",
        (
            "`b` in row 1 of `rows` cannot be a value: it holds a date or a time,"
            " whose type not every kernel knows\n  hint: write it as a string"
        ),
    ),
    "unused column": (
        "{ rows = [{ a = 1, b = 2, c = 3 }] }",
        "task `t` has no parameter `c`\n  hint: use it in the command as `{c}`",
    ),
    "unknown column of exclude": (
        "{ product = { a = [1], bee = [2] }, exclude = [{ be = 1 }] }",
        "row 1 of `exclude` has `be`, which `product` has not\n  hint: did you mean `bee`?",
    ),
    "all excluded": (
        "{ product = { a = [1], b = [2] }, exclude = [{ a = 1 }] }",
        "`exclude` leaves no instance of `t`",
    ),
    "included but for some": (
        "{ product = { a = [1, 2] }, include = [{ a = 1, b = 2 }] }",
        (
            "`product` with `include` has `b` in combination 1, and none in combination 2"
            "\n  hint: give it a value in each of them"
        ),
    ),
    "no such file": (
        '{ rows = "row.csv" }',
        ("`row.csv`, whose rows are instances, does not exist\n  hint: it is relative to the folder of this file"),
    ),
    "another kind of file": (
        '{ rows = "a.xlsx" }',
        '`rows = "a.xlsx"` is none of `.csv`, `.json`, `.jsonl`, `.toml`',
    ),
    "several files": (
        '{ rows = "*.csv" }',
        '`rows = "*.csv"` is a glob\n  hint: name one file; for one instance for each file write `files`',
    ),
    "absolute file": (
        '{ rows = "/etc/a.csv" }',
        '`rows = "/etc/a.csv"` is absolute\n  hint: write it relative to pipeline.toml',
    ),
    "types of JSON": (
        '{ rows = "rows.json", types = { a = "int" } }',
        ("`rows.json` has types of its own\n  hint: leave `types` out: it is for CSV and for the names of files"),
    ),
    "types of a list": (
        '{ rows = [{ a = 1, b = 2 }], types = { a = "int" } }',
        (
            "`types` is for files of data, and `t` has none\n"
            "  hint: leave it out: values of this file have their types"
        ),
    ),
    "type of no column": (
        '{ rows = "rows.csv", types = { c = "int" } }',
        "`rows.csv` has no column `c`, which `types` names",
    ),
    "type of no name": (
        '{ files = "{a}/{b}.csv", types = { c = "int" } }',
        "`{a}/{b}.csv` has no `{c}`, which `types` names",
    ),
    "text that is no number": (
        '{ rows = "rows.csv", types = { b = "int" } }',
        "`rows.csv` has `x, y` for `b` in line 3, which is not a whole number",
    ),
    "name that is no number": (
        '{ files = "data/raw/{a}-{b}.csv", types = { a = "float" } }',
        (
            "`data/raw/bergen-2023.csv` has `bergen` for `a`, which is not a number\n"
            "  hint: it matches `data/raw/{a}-{b}.csv`"
        ),
    ),
    "pattern without a name": (
        '{ files = "data/raw/x.csv" }',
        (
            '`files = "data/raw/x.csv"` has no `{name}`, so that it matches one file\n'
            "  hint: write `{name}` for what differs"
        ),
    ),
    "pattern of names that touch": (
        '{ files = "{a}{b}.csv" }',
        (
            '`files = "{a}{b}.csv"` has two names without text between them, so that nobody can tell'
            " where one ends\n"
            "  hint: write something between them, such as `{city}-{year}`"
        ),
    ),
    "pattern with a wildcard": (
        '{ files = "*/{a}-{b}" }',
        (
            '`files = "*/{a}-{b}"` has a wildcard\n'
            "  hint: write `{name}` for what differs; `[*]`, `[?]` and `[[]` are the characters"
        ),
    ),
    "open brace": ('{ files = "{a" }', '`files = "{a"` has a brace that is not closed'),
    "keyword as a name": (
        '{ files = "{class}.csv" }',
        '`files = "{class}.csv"` has `{class}`, which cannot be a parameter: it is a keyword of Python',
    ),
    "folder as a pattern": (
        '{ files = "{a}/" }',
        '`files = "{a}/"` is a folder\n  hint: name the files in it, such as `data/{city}.csv`',
    ),
    "unknown set": (
        '{ set = "s" }',
        "there is no set `s`\n  hint: write it as a table `[sets.s]`",
    ),
    "set and more": (
        '{ set = "s", rows = [] }',
        "`instances` has a `set` and other keys: `rows`\n  hint: keep one",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_wrong_source_is_reported_at_its_line(name: str):
    """What, where and what to do, once."""
    source, expected = FAULTS[name]
    assert complaint(source) == f"pipeline.toml:3: {expected}"


_TWICE = "twice in one table\n  hint: a reader of JSON takes either value; leave one out"
FILES = {
    "header": (
        "x.csv",
        b"\n\n",
        "has no line with the names of its columns\n  hint: its first line names them: `city,year`",
    ),
    "column twice": ("x.csv", b"a,b,a\n", "has two columns `a`\n  hint: give each a name of its own"),
    "short line": (
        "x.csv",
        b"a,b\n1,2\n3\n",
        "has 1 value for 2 columns in line 3\n  hint: a value with a comma in it stands in quotes",
    ),
    "other separator": (
        "x.csv",
        b"a;b\n1;2\n",
        (
            "has a column `a;b`, which cannot be a parameter: it is not an identifier"
            "\n  hint: separate columns by commas"
        ),
    ),
    "open quote": ("x.csv", b'a,b\n"1,2\n', "is not CSV, in line 2: unexpected end of data"),
    "not UTF-8": ("x.csv", b"a,b\n\xff,1\n", "is not UTF-8, in line 2\n  hint: save it as UTF-8"),
    "key twice": ("x.json", b'[{"a": 1, "b": 1, "a": 2}]', f"has the key `a` {_TWICE}"),
    "key twice within": (
        "x.json",
        b'[{"a": 1, "b": {"c": 1, "c": 1}}]',
        f"has the key `c` {_TWICE}",
    ),
    "key twice in a line": (
        "x.jsonl",
        b'\n{"a": 1, "a": 2}',
        f"has the key `a` {_TWICE}".replace("\n", ", in line 2\n"),
    ),
    "NaN": ("x.json", b'[{"a": NaN}]', "is not JSON: invalid character (byte 7)"),
    "not JSON": ("x.json", b"[1", "is not JSON: input data was truncated"),
    "no list": (
        "x.json",
        b'{"a": 1}',
        'has no list of tables\n  hint: write one for each instance: `[{ "city": "oslo" }]`',
    ),
    "no table": ("x.json", b"[1]", "has something other than a table of values in row 1"),
    "null": (
        "x.json",
        b'[{"a": null, "b": 1}]',
        (
            "`a` in row 1 of `x.json` cannot be a value: it holds nothing, which TOML cannot express"
            "\n  hint: write it as a string"
        ),
    ),
    "deep": (
        "x.json",
        b'[{"a": ' + b"[" * 50 + b"]" * 50 + b', "b": 1}]',
        "is nested deeper than 32 levels in row 1",
    ),
    "bottomless": ("x.json", b"[" * 100_000, "is nested deeper than 32 levels"),
    "not JSON lines": ("x.jsonl", b'{"a": 1, "b": 1}\nx\n', "is not JSON, in line 2: "),
    "not TOML": ("x.toml", b"[[rows]]\na = \n", "is not TOML, in line 2: Invalid value"),
    "two lists": (
        "x.toml",
        b"[[rows]]\na = 1\n[[others]]\na = 1\n",
        "has 2 keys and not one list of tables\n  hint: write each row as a table `[[rows]]`",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_without_rows_is_reported(name: str):
    """With its line, at the line of the pipeline that names it."""
    path, data, expected = FILES[name]
    found = complaint(f'{{ rows = "{path}" }}', {path: data})
    expected = expected if expected.startswith("`a`") else f"`{path}` {expected}"
    assert found.startswith(f"pipeline.toml:3: {expected}")
    assert "\n" not in found.removeprefix(f"pipeline.toml:3: {expected}")


def test_both_ways_of_saying_instances_are_one_too_many():
    """A task has `matrix` or `instances`; one of the defaults gives way to the task's own."""
    both = complaint("{ rows = [{ a = 1, b = 1 }] }", DISK, "matrix = { a = [1] }\n")
    hint = "write the lists of `matrix` as `product` in `instances`"
    assert both == f"pipeline.toml:3: task `t` has `matrix` and `instances`\n  hint: {hint}"
    text = "[defaults]\nmatrix = { a = [1], b = [1] }\n" + COMMAND
    assert list(pipeline(text).tasks) == ["t[a=1,b=1]"]
    assert list(pipeline(text + "instances = { rows = [{ a = 2, b = 2 }] }\n").tasks) == ["t[a=2,b=2]"]


def test_a_column_of_rows_cannot_be_overridden():
    """-p gives one value to all; that of a row is what tells the instance from others."""
    found = complaint("{ rows = [{ a = 1, b = 1 }] }", DISK, "", "a=3")
    assert found == "pipeline.toml:3: `a` is a column of `rows`, whose values -p cannot replace"


def test_faults_of_a_set_are_reported_once_at_its_own_line():
    """However many tasks have it, and also if none has."""
    tasks = "".join(f'[tasks.{name}]\ncommand = "{name}"\ninstances = {{ set = "s" }}\n' for name in "ab")
    for text in (f"[sets]\ns = {{ rows = [] }}\n{tasks}", '[sets]\ns = { rows = [] }\n[tasks.a]\ncommand = "a"\n'):
        with pytest.raises(ConfigError) as caught:
            pipeline(text)
        assert str(caught.value) == "pipeline.toml:2: `rows` is empty, so that `s` has no instances"
    with pytest.raises(ConfigError, match=r"pipeline\.toml:2: the set `s` names another set"):
        pipeline(f'[sets]\ns = {{ set = "s" }}\n{tasks}')


@pytest.mark.parametrize(
    ("output", "source"),
    [
        ("rows.csv", 'rows = "rows.csv"'),
        ("data/raw/", 'files = "data/raw/{a}-{b}.csv"'),
        ("data/raw/new-{d}.csv", 'files = "data/raw/{a}-{b}.csv"'),
        ("{folder}/new-1.csv", 'files = "data/raw/{a}-{b}.csv"'),
    ],
)
def test_what_another_task_makes_is_awaited(output: str, source: str):
    """One task stands for all instances, with globs of what they may make; with an effect on names alone."""
    text = f"""
        [parameters]
        folder = "data/raw"
        [tasks.u]
        command = ["y", "{{d}}"]
        matrix = {{ d = [1] }}
        outputs = ["{output}"]
        [tasks.t]
        command = ["x", "{{a}}"]
        instances = {{ {source} }}
        inputs = ["data/raw/{{a}}-{{b}}.csv"]
        outputs = ["out/{{a}}/{{b}}.csv", "{{folder}}s/{{b}}/"]
        [tasks.v]
        command = "v"
        after = ["t[a=1,b=2]"]
        inputs = {{ all = {{ task = "t" }} }}
    """
    parsed = parse(text.encode())
    awaited = parsed.makeable({})
    found = expand(parsed, {}, {}, Found(awaited=awaited)).tasks
    assert list(found) == ["u[d=1]", "t[...]", "v"]
    family = found[TaskName("t[...]")]
    assert family.source is not None
    assert {family.source.path} == awaited
    assert [item.path for item in family.outputs] == ["out/*/*.csv", "data/raws/*/"]
    assert found[TaskName("v")].after == ("t[...]",)


@pytest.mark.parametrize("source", ['rows = "data/rows.csv"', 'files = "data/{a}-{b}.csv"'])
def test_instances_cannot_make_what_they_come_from(source: str):
    """They would never be known."""
    disk = {"data/rows.csv": b"a,b\n1,2\n", "data/1-2.csv": b""}
    found = complaint(f"{{ {source} }}\noutputs = ['data/']", disk)
    assert "` makes `data/`, from which the instances of `t` come" in found
