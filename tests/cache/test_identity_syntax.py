"""The identity of Python source."""

from __future__ import annotations

import ast
import sys
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from nbmake_dag_cache.syntax import parse, python_identity, write_tree

GOLDEN = tomllib.loads((Path(__file__).parent / "golden/python_identity.toml").read_text("utf-8"))["snippet"]


def _parses_here(snippet: dict[str, str]) -> bool:
    return tuple(map(int, snippet.get("since", "3.11").split("."))) <= sys.version_info[:2]


@pytest.mark.parametrize("snippet", [pytest.param(each, id=each["name"]) for each in GOLDEN if _parses_here(each)])
def test_every_python_gives_the_golden_digest(snippet):
    """A snippet has the digest on file, whichever Python reads it."""
    assert snippet["digest"] == python_identity(snippet["source"])


def test_golden_digests_differ():
    """No two of the snippets are mistaken for each other."""
    assert len(GOLDEN) == len({snippet["digest"] for snippet in GOLDEN})


INVALIDATES = {
    "type of a constant: int, float": ("x = 1", "x = 1.0"),
    "type of a constant: int, bool": ("x = 1", "x = True"),
    "type of a constant: int, complex": ("x = 1", "x = 1j"),
    "type of a constant: text, bytes": ("x = '1'", "x = b'1'"),
    "type of a constant: int, text": ("x = 1", "x = '1'"),
    "text that spells a constant": ("x = None", "x = 'None'"),
    "sign of zero": ("x = 0.0", "x = -0.0"),
    "infinity": ("x = 1e308", "x = 1e309"),
    "ints beyond the digits that Python prints": (f"x = 0x1{'0' * 5000}", f"x = 0x1{'0' * 5001}"),
    "docstring": ("def f():\n    'a'", "def f():\n    'b'"),
    "name": ("x = a", "x = b"),
    "import alias": ("import a", "import a as b"),
    "relative import": ("from . import a", "from .. import a"),
    "order of statements": ("a()\nb()", "b()\na()"),
    "nesting": ("if a:\n    b\nc", "if a:\n    b\n    c"),
    "else": ("for a in b: c\nelse: d", "for a in b: c\nd"),
    "a tuple for a name": ("x = a", "x = a,"),
    "annotation without a target": ("x: int", "(x): int"),
    "async comprehension": ("[a for a in b]", "[a async for a in b]"),
    "an f-string for text": ("x = 'a'", "x = f'a'"),
    "conversion in an f-string": ("f'{a}'", "f'{a!s}'"),
    "text that imitates the writing of trees": ("f(a, 's1:b')", "f(a, 'b')"),
    "white space inside a string": ("x = 'a b'", "x = 'a  b'"),
    "text that does not parse": ("a b", "a  b"),
    "None as a key for unpacking": ("{None: a}", "{**a}"),
    "floats whose digits join": ("x = [1.5, 20.5]", "x = [1.52, 0.5]"),
    "bytes whose digits join": ("x = [1, b'']", "x = [0x1b]"),
    "position of an unpacked dict": ("{**a, 1: 2}", "{1: 2, **a}"),
    "required keyword": ("def f(*, a): 0", "def f(*, a=None): 0"),
}

DOES_NOT_INVALIDATE = {
    "comment": ("x = 1", "# one\nx = 1  # two\n"),
    "blank lines": ("a\nb", "\n\na\n\n\nb\n\n"),
    "white space": ("f(a,b)", "f( a , b )"),
    "quotes": ("x = 'a'", 'x = """a"""'),
    "adjacent strings": ("x = 'a' 'b'", "x = 'ab'"),
    "pieces of f-strings": ("x = 'a' f'b{c}' 'd'", "x = f'ab{c}d'"),
    "empty format": ("f'{a:}'", "f'{a}'"),
    "digits": ("x = 1_000", "x = 0x3E8"),
    "brackets": ("x = a + b", "x = (a +\n     (b))"),
    "semicolons": ("a; b", "a\nb"),
    "type comment": ("x = []", "x = []  # type: list[int]"),
    "prefix u": ("x = u'a'", "x = 'a'"),
    "line ends": ("if a:\n    '''b\nc'''\n", "if a:\r\n    '''b\r\nc'''\r\n"),
    "end of the file": ("x = 1", "x = 1\n"),
    "encoding": ("x = 'é'", "# coding: latin-1\nx = 'é'".encode("latin-1")),
    "byte order mark": ("x = 1", b"\xef\xbb\xbfx = 1"),
}


