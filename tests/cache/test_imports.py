"""What code says that it imports."""

from __future__ import annotations

import ast
import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmake_dag_cache.computed_imports import Import, WholeFolder, WholePackage
from nbmake_dag_cache.imports import Imports, PathAddition, imports_in, imports_of
from nbmake_dag_cache.started import StartedCommand, Word


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import a", Import("a")),
        ("import a.b.c as d", Import("a.b.c")),
        ("from a.b import c as d, e", Import("a.b", ("c", "e"))),
        ("from . import a", Import("", ("a",), 1)),
        ("from ..a import *", Import("a", ("*",), 2)),
        ("import importlib; importlib.import_module('a.b')", Import("a.b")),
        ("import_module('.a.b', __package__)", Import("a.b", (), 1)),
        ("__import__('a.b', globals())", Import("a.b")),
        ("def f():\n    async def g():\n        import a", Import("a")),
        ("try:\n    pass\nexcept ImportError:\n    import a", Import("a")),
        ("if TYPE_CHECKING:\n    import a", Import("a")),
        ("match x:\n    case 1:\n        import a", Import("a")),
        ("x = [y for z in __import__('a')]", Import("a")),
        (b"# coding: latin-1\nx = '\xe9'\nimport a", Import("a")),
    ],
)
def test_an_import_is_found_wherever_it_stands(source, expected):
    """Every form of import, in any block."""
    assert expected in imports_of(source).modules


@pytest.mark.parametrize(
    "source",
    ["", "x = 'import a'", "# import a", "a.b('c')", "import a b"],
)
def test_nothing_is_made_up(source):
    """Text and code that does not parse import nothing that we know of."""
    assert imports_of(source) == Imports()


def test_each_import_is_named_once_in_order():
    """The result does not depend on the order of the code."""
    assert imports_of("import b, a\nimport b") == Imports((Import("a"), Import("b"))) == imports_of("import a, b")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import_module(name)", Imports(computed=True)),
        ("__import__(f'{a}')", Imports(computed=True)),
        ("for m in os.listdir('.'):\n    import_module(m)", Imports(computed=True)),
        ("import_module(f'plugins.{n}')", Imports(listed=(WholePackage("plugins"),))),
        ("import_module('a.b.' + n)", Imports(listed=(WholePackage("a.b"),))),
        ("import_module('a.%s.c' % n)", Imports(listed=(WholePackage("a"),))),
        ("import_module('a.{}'.format(n))", Imports(listed=(WholePackage("a"),))),
        ("import_module(f'.{n}', __package__)", Imports(listed=(WholePackage("", 1),))),
        ("import_module(f'.{n}', 'a.b')", Imports(listed=(WholePackage("a.b"),))),
        ("import_module('..c', 'a.b')", Imports((Import("a.c"),))),
        ("import_module('m' + '')", Imports((Import("m"),))),
        ("import_module(f'{__package__}.a.{n}')", Imports(listed=(WholePackage("a", 1),))),
        ("import_module(__name__ + '.a')", Imports((Import("a", (), 1),))),
        ("import_module(name='m')", Imports((Import("m"),))),
        ("n = 'm'\nimport_module(n)", Imports((Import("m"),))),
        ("for n in ['a', 'b']:\n    import_module(n)", Imports((Import("a"), Import("b")))),
        ("[import_module(n) for n in ('a', 'b')]", Imports((Import("a"), Import("b")))),
        ("iter_modules()", Imports(computed=True)),
        ("iter_modules(__path__)", Imports(listed=(WholePackage("", 1),))),
        ("iter_modules(path=__path__)", Imports(listed=(WholePackage("", 1),))),
        ("iter_modules(['plugins'])", Imports(listed=(WholeFolder("working", "plugins"),))),
        ("iter_modules([dirname(__file__)])", Imports(listed=(WholeFolder("file", "."),))),
        ("iter_modules(a.b.__path__)", Imports(listed=(WholePackage("a.b"),))),
        ("iter_modules(import_module('a.b').__path__)", Imports((Import("a.b"),), listed=(WholePackage("a.b"),))),
        ("m = import_module('a')\niter_modules(m.__path__)", Imports((Import("a"),), listed=(WholePackage("a"),))),
        ("import a.b as c\niter_modules(c.__path__)", Imports((Import("a.b"),), listed=(WholePackage("a.b"),))),
        (
            "from . import a\nwalk_packages(a.__path__)",
            Imports((Import("", ("a",), 1),), listed=(WholePackage("a", 1),)),
        ),
    ],
)
def test_a_computed_import_may_be_of_every_module_of_what_it_begins_with(source, expected):
    """A package, a folder, or anything; what is literal all the same is one import."""
    assert imports_of(source) == expected


