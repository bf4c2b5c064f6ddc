"""What decides a task's result, one pair of claims for each kind of ingredient."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from nbmake_dag.core.ingredients import FORMAT, Observed, Software, own_ingredients
from nbmake_dag.core.model import (
    Command,
    Function,
    Input,
    Notebook,
    Output,
    Policy,
    ProjectPath,
    Resources,
    Task,
    TaskName,
)
from nbmake_dag_cache.digest import Digest
from nbmake_dag_cache.key import Ingredient, Key, key_of, shared_name_of

DATA = Input(path=ProjectPath("data.csv"))
TABLES = Input(path=ProjectPath("t/*.csv"), is_glob=True)
TASK = Task(
    name=TaskName("train"),
    family="train",
    work=Notebook(path=ProjectPath("train.py")),
    inputs=(DATA, TABLES),
    outputs=(Output(path=ProjectPath("model.onnx")), Output(path=ProjectPath("log/"), name="log")),
    parameters={"depth": 1},
    env={"MODE": "fast"},
    secrets=("TOKEN",),
)
SEEN = Observed(
    source=(Ingredient("cell", "1", "c1"), Ingredient("cell", "2", "c2")),
    kernel="python3 python cpython 3.11",
    modules={"helper.py": "m1"},
    inputs={DATA: ((DATA.path, Digest("d1")),), TABLES: ((ProjectPath("t/1.csv"), Digest("d2")),)},
)
SOFTWARE = Software(
    lockfiles={ProjectPath("requirements.lock"): "l1"},
    packages={"numpy": "2.0"},
    variables={"OMP_NUM_THREADS": "v1", "UNSET": None},
    locked={"pandas": "2.2 sha256:a"},
)


def _key(task: Task = TASK, seen: Observed = SEEN, software: Software = SOFTWARE, epoch: str = "") -> Key:
    return key_of(own_ingredients(task, seen, software, epoch))


def _files(*entries: tuple[str, str]) -> tuple[tuple[ProjectPath, Digest], ...]:
    return tuple((ProjectPath(path), Digest(digest)) for path, digest in entries)


@pytest.mark.parametrize(
    "change",
    [
        {"parameters": {"depth": 1.0}},
        {"parameters": {"depth": True}},
        {"parameters": {"depth": "1"}},
        {"parameters": {"depth": 2}},
        {"parameters": {"deep": 1}},
        {"parameters": {}},
        {"env": {"MODE": "slow"}},
        {"env": {}},
        {"secrets": ()},
        {"workdir": ProjectPath("notebooks/")},
        {"outputs": TASK.outputs[:1]},
        {"outputs": (Output(path=ProjectPath("other.onnx")), TASK.outputs[1])},
        {"outputs": (Output(path=ProjectPath("model.onnx"), name="model"), TASK.outputs[1])},
        {"outputs": (TASK.outputs[1], TASK.outputs[0])},
        {"inputs": (DATA,)},
        {"inputs": (replace(DATA, name="data"), TABLES)},
        {"inputs": (TABLES, DATA)},
    ],
    ids=str,
)
def test_what_is_declared_invalidates(change: dict[str, Any]) -> None:
    """Values and types of parameters, `env`, names of secrets, the folder, and every declared path."""
    task = replace(TASK, **change)
    seen = replace(SEEN, inputs={item: SEEN.inputs.get(replace(item, name=None), ()) for item in task.inputs})
    assert _key(task, seen) != _key()


@pytest.mark.parametrize(
    "change",
    [
        {"name": TaskName("fit"), "family": "fit"},
        {"work": Notebook(path=ProjectPath("moved/train.ipynb"))},
        {"line": 99},
        {"description": "trains"},
        {"tags": frozenset({"slow"})},
        {"after": (TaskName("early"),)},
        {"policy": Policy(timeout=1.0, retries=9, retry_delay=1.0, resources=Resources(cpus=4), max_age=1.0)},
        {"work": Notebook(path=ProjectPath("train.py"), allow_errors=True)},
        {"policy": Policy(pools={"database": 1}, priority=7)},
        {"policy": Policy(strict=True, store=False, cache=False, notebook_output=ProjectPath("out.ipynb"))},
    ],
    ids=str,
)
def test_what_does_not_decide_the_result_does_not_invalidate(change: dict[str, Any]) -> None:
    """Names, places, order, policy and words about a task are free to change."""
    assert _key(replace(TASK, **change)) == _key()


@pytest.mark.parametrize(
    "change",
    [
        {"source": SEEN.source[:1]},
        {"source": (Ingredient("cell", "1", "c2"), Ingredient("cell", "2", "c1"))},
        {"kernel": "python3 python cpython 3.12"},
        {"allow_errors": True},
        {"modules": {"helper.py": "m2"}},
        {"modules": {}},
        {"modules": {"helper.py": "m1", "second.py": "m2"}},
        {"inputs": {**SEEN.inputs, DATA: _files(("data.csv", "d9"))}},
        {"inputs": {**SEEN.inputs, TABLES: _files(("t/1.csv", "d2"), ("t/2.csv", "d3"))}},
        {"inputs": {**SEEN.inputs, TABLES: _files(("t/renamed.csv", "d2"))}},
        {"inputs": {**SEEN.inputs, TABLES: ()}},
    ],
    ids=str,
)
def test_what_is_seen_on_disk_invalidates(change: dict[str, Any]) -> None:
    """Cells and their order, the kernel, modules, contents and names of inputs, and who belongs to a glob."""
    assert _key(seen=replace(SEEN, **change)) != _key()


def test_the_absence_of_an_optional_input_invalidates() -> None:
    """A file that is absent, is there, or is a folder are three keys; that it may be absent is none of its own."""
    notes = Input(path=ProjectPath("notes"), optional=True)
    task = replace(TASK, inputs=(*TASK.inputs, notes))
    absent = replace(SEEN, inputs={**SEEN.inputs, notes: ()})
    there = replace(SEEN, inputs={**SEEN.inputs, notes: _files(("notes", "d5"))})
    assert (
        len({_key(task, absent), _key(task, there), _key(task, replace(absent, folders=frozenset({notes})))}) == 3
    )
    certain = replace(notes, optional=False)
    is_there = replace(SEEN, inputs={**SEEN.inputs, certain: _files(("notes", "d5"))})
    assert _key(replace(TASK, inputs=(*TASK.inputs, certain)), is_there) == _key(task, there)


def test_an_optional_folder_that_is_absent_is_not_an_empty_one() -> None:
    """The task is told which; a glob without a match is the same list whether or not that is expected."""
    folder = Input(path=ProjectPath("extra/"), optional=True)
    task = replace(TASK, inputs=(*TASK.inputs, folder))
    absent = replace(SEEN, inputs={**SEEN.inputs, folder: ()})
    assert _key(task, absent) != _key(task, replace(absent, folders=frozenset({folder})))
    empty = replace(SEEN, inputs={DATA: SEEN.inputs[DATA], TABLES: ()})
    expected = replace(TABLES, optional=True)
    as_expected = replace(SEEN, inputs={DATA: SEEN.inputs[DATA], expected: ()})
    assert _key(replace(TASK, inputs=(DATA, expected)), as_expected) == _key(seen=empty)


@pytest.mark.parametrize(
    "change",
    [
        {"lockfiles": {ProjectPath("requirements.lock"): "l2"}},
        {"lockfiles": {}},
        {"packages": {"numpy": "2.1"}},
        {"locked": {"pandas": "2.2 sha256:b"}},
        {"locked": {"pandas": "2.2 sha256:a", "attrs": "1 sha256:c"}},
        {"locked": {}},
        {"variables": {"OMP_NUM_THREADS": "v2", "UNSET": None}},
        {"variables": {"OMP_NUM_THREADS": "v1", "UNSET": ""}},
        {"variables": {"OMP_NUM_THREADS": None, "UNSET": None}},
    ],
    ids=str,
)
def test_declared_software_invalidates(change: dict[str, Any]) -> None:
    """Lock files, versions, and variables, of which an unset one is not an empty one."""
    assert _key(software=replace(SOFTWARE, **change)) != _key()


def test_a_folder_counts_by_its_path_also_when_it_is_empty() -> None:
    """The work is given the path, so that another folder, or none, is another input."""
    keys = {
        _key(replace(TASK, inputs=tuple(Input(path=ProjectPath(path)) for path in paths)))
        for paths in ((), ("raw/",), ("other/",))
    }
    assert len(keys) == 3


def test_a_folder_that_is_declared_as_a_file_counts_as_well() -> None:
    """Without a slash, and with nothing in it."""
    plain = Input(path=ProjectPath("raw"))
    task = replace(TASK, inputs=(plain,))
    assert _key(task, replace(SEEN, folders=frozenset({plain}))) != _key(replace(TASK, inputs=()))


def test_a_list_is_not_a_table_with_numbers_as_names() -> None:
    """The work is given one or the other."""
    named = replace(TASK, inputs=(replace(DATA, name="0"),))
    seen = replace(SEEN, inputs={**SEEN.inputs, named.inputs[0]: SEEN.inputs[DATA]})
    assert _key(named, seen) != _key(replace(TASK, inputs=(DATA,)))
    outputs = tuple(Output(path=output.path) for output in TASK.outputs)
    numbered = tuple(replace(output, name=str(number)) for number, output in enumerate(outputs))
    assert _key(replace(TASK, outputs=outputs)) != _key(replace(TASK, outputs=numbered))


def test_the_order_of_tables_does_not_invalidate() -> None:
    """TOML tables have no order."""
    two = replace(TASK, parameters={"a": 1, "b": {"x": 1, "y": 2}}, env={"A": "1", "B": "2"})
    other = replace(TASK, parameters={"b": {"y": 2, "x": 1}, "a": 1}, env={"B": "2", "A": "1"})
    assert _key(two) == _key(other)


def test_an_epoch_disowns_what_was_cached() -> None:
    """Each epoch is another key; none is as before."""
    assert len({_key(epoch=""), _key(epoch="1"), _key(epoch="2")}) == 3


def test_a_secret_is_in_the_key_by_name_alone() -> None:
    """No value of a secret is an ingredient."""
    found = [item for item in own_ingredients(TASK, SEEN, SOFTWARE, "") if item.kind == "secret"]
    assert found == [Ingredient("secret", "TOKEN", "")]


def test_every_ingredient_is_listed_once() -> None:
    """The whole list, as it is hashed and explained."""
    assert sorted(own_ingredients(TASK, SEEN, SOFTWARE, "e")) == [
        Ingredient("cell", "1", "c1"),
        Ingredient("cell", "2", "c2"),
        Ingredient("env", "MODE", "fast"),
        Ingredient("epoch", "", "e"),
        Ingredient("format", "", FORMAT),
        Ingredient("glob", "1", ""),
        Ingredient("input", "0", "d1", path="data.csv"),
        Ingredient("input", "1", "d2", path="t/1.csv"),
        Ingredient("kernel", "", "python3 python cpython 3.11"),
        Ingredient("locked", "pandas", "2.2 sha256:a"),
        Ingredient("lockfile", "requirements.lock", "l1"),
        Ingredient("module", "helper.py", "m1"),
        Ingredient("named", "outputs", ""),
        Ingredient("output", "0", "", path="model.onnx"),
        Ingredient("output", "log", "", path="log/"),
        Ingredient("package", "numpy", "2.0"),
        Ingredient("parameter", "depth", "1"),
        Ingredient("secret", "TOKEN", ""),
        Ingredient("variable", "OMP_NUM_THREADS", "v1"),
        Ingredient("variable", "UNSET", "unset"),
        Ingredient("workdir", "", "./"),
    ]


def test_works_differ_by_what_they_do() -> None:
    """A function, a list of arguments and a text for the shell are told apart."""
    works = (
        Function(module="work", qualname="train"),
        Function(module="work", qualname="fit"),
        Command(arguments=("python", "train.py")),
        Command(arguments=("python train.py",)),
        Command(arguments="python train.py"),
    )
    assert len({_key(replace(TASK, work=work), Observed()) for work in works}) == len(works)


def test_no_two_lists_are_hashed_alike() -> None:
    """Where one text ends and the next begins is part of the hash."""
    lists = (
        [Ingredient("a", "b", "c")],
        [Ingredient("ab", "", "c")],
        [Ingredient("a", "bc", "")],
        [Ingredient("a", "b", ""), Ingredient("c", "", "")],
        [Ingredient("a", "1:b", "c")],
    )
    for hashed in (key_of, shared_name_of):
        assert len({hashed(items) for items in lists}) == len(lists)


def test_the_key_does_not_depend_on_order_or_stage() -> None:
    """An input that a task made, or that lay on disk, is the same input."""
    one, two = Ingredient("input", "0", "1", path="a"), Ingredient("cell", "1", "2")
    made = Ingredient("input", "0", "1", "upstream", "a")
    assert key_of([one, two]) == key_of([two, one]) == key_of([two, made]) == "b5b3988018259b62f6c7c61528ec9880"
    assert shared_name_of([one, two]) == shared_name_of([two, made])
