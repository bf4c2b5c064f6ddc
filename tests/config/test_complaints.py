"""What makes no pipeline is said at its line of ``pipeline.toml``."""

import pytest

from nbmake_dag.config.pipeline_file import Signature, expand, parse
from nbmake_dag.errors import ConfigError
from tests.config.expanding import pipeline


def complaints(text: str, *options: str, **signatures: str) -> str:
    with pytest.raises(ConfigError) as caught:
        pipeline(text, *options, **signatures)
    assert caught.value.exit_code == 2
    return str(caught.value)


TASK = '[tasks.a]\nnotebook = "a.py"\n'

FAULTS = {
    "unknown parameter": (
        TASK + "parameters = { learning_rte = 1 }\n",
        "pipeline.toml:3: task `a` has no parameter `learning_rte`\n  hint: did you mean `learning_rate`?",
    ),
    "unknown pool": (
        "[pools]\ndatabase = 1\n" + TASK + 'pools = ["databse"]\n',
        (
            "pipeline.toml:5: task `a` takes from the pool `databse`, which is not in [pools]\n"
            "  hint: did you mean `database`?"
        ),
    ),
    "pool of a file without pools": (
        TASK + "pools = { api = 2 }\n",
        (
            "pipeline.toml:3: task `a` takes from the pool `api`, which is not in [pools]\n"
            "  hint: add it: `[pools]` with `api = 2`"
        ),
    ),
    "more than a pool has": (
        "[pools]\napi = 4\n" + TASK + "pools = { api = 5 }\n",
        (
            "pipeline.toml:5: task `a` takes 5 places of the pool `api`, which has 4\n"
            "  hint: take fewer, or give the pool more in [pools]"
        ),
    ),
    "pool that is named twice": (
        "[pools]\napi = 4\n" + TASK + 'pools = ["api", "api"]\n',
        "pipeline.toml:5: `pools` names `api` twice\n  hint: write how many: `{ api = 2 }`",
    ),
    "pool without places": (
        "[pools]\napi = 0\n" + TASK + 'pools = ["api"]\n',
        (
            "pipeline.toml:2: `pools` must be a table of whole numbers from 1 to 1000000,"
            " not a table whose entry `api` is `0`"
        ),
    ),
    "pool without a name": (
        '[pools]\n" " = 1\n' + TASK,
        "pipeline.toml:2: ` ` cannot be the name of a pool: it is not a line of text",
    ),
    "pools that are a text": (
        TASK + 'pools = "api"\n',
        (
            "pipeline.toml:3: `pools` must be a list of names of pools, or a table of whole numbers from 1 to"
            ' 1000000, not `"api"`'
        ),
    ),
    "priority that is no number": (
        TASK + "priority = true\n",
        "pipeline.toml:3: `priority` must be a whole number from -1000000 to 1000000, not `true`",
    ),
    "input without a path": (
        TASK + "inputs = { x = { optional = true } }\n",
        (
            "pipeline.toml:3: input `x` has neither `path` nor `task`\n"
            '  hint: name the file: `{ path = "data/x.csv", optional = true }`'
        ),
    ),
    "input with a path and a task": (
        TASK + 'inputs = { x = { path = "x.csv", task = "a" } }\n',
        "pipeline.toml:3: input `x` has both `path` and `task`\n  hint: keep one of them",
    ),
    "optional that is no flag": (
        TASK + 'inputs = { x = { path = "x.csv", optional = "yes" } }\n',
        'pipeline.toml:3: `optional` must be `true` or `false`, not `"yes"`',
    ),
    "optional input without a name": (
        TASK + 'inputs = [{ path = "x.csv", optional = true }]\n',
        (
            "pipeline.toml:3: `inputs` must be a list of paths or a table of named paths, such as"
            ' `["data/x.csv"]` or `{ x = "data/x.csv" }`, not a list whose item 1 is a table'
        ),
    ),
    "table of an earlier version": (
        TASK + '[environment]\npackages = ["numpy"]\n',
        "pipeline.toml:3: unknown key `environment`\n  hint: the table is called `[software]` now",
    ),
    "environment without a lock file": (
        TASK + "[environments.e]\n",
        'pipeline.toml:3: environment `e` has no lock file\n  hint: name it: `lock = "uv.lock"`',
    ),
    "lock file of another tool": (
        TASK + '[environments.e]\nlock = "poetry.lock"\n',
        (
            "pipeline.toml:4: `poetry.lock` is not a lock file that nbdag reads\n"
            "  hint: it reads `uv.lock`, `pylock.toml`, and `requirements.txt` with hashes"
        ),
    ),
    "lock file outside": (
        TASK + '[environments.e]\nlock = "/uv.lock"\n',
        ("pipeline.toml:4: lock file `/uv.lock` is absolute\n  hint: write it relative to pipeline.toml"),
    ),
    "environment of no Python": (
        TASK + '[environments.e]\nlock = "uv.lock"\npython = ">=3.12"\n',
        'pipeline.toml:5: `>=3.12` is not a version of Python\n  hint: write two numbers, such as `"3.12"`',
    ),
    "groups of requirements": (
        TASK + '[environments.e]\nlock = "r.txt"\ngroups = ["a"]\n',
        "pipeline.toml:5: `groups` is for `uv.lock` and `pylock.toml`, and `r.txt` has none",
    ),
    "unknown environment": (
        TASK + 'environment = "gqu"\n[environments.gpu]\nlock = "uv.lock"\n',
        (
            "pipeline.toml:3: task `a` runs in the environment `gqu`, which is not in [environments]\n"
            "  hint: did you mean `gpu`?"
        ),
    ),
    "kernel beside environment": (
        TASK + 'environment = "e"\nkernel = "ir"\n[environments.e]\nlock = "uv.lock"\n',
        (
            "pipeline.toml:4: task `a` has both `kernel` and `environment`\n"
            "  hint: keep one of them: an environment has a kernel of its own"
        ),
    ),
    "unknown key of a matrix": (
        TASK + "matrix = { epochs = [1, 2] }\n",
        (
            "pipeline.toml:3: task `a` has no parameter `epochs`\n"
            "  hint: assign it in the cell that is tagged `parameters` (`nbdag help notebooks`)"
        ),
    ),
    "parameter that a command does not use": (
        '[tasks.a]\ncommand = "make {targte}"\nparameters = { target = 1 }\n',
        "pipeline.toml:3: task `a` has no parameter `target`\n  hint: did you mean `targte`?",
    ),
    "shared parameter that reaches nothing": (
        "[parameters]\nlearning_rat = 1\n" + TASK,
        "pipeline.toml:2: no task has a parameter `learning_rat`\n  hint: did you mean `learning_rate`?",
    ),
    "default parameter that reaches nothing": (
        "[defaults]\nparameters = { zzz = 1 }\n" + TASK,
        "pipeline.toml:2: no task has a parameter `zzz`",
    ),
    "check with outputs": (
        TASK + 'check = true\noutputs = ["x"]\n',
        "pipeline.toml:4: task `a` is a check, which has no outputs\n  hint: leave out `outputs`, or `check`",
    ),
    "check that is no truth value": (
        TASK + "check = 1\n",
        "pipeline.toml:3: `check` must be `true` or `false`, not `1`",
    ),
    "task that waits for a check": (
        TASK + 'check = true\n[tasks.b]\ncommand = "b"\nafter = ["a"]\n',
        (
            "pipeline.toml:6: `b` waits for `a`, a check, whose failure would not stop it\n"
            "  hint: leave `check` out of `a` for that"
        ),
    ),
    "code as a name": (
        TASK + 'parameters."x; import os" = 1\n',
        "pipeline.toml:3: `x; import os` cannot be a parameter: it is not an identifier",
    ),
    "keyword": (
        "[parameters]\nclass = 1\n" + TASK,
        "pipeline.toml:2: `class` cannot be a parameter: it is a keyword of Python",
    ),
    "dunder": (
        "[parameters]\n__builtins__ = 1\n" + TASK,
        (
            "pipeline.toml:2: `__builtins__` cannot be a parameter: "
            "it begins with two underscores, which Python keeps for itself"
        ),
    ),
    "name that Python reads as another": (
        '[parameters]\n"ﬁt" = 1\n' + TASK,
        "pipeline.toml:2: `ﬁt` cannot be a parameter: it would be read as `fit` by Python",
    ),
    "inputs as a parameter": (
        "[parameters]\ninputs = 1\n" + TASK,
        "pipeline.toml:2: `inputs` cannot be a parameter: it is what the declared paths are called in a task",
    ),
    "date": (
        "[parameters]\nlearning_rate = [{ at = 1979-05-27 }]\n" + TASK,
        (
            "pipeline.toml:2: `learning_rate` cannot have this value: "
            "it holds a date or a time, whose type not every kernel knows\n  hint: write it as a string"
        ),
    ),
    "more than 64 bits": (
        "[parameters]\nlearning_rate = 9223372036854775808\n" + TASK,
        (
            "pipeline.toml:2: `learning_rate` cannot have this value: "
            "it holds a number that does not fit into 64 bits\n  hint: write it as a string"
        ),
    ),
    "infinite": (
        TASK + "matrix = { learning_rate = [1.0, inf] }\n",
        (
            "pipeline.toml:3: `learning_rate` cannot have these values: "
            "it holds `inf`, which cannot be written to JSON\n  hint: write them as strings"
        ),
    ),
    "no values": (
        TASK + "matrix = { learning_rate = [] }\n",
        "pipeline.toml:3: `learning_rate` has no values, so that task `a` has no instances",
    ),
    "a value twice": (
        TASK + 'matrix = { learning_rate = ["x", "y", "x"] }\n',
        "pipeline.toml:3: `learning_rate` has a value twice",
    ),
    "too many instances": (
        TASK + f"matrix = {{ {', '.join(f'x{i} = {list(range(1000))}' for i in range(3))} }}\n",
        (
            "pipeline.toml:3: the pipeline has 1,000,000,000 tasks, more than 1,000,000\n"
            "  hint: `a` alone has 1,000,000,000"
        ),
    ),
    "two kinds of work": (
        TASK + 'command = "make"\n',
        "pipeline.toml:3: task `a` has `notebook` and `command`\n  hint: keep one of them",
    ),
    "no work": (
        "[tasks.a]\n",
        (
            "pipeline.toml:1: task `a` has nothing to run\n"
            "  hint: give it one of `notebook`, `function` and `command`"
        ),
    ),
    "no function": (
        '[tasks.a]\nfunction = "pkg.f"\n',
        "pipeline.toml:2: `pkg.f` is not `module:callable`\n  hint: did you mean `pkg:f`?",
    ),
    "empty command": ("[tasks.a]\ncommand = []\n", "pipeline.toml:2: the command of task `a` is empty"),
    "blank command": ('[tasks.a]\ncommand = " "\n', "pipeline.toml:2: the command of task `a` is empty"),
    "NUL in a command": (
        '[tasks.a]\ncommand = ["a", "\\u0000"]\n',
        "pipeline.toml:2: the command of task `a` holds a NUL character",
    ),
    "kernel of a command": (
        '[tasks.a]\ncommand = "a"\nkernel = "ir"\n',
        "pipeline.toml:3: `kernel` is for notebooks, and task `a` has none",
    ),
    "name of a variable": (
        TASK + 'env = { "A=B" = "c" }\nsecrets = ["my token"]\n',
        (
            "pipeline.toml:3: `A=B` cannot be the name of an environment variable\n"
            "pipeline.toml:4: `my token` cannot be the name of an environment variable"
        ),
    ),
    "exclude that is no list": (
        TASK + "instances = { product = { n = [1] }, exclude = { n = 1 } }\n",
        "pipeline.toml:3: `exclude` must be a list of tables, not a table",
    ),
    "include that is no list of tables": (
        TASK + "instances = { product = { n = [1] }, include = [1] }\n",
        "pipeline.toml:3: `include` must be a list of tables, not a list whose item 1 is `1`",
    ),
    "list of a product that is none": (
        TASK + "[tasks.a.instances.product]\nm = [1]\nn = 1\n",
        "pipeline.toml:5: `product` must be a table of lists of values, not a table whose entry `n` is `1`",
    ),
    "set that is no name": (
        TASK + "instances = { set = 1 }\n",
        "pipeline.toml:3: `set` must be a string, not `1`",
    ),
    "files that are a list": (
        TASK + 'instances = { files = ["a/{n}.csv"] }\n',
        "pipeline.toml:3: `files` must be a path with `{name}` for each parameter, not a list",
    ),
    "parts that are a text": (
        '[pipeline]\nparts = "a/pipeline.toml"\n' + TASK,
        'pipeline.toml:2: `parts` must be a list of strings, not `"a/pipeline.toml"`',
    ),
    "NUL in a value of a command": (
        '[tasks.a]\ncommand = ["x", "{n}"]\ninstances = { rows = [{ n = "\\u0000" }] }\n',
        "pipeline.toml:2: the command of task `a` holds a NUL character",
    ),
    "NUL in a variable": (TASK + 'env = { A = "\\u0000" }\n', "pipeline.toml:3: `A` holds a NUL character"),
    "unknown after": (
        TASK + '[tasks.bench]\ncommand = "b"\nafter = ["zz", "benhc"]\n',
        (
            "pipeline.toml:5: `bench` waits for `zz`, which is not a task\n"
            "pipeline.toml:5: `bench` waits for `benhc`, which is not a task\n  hint: did you mean `bench`?"
        ),
    ),
    "empty name": (
        '[tasks.""]\ncommand = "x"\n',
        "pipeline.toml:1: `` cannot be the name of a task: it is empty",
    ),
    "slash in a name": (
        '[tasks."a//b"]\ncommand = "x"\n',
        "pipeline.toml:1: `a//b` cannot be the name of a task: it is empty",
    ),
    "dots as a name": (
        '[tasks.".."]\ncommand = "x"\n',
        "pipeline.toml:1: `..` cannot be the name of a task: it is a folder's own name",
    ),
    "line break in a name": (
        '[tasks."a\\nb"]\ncommand = "x"\n',
        (
            "pipeline.toml:1: `a\\nb` cannot be the name of a task: "
            "it holds a line break or a character that cannot be printed"
        ),
    ),
    "long name": (
        f'[tasks.{"x" * 256}]\ncommand = "x"\n',
        f"pipeline.toml:1: `{'x' * 256}` cannot be the name of a task: it has more than 255 bytes",
    ),
    "long name of an instance": (
        TASK + f'matrix = {{ learning_rate = ["{"x" * 250}"] }}\n',
        f"pipeline.toml:3: the name of the instance `a[learning_rate={'x' * 250}]` has more than 255 bytes",
    ),
    "names that differ in case": (
        TASK + '[tasks.A]\ncommand = "x"\n',
        "pipeline.toml:3: the names `A` and `a` differ only in case or in the form of their Unicode",
    ),
    "names that differ in form": (
        '[tasks."é"]\ncommand = "x"\n[tasks."e\u0301"]\ncommand = "x"\n',
        "pipeline.toml:3: the names `e\u0301` and `é` differ only in case or in the form of their Unicode",
    ),
    "instances that differ in case": (
        TASK + 'matrix = { learning_rate = ["x", "X"] }\n',
        (
            "pipeline.toml:1: the names `a[learning_rate=X]` and `a[learning_rate=x]` "
            "differ only in case or in the form of their Unicode"
        ),
    ),
    "unknown name in a path": (
        TASK + 'outputs = ["x/{learning_rat}"]\nparameters = { learning_rate = 1 }\n',
        (
            "pipeline.toml:3: `x/{learning_rat}` names `{learning_rat}`, which is not a parameter of task `a`\n"
            "  hint: did you mean `learning_rate`?"
        ),
    ),
    "attribute in a path": (
        TASK + 'inputs = { x = "x/{learning_rate.real}" }\nparameters = { learning_rate = 1 }\n',
        "pipeline.toml:3: `x/{learning_rate.real}` has braces around something other than a parameter's name",
    ),
    "open brace in a path": (
        TASK + 'inputs = ["x{"]\n',
        "pipeline.toml:3: `x{` has braces around something other than a parameter's name",
    ),
    "parameter that leaves the project": (
        TASK + 'outputs = ["x/{learning_rate}/y"]\nparameters = { learning_rate = "../../z" }\n',
        (
            "pipeline.toml:3: output `x/../../z/y` is not inside the project\n"
            "  hint: a task writes below the folder of pipeline.toml"
        ),
    ),
    "absolute notebook": (
        '[tasks.a]\nnotebook = "/a.py"\n',
        "pipeline.toml:2: notebook `/a.py` is absolute\n  hint: write it relative to pipeline.toml",
    ),
    "one output of two tasks": (
        TASK + 'outputs = ["x"]\n[tasks.b]\ncommand = "b"\noutputs = ["./x"]\n',
        "pipeline.toml:6: `b` writes `x`, which is also written by `a` (pipeline.toml:3)",
    ),
    "one output twice": (
        TASK + 'outputs = ["x", "y/../x"]\n',
        "pipeline.toml:3: `a` writes `x`, which is also written by itself",
    ),
    "one output of all instances": (
        TASK + 'outputs = ["x"]\nmatrix = { learning_rate = [1, 2, 3] }\n',
        (
            "pipeline.toml:3: `a[learning_rate=2]` writes `x`, "
            "which is also written by `a[learning_rate=1]` (pipeline.toml:3)\n"
            "  hint: put a parameter of the matrix in the path"
        ),
    ),
    "outputs that differ in case": (
        TASK + 'outputs = ["X"]\n[tasks.b]\ncommand = "b"\noutputs = ["x"]\n',
        (
            "pipeline.toml:6: `b` writes `x`, which is also written by `a` (pipeline.toml:3)\n"
            "  hint: it is declared as `X` there, and some file systems do not distinguish the two"
        ),
    ),
    "output inside of another": (
        TASK + 'outputs = ["x/"]\n[tasks.b]\ncommand = "b"\noutputs = { y = "x/y/z" }\n',
        (
            "pipeline.toml:6: `b` writes `x/y/z`, inside of `x/`, which is written by `a` (pipeline.toml:3)\n"
            "  hint: give each its own folder"
        ),
    ),
    "output that is an input": (
        TASK + 'inputs = ["x"]\noutputs = ["X"]\n',
        "pipeline.toml:4: `a` writes `X`, which is an input of it\n  hint: write the changed data elsewhere",
    ),
    "output that is the notebook": (
        TASK + 'outputs = ["a.py"]\n',
        "pipeline.toml:3: `a` writes `a.py`, where its notebook is",
    ),
    "copy over the notebook": (
        '[tasks.a]\nnotebook = "a.ipynb"\nnotebook_output = "a.ipynb"\n',
        "pipeline.toml:3: `a` writes `a.ipynb`, where its notebook is",
    ),
    "copy over an output": (
        TASK + 'outputs = ["x.ipynb"]\nnotebook_output = "x.ipynb"\n',
        "pipeline.toml:4: `a` writes `x.ipynb`, which is also written by itself",
    ),
    "copy as an input": (
        TASK + 'notebook_output = "x.ipynb"\n[tasks.b]\ncommand = "b"\ninputs = ["x.ipynb"]\n',
        (
            "pipeline.toml:6: `b` reads `x.ipynb`, a copy of an executed notebook\n"
            "  hint: such copies have times in them, so tasks that read them would never be up to date"
            " (`nbdag help books`)"
        ),
    ),
    "copy that a glob matches": (
        TASK + 'notebook_output = "x.ipynb"\n[tasks.b]\ncommand = "b"\ninputs = ["*.ipynb"]\n',
        (
            "pipeline.toml:6: `b` reads `*.ipynb`, a copy of an executed notebook\n"
            "  hint: such copies have times in them, so tasks that read them would never be up to date"
            " (`nbdag help books`)"
        ),
    ),
    "copy in a folder": (
        TASK + 'notebook_output = "x/"\n',
        "pipeline.toml:3: notebook_output `x/` is a folder\n  hint: name the file in it",
    ),
    "a copy that is no notebook and no page": (
        TASK + 'notebook_output = "x.pdf"\n',
        "pipeline.toml:3: notebook_output `x.pdf` is neither `.ipynb` nor `.html`\n  hint: name one of them",
    ),
    "output over the file itself": (
        TASK + 'outputs = ["pipeline.toml"]\n',
        "pipeline.toml:3: `a` writes `pipeline.toml`, which declares the pipeline",
    ),
    "settings": (
        '[pipeline]\nname = ""\n[software]\nlockfiles = ["/x", "*.lock"]\npackages = ["numpy>=2"]\n'
        'variables = ["A B"]\n[cache]\nremote = "s3://key:secret@bucket"\n[kernel]\npreload = ["a b"]\n' + TASK,
        (
            "pipeline.toml:2: `name` must be a line of 1 to 255 bytes\n"
            "pipeline.toml:4: lock file `/x` is absolute\n  hint: write it relative to pipeline.toml\n"
            "pipeline.toml:4: lock file `*.lock` is a glob\n  hint: name each file\n"
            "pipeline.toml:5: `numpy>=2` is not the name of a distribution\n"
            "  hint: write the name alone, such as `numpy`; its installed version is what counts\n"
            "pipeline.toml:6: `A B` cannot be the name of an environment variable\n"
            "pipeline.toml:8: `remote` holds credentials, which would be recorded and shown\n"
            "  hint: take them from the environment or a credentials file, as the file system's client does\n"
            "pipeline.toml:10: `a b` is not the name of a module"
        ),
    ),
    "chained remote": (
        '[cache]\nremote = "simplecache::s3://bucket"\n' + TASK,
        "pipeline.toml:2: `remote` chains file systems with `::`\n  hint: name one file system",
    ),
    "blank remote": ('[cache]\nremote = " "\n' + TASK, "pipeline.toml:2: `remote` must be a directory or a URL"),
    "mode of no remote": (
        '[cache]\nremote_mode = "read"\n' + TASK,
        "pipeline.toml:2: `remote_mode` is set, but no `remote` is",
    ),
}