@pytest.mark.parametrize(("one", "other"), [pytest.param(*pair, id=name) for name, pair in INVALIDATES.items()])
def test_what_runs_differently_differs(one, other):
    """Code with another meaning has another identity."""
    assert python_identity(one) != python_identity(other)


@pytest.mark.parametrize(
    ("one", "other"), [pytest.param(*pair, id=name) for name, pair in DOES_NOT_INVALIDATE.items()]
)
def test_what_runs_the_same_is_the_same(one, other):
    """Formatting and comments do not count."""
    assert python_identity(one) == python_identity(other)


@pytest.mark.parametrize(
    "source",
    [
        "+".join("a" * 2500),
        "(" * 5000 + ")" * 5000,
        "-" * 100_000 + "1",
        "x = '\ud800'",
        "\0",
        b"\xff",
        "a" * 10**6,
    ],
    ids=["long sum", "brackets", "signs", "surrogate", "NUL", "not UTF-8", "long name"],
)
def test_any_text_has_an_identity(source):
    """Depth, size and broken text are no error, and the identity is stable."""
    assert python_identity(source) == python_identity(source)


def test_an_invalid_escape_gives_no_warning(recwarn):
    """Reading the user's code says nothing about it."""
    python_identity("x = '\\d'; 1 is 1")
    assert list(recwarn) == []


LEAVES = st.one_of(
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False, min_value=0),
    st.booleans(),
    st.none(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.just(...),
)
EXPRESSIONS = st.recursive(
    LEAVES.map(ast.Constant) | st.sampled_from("abc").map(ast.Name),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from([ast.Add(), ast.Pow(), ast.MatMult()]), inner).map(
            lambda parts: ast.BinOp(*parts)
        ),
        st.lists(inner, max_size=3).map(ast.List),
        st.lists(inner, max_size=3).map(ast.Tuple),
        st.tuples(inner, st.lists(inner, max_size=2)).map(lambda parts: ast.Call(parts[0], parts[1], [])),
        st.tuples(inner, inner, inner).map(lambda parts: ast.IfExp(*parts)),
    ),
    max_leaves=12,
)


def _source(expression: ast.expr) -> str:
    return ast.unparse(ast.fix_missing_locations(ast.Expression(expression)))


@given(EXPRESSIONS)
def test_code_written_anew_is_the_same(expression):
    """What `ast.unparse` makes of code has the identity of the code."""
    source = f"x = {_source(expression)}"
    tree = parse(source)
    assume(tree is not None)
    assert tree is not None
    spaced = f"# comment\n\nx = (\n  {_source(expression)}\n)  # comment"
    assert python_identity(source) == python_identity(ast.unparse(tree)) == python_identity(spaced)


@given(EXPRESSIONS, EXPRESSIONS)
def test_identities_agree_with_trees(one, other):
    """Two expressions are written alike exactly if `ast.dump` writes them alike."""
    trees = [tree for expression in (one, other) if (tree := parse(_source(expression)))]
    assume(len(trees) == 2)
    assert (ast.dump(trees[0]) == ast.dump(trees[1])) == (write_tree(trees[0]) == write_tree(trees[1]))


def test_no_constant_begins_like_another():
    """So that no list of them is written like another list."""
    numbers = [*range(300), *(number / 100 for number in range(300)), *(number / 10 * 1j for number in range(300))]
    texts = ["", "s", "1", "12", "s1:", b"", b"\0", b"\0\1", b"\x1b"]
    written = sorted(write_tree(ast.Constant(value)) for value in [*numbers, *texts, None, True, False, ...])
    assert [pair for pair in pairwise(written) if pair[1].startswith(pair[0])] == []


@given(LEAVES, LEAVES)
def test_constants_are_typed(one, other):
    """Two constants are the same exactly if value and type are."""
    same = (type(one), one) == (type(other), other)
    assert same == (python_identity(f"f({one!r})") == python_identity(f"f({other!r})"))