def test_a_file_that_is_loaded_as_a_module_is_a_script():
    """By its path, whatever its name."""
    found = imports_of("spec_from_file_location('m', 'lib/x.py')")
    assert found.commands == (StartedCommand((Word("working", "python"), Word("working", "lib/x.py"))),)
    unknown = imports_of("spec_from_file_location('m', path)")
    assert unknown.computed
    assert len(unknown.commands) == 1


@pytest.mark.parametrize(
    ("expression", "base", "path"),
    [
        ("'lib'", "working", "lib"),
        ("'./lib/'", "working", "lib"),
        ("'..'", "working", ".."),
        ("'/opt/lib'", "working", "/opt/lib"),
        ("os.getcwd()", "working", "."),
        ("os.path.dirname(os.getcwd())", "working", ".."),
        ("str(Path.cwd() / 'src')", "working", "src"),
        ("str(Path('..', 'src').resolve())", "working", "../src"),
        ("os.path.dirname(__file__)", "file", "."),
        ("os.path.dirname(os.path.dirname(os.path.abspath(__file__)))", "file", ".."),
        ("os.path.join(os.path.dirname(__file__), '..', 'src')", "file", "../src"),
        ("os.path.join(os.path.dirname(__file__), '/opt')", "file", "/opt"),
        ("os.path.abspath(os.path.join(__file__, '../..'))", "file", ".."),
        ("str(Path(__file__).parent)", "file", "."),
        ("str(pathlib.Path(__file__).resolve().parent.parent / 'src' / 'a')", "file", "../src/a"),
        ("str(Path(__file__).absolute().parents[2])", "file", "../.."),
        ("str(Path(__file__).parent.joinpath('src'))", "file", "src"),
        ("os.fspath(Path('a') / Path(__file__).parent)", "file", "."),
    ],
)
def test_folders_are_evaluated(expression, base, path):
    """The usual ways to name a folder, below the file's folder or the working directory."""
    source = f"import sys\nsys.path.insert(0, {expression})"
    assert imports_of(source).folders == (PathAddition(base, path, first=True),)


@pytest.mark.parametrize(
    ("source", "paths"),
    [
        ("sys.path.append('a')", ["a"]),
        ("sys.path.extend(['a', 'b'])", ["a", "b"]),
        ("sys.path += ['a']", ["a"]),
        ("if 'a' not in sys.path:\n    sys.path.insert(1, 'a')", ["a"]),
        ("a = Path('..')\nb = a / 'src'\nsys.path.append(str(b))\nsys.path.append(str(a))", ["../src", ".."]),
        ("sys.path.append(f())", []),
        ("sys.path.append(unknown)", []),
        ("sys.path[0:0] = ['a', 'b']", ["b", "a"]),
        ("sys.path = ['a', *sys.path, 'b']", ["a", "b"]),
        ("sys.path = sys.path + ['a']", ["a"]),
        ("site.addsitedir('a')", ["a"]),
        ("a = a / 'b'\nsys.path.append(a)", ["b", "b"]),
        ("sys.path.append('a' / unknown)", ["a", "a"]),
        ("for a in ['b', 'c d']:\n    sys.path.append(a)", ["b", "b"]),
        ("path.append('a')", []),
        ("sys.path.append(" + " / ".join(["'a'"] * 2000) + ")", ["a", "a"]),
    ],
)  # fmt: skip
def test_additions_are_found(source, paths):
    """Each way to add a folder; of a computed one each text may be a part, beside the code or where it runs."""
    assert [folder.path for folder in imports_of(source).folders] == paths


