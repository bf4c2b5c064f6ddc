"""Tables of ``pipeline.toml`` to instances: defaults, matrices, parameters."""

import pytest

from nbmake_dag.config.pipeline_file import Signature, expand, parse
from nbmake_dag.core.model import (
    CacheSettings,
    Command,
    Function,
    Input,
    KernelSettings,
    MetricSettings,
    Notebook,
    Output,
    Pipeline,
    Policy,
    ProjectPath,
    RaySettings,
    ReportSettings,
    Resources,
    SoftwareSettings,
    Task,
    TaskName,
)
from tests.config.expanding import pipeline


def test_a_pipeline_has_all_that_the_file_says():
    """Each table and key arrives as a value of the model, durations in seconds and sizes in bytes."""
    text = """\
[pipeline]
name = "digits"
[software]
lockfiles = ["./uv.lock"]
packages = ["numpy"]
variables = ["OMP_NUM_THREADS"]
[cache]
max_size = "1GiB"
max_age = "1d12h"
epoch = "2"
remote = "s3://bucket/x"
remote_mode = "read-write"
[runs]
keep = 10
[kernel]
start = "fresh"
preload = ["pandas", "sklearn.base"]
snapshots = "0B"
[ray]
address = "auto"
runtime_env = { env_vars = { A = "b" } }
[report]
publish_host = true
previews = true
max_size = 5
[report.metrics."auc mean"]
direction = "higher"
tolerance = 0.5
[report.views]
best = "#/runs?sort=-metrics.auc"
[tasks.train]
notebook = "nb//./train.py"
kernel = "ir"
inputs = { digits = "../common/digits.npy", all = "raw/**/*.csv" }
outputs = { model = "models/" }
parameters = { lr = 0.5 }
workdir = "nb"
env = { TZ = "UTC" }
secrets = ["TOKEN"]
tags = ["slow", "gpu"]
description = "Train."
timeout = "1h30m"
retries = 2
retry_delay = 1.5
max_age = 60
cache = false
store = false
strict = true
sandbox = true
notebook_output = "executed/train.ipynb"
resources = { cpus = 2, gpus = 0.5, memory = "4GB", custom = { tpu = 1 }, node = { zone = "a" } }
[tasks.score]
function = "pkg.scores:Best.score"
after = ["train"]
"""
    signatures = {
        "nb//./train.py": Signature(names=frozenset({"lr", "inputs"}), assigns_inputs=True),
        "pkg.scores:Best.score": Signature(names=frozenset({"outputs"}), assigns_outputs=True),
    }
    train = Task(
        name=TaskName("train"),
        family="train",
        work=Notebook(path=ProjectPath("nb/train.py"), kernel="ir", inject_inputs=True),
        inputs=(
            Input(path=ProjectPath("../common/digits.npy"), name="digits"),
            Input(path=ProjectPath("raw/**/*.csv"), name="all", is_glob=True),
        ),
        outputs=(Output(path=ProjectPath("models/"), name="model"),),
        parameters={"lr": 0.5},
        workdir=ProjectPath("nb/"),
        env={"TZ": "UTC"},
        secrets=("TOKEN",),
        tags=frozenset({"slow", "gpu"}),
        description="Train.",
        policy=Policy(
            timeout=5400.0,
            retries=2,
            retry_delay=1.5,
            resources=Resources(
                cpus=2.0, gpus=0.5, memory=4_000_000_000, custom={"tpu": 1.0}, labels={"zone": "a"}
            ),
            cache=False,
            store=False,
            max_age=60.0,
            strict=True,
            sandbox=True,
            notebook_output=ProjectPath("executed/train.ipynb"),
        ),
        line=31,
    )
    score = Task(
        name=TaskName("score"),
        family="score",
        work=Function(module="pkg.scores", qualname="Best.score", inject_outputs=True),
        after=(TaskName("train"),),
        line=52,
    )
    file = parse(text.encode())
    assert file.sources() == {
        "nb//./train.py": ("notebook", "pipeline.toml:32", ""),
        "pkg.scores:Best.score": ("function", "pipeline.toml:53", ""),
    }
    assert expand(file, signatures, {}) == Pipeline(
        name="digits",
        tasks={train.name: train, score.name: score},
        software=SoftwareSettings(
            lockfiles=(ProjectPath("uv.lock"),), packages=("numpy",), variables=("OMP_NUM_THREADS",)
        ),
        cache=CacheSettings(
            max_size=2**30, max_age=129_600.0, epoch="2", remote="s3://bucket/x", remote_mode="read-write"
        ),
        kernel=KernelSettings(start="fresh", preload=("pandas", "sklearn.base"), snapshots=0),
        ray=RaySettings(address="auto", runtime_env={"env_vars": {"A": "b"}}),
        report=ReportSettings(
            publish_host=True,
            previews=True,
            max_size=5,
            metrics={"auc mean": MetricSettings(direction="higher", tolerance=0.5)},
            views={"best": "#/runs?sort=-metrics.auc"},
        ),
        keep_runs=10,
        secrets=("TOKEN",),
    )


