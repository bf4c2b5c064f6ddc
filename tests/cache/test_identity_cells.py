"""What a Python cell executes, by IPython's own judgement."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from IPython.core.inputtransformer2 import TransformerManager

from nbmake_dag_cache.cells import executable, text_identity
from nbmake_dag_cache.digest import digest_text
from nbmake_dag_cache.ipython import transform_cell
from nbmake_dag_cache.syntax import parse, write_tree
from tests.support.examples import examples

INVALIDATES = {
    "statement": ("x = 1", "x = 2"),
    "trailing semicolon": ("f()", "f();"),
    "trailing semicolon before a comment": ("f()  # a", "f();  # a"),
    "trailing semicolon after an expression that is not ASCII": ("é", "é;"),
    "trailing semicolon after a line continuation": ("f()", "f()\\\n;"),
    "argument of a line magic": ("%time f(1)", "%time f(2)"),
    "line magic": ("%time f()", "%timeit f()"),
    "shell command": ("!ls", "!ls -l"),
    "captured shell command": ("x = !ls", "x = !pwd"),
    "cell magic": ("%%bash\nls", "%%sh\nls"),
    "arguments of a cell magic": ("%%bash\nls", "%%bash --bg\nls"),
    "body of a cell magic": ("%%bash\nls", "%%bash\nls # all"),
    "comment in a cell magic that runs Python": ("%%time\nf()", "%%time\nf() # a"),
    "help": ("f?", "f??"),
    "text that does not parse": ("a b", "a c"),
    "comment in text that does not parse": ("a b", "a b # c"),
}

DOES_NOT_INVALIDATE = {
    "comment": ("x = 1", "# a\nx = 1 # b"),
    "semicolon between statements": ("a; b", "a\nb"),
    "semicolon in a comment": ("f()", "f()  # ;"),
    "semicolon after an assignment": ("a = f()", "a = f();"),
    "semicolon in a block": ("if a: é", "if a: é;"),
    "indentation of the whole cell": ("a\nb", "  a\n  b"),
    "prompts": ("a\nif b:\n    c", ">>> a\n>>> if b:\n...     c"),
    "comment beside a magic": ("%time f()", "# a\n\n%time f()"),
    "code beside a magic": ("%time f()\ng( 1 )", "%time f()\ng(1)  # a"),
    "end of text that does not parse": ("a b", "a b  \n\n"),
}


@pytest.mark.parametrize(("one", "other"), [pytest.param(*pair, id=name) for name, pair in INVALIDATES.items()])
def test_what_runs_differently_differs(one, other):
    """Cells that IPython executes differently have different identities."""
    assert executable(one).identity != executable(other).identity


@pytest.mark.parametrize(
    ("one", "other"), [pytest.param(*pair, id=name) for name, pair in DOES_NOT_INVALIDATE.items()]
)
def test_what_runs_the_same_is_the_same(one, other):
    """Cells that IPython executes alike have the same identity."""
    assert executable(one).identity == executable(other).identity


@pytest.mark.parametrize(
    ("source", "counts"),
    [
        ("", False),
        ("# comment\n\n", False),
        ("pass", True),
        ("'text'", True),
        ("a b", True),
        ("%magic", True),
        ("  # c", False),
        ("/", True),
    ],
)
def test_cells_count_that_hold_a_statement_or_do_not_parse(source, counts):
    """A cell of comments does nothing; everything else is a boundary."""
    assert counts == executable(source).counts


FRAGMENTS = st.sampled_from([
    "x = 1", "  ", "\t", "", "\n", "'''", '"""', "%time", "%%bash", "!ls", "= !ls", "=!", "x = %pwd", "?",
    "f?", "??f", "/f", ",f a", ";f a", ";", "if x:", "    y", "(", ")", "[", "]", "{", "}", "f'", "'", '"',
    'f"{x=!r}"', "f\"{f')'=!r}\"", 'f"(', "#", "# what?", ">>> ", "... ", "...", "In [1]: ", "   ...: ",
    "[nav] In [2]: x", "\\\n", "\r\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u00a0", "é",
    "a != b", "a % b", "%", "/", "!", "=", "lambda:", ":", ",", "await f()", "@", "\n% x)", "\n, x)",
    "def f():", "return", "\n  \n", "b'\\d'",
])  # fmt: skip


@examples(1000)
@given(st.lists(FRAGMENTS | st.just("\n"), max_size=12).map("".join))
@example("x = '''a\n   \nb'''")
@example("x = 'a\\\n   \\\nb'")
@example("f\"{f')'=!r}\"")
@example("x = 'a\u2028!ls'")
@example("x = f(f')'\n% y)")
@example("x = {\n...: 1}")
@example("In [1]: x")
@example("x = '''\n>>> y'''")
@example("x = {\r...: 1}")
@example("  # indented\nx = '''\n  y'''")
def test_the_short_way_agrees_with_ipython(source):
    """Whether or not the transformation is loaded, the tree is that of the text that IPython makes."""
    try:
        transformed = TransformerManager().transform_cell(source)
    except Exception:  # noqa: BLE001 - whatever IPython raises
        expected = None
    else:
        expected = parse(transformed)
    tree = executable(source).tree
    assert (expected and write_tree(expected)) == (tree and write_tree(tree))


@given(st.lists(FRAGMENTS | st.just("\n"), max_size=8).map("".join))
def test_the_transformation_is_ipythons(source):
    """What is loaded without the rest of IPython does what IPython does."""

    def outcome(transform):
        try:
            return transform(source)
        except Exception as error:  # noqa: BLE001 - whatever IPython raises
            return repr(error)

    assert outcome(TransformerManager().transform_cell) == outcome(transform_cell)


def test_neither_plain_cells_nor_magics_import_ipython():
    """IPython takes long to import, so that only its transformation is loaded."""
    program = (
        "import sys; from nbmake_dag_cache.cells import executable\n"
        "executable('x = 1').identity; plain = 'codeop' in sys.modules\n"
        "executable('%time x').identity; print(plain, 'IPython' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert shown.stdout == "False False\n"


def test_text_is_not_mistaken_for_python():
    """The same characters as Python and as text are two things."""
    assert executable("x").identity != text_identity("x") != digest_text("x")