def test_cells_share_variables():
    """A folder named in one cell is known in the next."""
    cells = ["root = '..'", "x = 1", "import sys, a; sys.path.append(root)"]
    assert imports_in([(text, ast.parse(text)) for text in cells]) == Imports(
        (Import("a"), Import("sys")), (PathAddition("working", ".."),)
    )


def test_a_script_named_in_one_cell_is_known_where_another_starts_it():
    """Also where the first cell does nothing but name it."""
    cells = ["SCRIPT = 'tools/gen.sh'", "check_call(['bash', SCRIPT])"]
    words = tuple(Word("working", text) for text in ("bash", "tools/gen.sh"))
    assert imports_in([(text, ast.parse(text)) for text in cells]).commands == (StartedCommand(words),)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("os.system(f'python {sys.executable} {s}')", "python python \N{REPLACEMENT CHARACTER}"),
        ("s = 'x.py'\nos.system(f'{sys.executable} {s}')", "python x.py"),
        ("HERE = Path(__file__).parent\nos.system(f'sh {HERE}/x.sh')", "sh $(dirname $0)/./x.sh"),
        ("from os import system as run_it\nrun_it('sh x.sh')", "sh x.sh"),
        ("s = 'x.py'\nget_ipython().system('python $s {s}')", "python x.py x.py"),
        ("get_ipython().system('for f in a; do $f $g')", "for f in a; do $f \N{REPLACEMENT CHARACTER}"),
        ("subprocess.run(args=shlex.split('sh x.sh'))", "sh x.sh"),
        ("get_ipython().run_cell_magic('script', 'bash -e', 'sh x.sh')", "sh x.sh"),
    ],
)  # fmt: skip
def test_lines_for_the_shell_are_evaluated(source, expected):
    """Their variables are put in; what is computed is marked."""
    assert imports_of(source).commands[0].arguments == expected


def test_what_code_starts_starts_in_each_folder_that_it_enters():
    """Nobody can tell whether before or after it."""
    found = imports_of("os.system('sh x.sh')\nos.chdir('sub')").commands
    assert [command.folder.text for command in found] == [".", "sub"]


@pytest.mark.parametrize(
    "source",
    [
        "os.environ['PYTHONPATH'] = 'lib'",
        "run(x, env={**os.environ, 'PYTHONPATH': 'lib' + os.pathsep + old})",
        "dict(os.environ, PYTHONPATH=os.pathsep.join(['lib', old]))",
        "get_ipython().run_line_magic('env', 'PYTHONPATH=lib')",
    ],
)
def test_an_import_path_for_what_is_started_is_found(source):
    """However the variable is set."""
    assert imports_of(source).python_path == (Word("working", "lib"),)


def test_names_of_scripts_are_found_but_in_docstrings_and_where_they_are_written():
    """However they come to be started."""
    source = "'Run gen.py'\nSTEPS = {'a': 'sub/gen.py', 'b': 'sh x.sh', 'c': 'c.txt'}"
    source += "\nopen('new.py', 'w').write('1')\n(HERE / 'too.js').write_text('2')"
    assert imports_of(source).named == ("sub/gen.py",)


PARTS = st.lists(st.sampled_from(["a", "b", "..", "."]), min_size=1, max_size=5)


@given(PARTS)
def test_join_and_slash_mean_the_same(parts):
    """`os.path.join` and `Path` give one folder, that which Python's own normalisation gives."""
    joined = "os.path.join(os.path.dirname(__file__), " + ", ".join(map(repr, parts)) + ")"
    slashed = "str(Path(__file__).parent / " + " / ".join(map(repr, parts)) + ")"
    expected = (PathAddition("file", posixpath.normpath("/".join(parts))),)
    assert imports_of(f"sys.path.append({joined})").folders == expected
    assert imports_of(f"sys.path.append({slashed})").folders == expected