def test_what_the_file_does_not_say_is_the_models_default():
    """A file of one line makes a task with the defaults of the model."""
    made = pipeline('[tasks.a]\ncommand = "make"\n')
    work = Command(arguments="make")
    assert made == Pipeline(
        name="pipeline", tasks={TaskName("a"): Task(name=TaskName("a"), family="a", work=work, line=1)}
    )


def test_defaults_fill_in_and_are_merged_by_key_in_tables():
    """A task's single values and lists replace those of [defaults]; env and resources are merged by key."""
    text = """\
[defaults]
timeout = 10
tags = ["x"]
env = { A = "1", B = "1" }
resources = { cpus = 4, gpus = 1 }
kernel = "ir"
notebook = "n.py"
[tasks.a]
timeout = 20
tags = ["y"]
env = { B = "2" }
resources = { cpus = 1 }
[tasks.b]
command = "b"
"""
    a, b = pipeline(text).tasks.values()
    assert (a.work, a.tags, a.env) == (
        Notebook(path=ProjectPath("n.py"), kernel="ir"),
        frozenset({"y"}),
        {"A": "1", "B": "2"},
    )
    assert (b.work, b.tags, b.env) == (Command(arguments="b"), frozenset({"x"}), {"A": "1", "B": "1"})
    assert a.policy == Policy(timeout=20.0, resources=Resources(cpus=1.0, gpus=1.0))
    assert b.policy == Policy(timeout=10.0, resources=Resources(cpus=4.0, gpus=1.0))


MATRIX = """\
[tasks.train]
notebook = "train.py"
matrix = { lr = [0.1, 1], kind = ["a", "1"] }
outputs = ["models/{kind}/{lr}.onnx"]
[tasks.summary]
command = ["sum"]
after = ["train"]
[tasks.best]
command = ["best"]
after = ["train[kind=a,lr=1]", "summary", "summary"]
"""


def test_a_matrix_makes_instances_named_and_placed_by_their_values():
    """Instances are in the order of the file, named with sorted keys; texts stand in paths as they are."""
    tasks = pipeline(MATRIX, train="lr kind").tasks
    assert {name: [output.path for output in task.outputs] for name, task in tasks.items()} == {
        "train[kind=a,lr=0.1]": ["models/a/0.1.onnx"],
        'train[kind="1",lr=0.1]': ["models/1/0.1.onnx"],
        "train[kind=a,lr=1]": ["models/a/1.onnx"],
        'train[kind="1",lr=1]': ["models/1/1.onnx"],
        "summary": [],
        "best": [],
    }
    assert tasks[TaskName('train[kind="1",lr=1]')].parameters == {"lr": 1, "kind": "1"}
    assert {task.family for task in tasks.values()} == {"train", "summary", "best"}