@pytest.mark.parametrize(("text", "expected"), FAULTS.values(), ids=FAULTS.keys())
def test_what_makes_no_pipeline_is_said_at_its_line(text: str, expected: str):
    """Each thing that is well-typed but makes no sense has a complaint, and no other comes with it."""
    assert complaints(text, a="learning_rate x0 x1 x2 fit") == expected


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("learning_rte=1", "no task has a parameter `learning_rte`\n  hint: did you mean `learning_rate`?"),
        (
            "learning_rate=1e999",
            "`learning_rate` cannot have this value: it holds `inf`, which cannot be written to JSON",
        ),
    ],
)
def test_options_are_complained_about_without_a_line(option: str, expected: str):
    """A complaint about -p stands beside those about the file."""
    name, _, text = option.partition("=")
    file = parse(TASK.encode())
    with pytest.raises(ConfigError) as caught:
        expand(file, {"a.py": Signature(names=frozenset({"learning_rate"}))}, {name: float(text)})
    assert str(caught.value) == expected


def test_a_list_for_a_key_of_a_matrix_is_complained_about():
    """Its values are what one instance gets; a key whose values are lists takes one."""
    text = '[tasks.a]\ncommand = "echo {n}"\nmatrix = { n = [1, 2] }\n'
    assert complaints(text, "n=[1, 2]") == (
        "`n` is a key of the matrix of task `a`, and takes one value, not a list\n"
        "  hint: build once for each, as with `-p n=...`"
    )
    assert list(pipeline(text.replace("[1, 2]", "[[1], [2]]"), "n=[3]").tasks) == ["a[n=[3]]"]
