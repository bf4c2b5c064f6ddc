"""Modules whose names code computes: what a new, an edited or a removed one changes is never skipped."""

from __future__ import annotations

import pytest

from tests.support.project import Project

LOADED_BY_PREFIX = """
import importlib, sys

def names():
    return [chr(97)]

def value():
    return [importlib.import_module(f"plugins.{name}").V for name in names()]
"""
LISTED = """
import importlib, pkgutil
import plugins

def value():
    found = sorted(item.name for item in pkgutil.iter_modules(plugins.__path__))
    return [importlib.import_module("plugins." + name).V for name in found]
"""
LISTED_BY_HAND = """
import importlib, os, sys

def value():
    folder = os.path.join(os.getcwd(), chr(112) + "lugins")
    sys.path.append(folder)
    found = sorted(name[:-3] for name in os.listdir(folder) if name.endswith(".py") and name != "__init__.py")
    return [importlib.import_module(name).V for name in found]
"""
OPTIONAL = """
import importlib

def value():
    try:
        return importlib.import_module(chr(102) + "ast").V
    except ImportError:
        return "slow"
"""


@pytest.fixture
def computed(project: Project) -> Project:
    """Make the same four ways to import by computed names, in a notebook, a function and a command each."""
    tables: list[str] = []
    for name, code in (
        ("prefix", LOADED_BY_PREFIX),
        ("listed", LISTED),
        ("hand", LISTED_BY_HAND),
        ("optional", OPTIONAL),
    ):
        project.write(f"{name}.py", code)
        project.write(f"run_{name}.py", f"import {name}\nprint({name}.value(), file=open('{name}_c.txt', 'w'))\n")
        project.write(
            f"f_{name}.py",
            f"import {name}\n\ndef run(outputs):\n    print({name}.value(), file=open(outputs[0], 'w'))\n",
        )
        project.notebook(f"n_{name}.py", code, f"print(value(), file=open('{name}_n.txt', 'w'))")
        tables += [
            f'[tasks.{name}_n]\nnotebook = "n_{name}.py"\noutputs = ["{name}_n.txt"]\n',
            f'[tasks.{name}_f]\nfunction = "f_{name}:run"\noutputs = ["{name}_f.txt"]\n',
            f'[tasks.{name}_c]\ncommand = ["python", "run_{name}.py"]\noutputs = ["{name}_c.txt"]\n',
        ]
    project.write("plugins/__init__.py", "").write("plugins/a.py", "V = 1\n")
    return project.pipeline("".join(tables))


def kinds(*names: str) -> set[str]:
    return {f"{name}_{kind}" for name in names for kind in "nfc"}


@pytest.mark.slow
def test_a_change_of_what_a_computed_import_means_is_never_skipped(computed: Project) -> None:
    """Each way and each kind of work: an edit, a new module of a listed folder, one that was not found before."""
    computed.build().ran(*kinds("prefix", "listed", "hand", "optional"))
    computed.build().ran()

    edited = computed.write("plugins/a.py", "V = 2\n").build()
    assert kinds("prefix", "listed", "hand") <= set(edited.having("ran"))
    assert not {"optional_n", "optional_f"} & set(edited.having("ran"))
    computed.build().ran()

    added = computed.write("plugins/b.py", "V = 3\n").build()
    assert kinds("listed", "hand") <= set(added.having("ran"))
    assert {computed.read(f"listed_{kind}.txt") for kind in "nfc"} == {"[2, 3]\n"}
    assert {computed.read(f"hand_{kind}.txt") for kind in "nfc"} == {"[2, 3]\n"}
    computed.build().ran()

    found = computed.write("fast.py", "V = 'fast'\n").build()
    assert kinds("optional") <= set(found.having("ran"))
    assert {computed.read(f"optional_{kind}.txt") for kind in "nfc"} == {"fast\n"}
    computed.build().ran()

    computed.remove("plugins/b.py")
    removed = computed.build()
    assert {computed.read(f"listed_{kind}.txt") for kind in "nfc"} == {"[2]\n"}, removed.err
    computed.build().ran()


def test_a_new_module_that_a_computed_name_finds_first_is_never_skipped(project: Project) -> None:
    """A module in the root comes before one of a folder that was added to the path, a package before a module."""
    code = "import sys, importlib\nsys.path.append('lib')\nV = importlib.import_module(chr(104) + 'elper').V\n"
    project.notebook("n.py", f"{code}open('n.txt', 'w').write(V)")
    project.write(
        "f.py", f"def run(outputs):\n    {code.strip().replace(chr(10), '; ')}\n    open('f.txt', 'w').write(V)\n"
    )
    project.write("lib/helper.py", "V = 'lib'\n")
    project.pipeline(
        '[tasks.n]\nnotebook = "n.py"\noutputs = ["n.txt"]\n[tasks.f]\nfunction = "f:run"\noutputs = ["f.txt"]\n'
    )
    project.build().ran("f", "n")
    project.build().ran()
    project.write("lib/helper/__init__.py", "V = 'package'\n").build().ran("f", "n")
    assert (project.read("f.txt"), project.read("n.txt")) == ("package", "package")
    project.write("helper.py", "V = 'root'\n").build().ran("f", "n")
    assert (project.read("f.txt"), project.read("n.txt")) == ("root", "root")
    project.build().ran()