def test_after_a_task_is_after_each_of_its_instances():
    """`after` takes a task, meaning all its instances, or one instance; each once."""
    tasks = pipeline(MATRIX, train="lr kind").tasks
    assert tasks[TaskName("summary")].after == tuple(list(tasks)[:4])
    assert tasks[TaskName("best")].after == ("train[kind=a,lr=1]", "summary")


def test_an_override_of_a_matrix_key_takes_the_place_of_its_values():
    """The instance is named after the value that it gets."""
    tasks = pipeline(MATRIX.replace("kind=a,lr=1", "kind=a,lr=7"), "lr=7", train="lr kind").tasks
    assert list(tasks)[:2] == ["train[kind=a,lr=7]", 'train[kind="1",lr=7]']
    assert tasks[TaskName("train[kind=a,lr=7]")].parameters == {"lr": 7, "kind": "a"}


LAYERS = """\
[parameters]
x = "global"
[defaults.parameters]
x = "default"
[tasks.a]
notebook = "a.py"
parameters = { x = "task" }
matrix = { x = ["matrix"] }
"""


@pytest.mark.parametrize(
    ("text", "options", "winner"),
    [
        (LAYERS, ["x=option"], "option"),
        (LAYERS, [], "matrix"),
        (LAYERS.replace("matrix = ", "#"), [], "task"),
        (LAYERS.replace("matrix = ", "#").replace("parameters = ", "#"), [], "default"),
        ('[parameters]\nx = "global"\n[tasks.a]\nnotebook = "a.py"\n', [], "global"),
    ],
)
def test_the_nearest_value_of_a_parameter_wins(text: str, options: list[str], winner: str):
    """[parameters] < [defaults] < task < matrix < -p."""
    (task,) = pipeline(text, *options, a="x").tasks.values()
    assert task.parameters == {"x": winner}


def test_shared_parameters_reach_those_who_know_them():
    """A notebook that assigns the name, a function that names it, a command that uses it, other kernels all."""
    text = """\
[parameters]
x = 1
y = 2
[tasks.a]
notebook = "a.py"
[tasks.b]
notebook = "b.R"
[tasks.c]
function = "m:f"
parameters = { z = 3 }
[tasks.d]
command = ["echo", "{x}", "{PATH}"]
"""
    signatures = {
        "a.py": Signature(names=frozenset({"x"})),
        "b.R": Signature(),
        "m:f": Signature(names=frozenset({"y"}), takes_any=True),
    }
    tasks = expand(parse(text.encode()), signatures, {}).tasks
    assert {name: task.parameters for name, task in tasks.items()} == {
        "a": {"x": 1},
        "b": {"x": 1, "y": 2},
        "c": {"y": 2, "z": 3},
        "d": {"x": 1},
    }
    assert tasks[TaskName("d")].work == Command(arguments=("echo", "1", "{PATH}"))


def test_a_parameter_that_only_paths_name_is_used():
    """A shared parameter need not reach the work of a task when a path of it has its name."""
    text = '[parameters]\nroot = "data/raw"\n[tasks.a]\nnotebook = "a.py"\ninputs = ["{root}/x"]\n'
    (task,) = pipeline(text, a="").tasks.values()
    assert (task.inputs, task.parameters) == ((Input(path=ProjectPath("data/raw/x")),), {})


def test_a_value_that_only_paths_use_is_no_error():
    """The work need not know what names its files; it is not given the value either."""
    found = pipeline(
        """
        [tasks.a]
        notebook = "train.py"
        matrix = { city = ["oslo", "rome"], lr = [1] }
        parameters = { year = 2024, kind = "x" }
        inputs = { data = "raw/{city}-{year}.csv" }
        outputs = ["clean/{city}.csv"]
        notebook_output = "shown/{kind}-{city}.ipynb"
        """,
        train="lr",
    )
    assert {name: dict(task.parameters) for name, task in found.tasks.items()} == {
        "a[city=oslo,lr=1]": {"lr": 1},
        "a[city=rome,lr=1]": {"lr": 1},
    }
    assert [task.inputs[0].path for task in found.tasks.values()] == ["raw/oslo-2024.csv", "raw/rome-2024.csv"]
