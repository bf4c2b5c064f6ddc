"""Lines of keys: where the scanner finds them, and that it finds what the parser does."""

import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from nbmake_dag.config.lines import TooDeepError, scan

TEXT = '''\
# [no.table]
top = 1

[a] # comment
x = [
  "]", # ]
  [1, { y = "\\"" }],
]
"quoted \\u0041.key" = """
b = 1
[b]
""\\"""""
'lite.ral' = \'\'\'
c = 1''\'\'\'
d.e . f = 1979-05-27 07:32:00
[a."b.c".d]
z = { p = 1, q.r = "#" } # z
[[list]]
w = 1
[[list]]
w = 2
'''


def test_each_key_has_its_line():
    """Comments, brackets in strings, quoted and dotted keys, and strings of several lines do not mislead."""
    assert tomli.loads(TEXT)
    assert scan(TEXT).numbers == {
        ("top",): 2,
        ("a",): 4,
        ("a", "x"): 5,
        ("a", "quoted A.key"): 9,
        ("a", "lite.ral"): 13,
        ("a", "d"): 15,
        ("a", "d", "e"): 15,
        ("a", "d", "e", "f"): 15,
        ("a", "b.c"): 16,
        ("a", "b.c", "d"): 16,
        ("a", "b.c", "d", "z"): 17,
        ("list",): 18,
        ("list", "w"): 19,
    }


def test_what_has_no_line_has_that_of_what_holds_it():
    """A key of an inline table stands on the line of the table."""
    lines = scan(TEXT)
    assert lines.of(("a", "b.c", "d", "z", "q", "r")) == 17
    assert lines.of(("nowhere",)) == 1


keys = st.sampled_from(["a", "b", "c-d", '"q.[1]"', "'l = 1'"])
values = st.recursive(
    st.sampled_from(
        ["1", "-1.5e3", "true", '"#]}"', "'[{'", '"""\n[x]\n"""', "'''\na = 1\n'''", "1979-05-27 07:32:00"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: "[\n" + ", # ]\n".join(items) + "\n]")
        | st.tuples(keys, inner).map(lambda pair: f"{{ {pair[0]} = {pair[1]} }}")
    ),
    max_leaves=5,
)
statements = st.tuples(st.lists(keys, min_size=1, max_size=3), values)
tables = st.tuples(st.lists(keys, max_size=3), st.lists(statements, max_size=4))


@given(st.lists(tables, max_size=4))
def test_every_key_that_the_parser_finds_has_a_line(document):
    """Scanner and parser agree on the keys of any document."""
    text = ""
    for header, pairs in document:
        text += f"[{'.'.join(header)}]\n" if header else ""
        text += "".join(f"{' . '.join(key)} = {value} # x\n" for key, value in pairs)
    try:
        parsed = tomli.loads(text)
    except tomli.TOMLDecodeError:
        return
    found = scan(text).numbers
    pending = [((key,), value) for key, value in parsed.items()]
    first_level = {path for path, _ in pending}
    assert {path[:1] for path in found} == first_level
    for path in found:
        inner = parsed
        for key in path:
            inner = inner[key]


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "[" * 32,
        "x = {a={b.c = 1" + ".d" * 40,
        ".".join("a" * 33) + " = 1",
        "[" + ".".join("a" * 33) + "]",
    ],
)
def test_depth_is_limited_before_parsing(text):
    """33 levels are refused, in arrays, tables, dotted keys and headers, even in a text that ends there."""
    with pytest.raises(TooDeepError):
        scan("\n" + text)


def test_thirty_two_levels_are_enough():
    """Dotted keys, headers and arrays up to the limit are scanned."""
    text = "[" + ".".join("a" * 16) + "]\n" + ".".join("b" * 8) + " = " + "[" * 8 + "]" * 8 + "\n"
    assert tomli.loads(text)
    assert len(scan(text).numbers) == 24
