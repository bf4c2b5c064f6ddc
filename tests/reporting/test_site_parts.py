"""The pure parts of the site: layout, scrubbing, secrets."""

import base64
from itertools import pairwise
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmake_dag_reporting.layout import layout
from nbmake_dag_reporting.scrub import scrubber
from nbmake_dag_reporting.secrets_scan import SecretFoundError, Secrets, suspects
from nbmake_dag_reporting.site_page import page

graphs = st.integers(1, 14).flatmap(
    lambda size: st.lists(
        st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)).filter(lambda pair: pair[0] < pair[1]),
        max_size=30,
    ).map(lambda pairs: ([f"t{i}" for i in range(size)], [(f"t{a}", f"t{b}") for a, b in pairs]))
)


@given(graphs)
def test_edges_lead_to_the_right(graph) -> None:
    """Every edge leads through one point in each layer, from its task to the one that needs it."""
    nodes, edges = graph
    placed = layout(nodes, edges)
    for (start, end), points in placed.edges.items():
        assert (points[0], points[-1]) == (placed.nodes[start], placed.nodes[end])
        assert [point.x for point in points] == list(range(points[0].x, points[-1].x + 1))
        assert len(points) > 1


@given(graphs)
def test_tasks_do_not_overlap(graph) -> None:
    """Within a layer, whatever is drawn is at least a row apart."""
    nodes, edges = graph
    placed = layout(nodes, edges)
    inner = {point for points in placed.edges.values() for point in points[1:-1]}
    for x in range(placed.width):
        rows = sorted(point.y for point in (*placed.nodes.values(), *inner) if point.x == x)
        assert all(after - before > 0.99 for before, after in pairwise(rows))


@given(graphs)
def test_a_layout_is_always_the_same(graph) -> None:
    """The same graph is drawn the same way."""
    nodes, edges = graph
    assert layout(nodes, edges) == layout(nodes, list(edges))


def test_parallel_chains_do_not_cross() -> None:
    """A fan of chains, given in the worst order, is drawn without a crossing."""
    edges = [("a", "b3"), ("a", "b1"), ("a", "b2"), ("b1", "c1"), ("b2", "c2"), ("b3", "c3")]
    placed = layout(["a", "c1", "c2", "c3", "b3", "b1", "b2"], edges)
    rows = [(placed.nodes[f"b{i}"].y, placed.nodes[f"c{i}"].y) for i in (1, 2, 3)]
    assert [c for _, c in sorted(rows)] == sorted(c for _, c in rows)


def test_a_deep_graph_needs_no_recursion() -> None:
    """A chain of thousands of tasks is laid out."""
    names = [f"t{i}" for i in range(5000)]
    assert layout(names, list(pairwise(names))).width == 5000


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        ("/repo/notebooks/a.py", "notebooks/a.py"),
        ("in /repo, and /repo2/x", "in ., and /repo2/x"),
        ("file:///repo/a.html", "a.html"),
        ("/home/ada/.cache/x.bin", "…/x.bin"),
        ("'/usr/lib/python3.12/site-packages/numpy/core.py'", "'numpy/core.py'"),
        ("https://example.org/home/ada/x", "https://example.org/home/ada/x"),
        ("data/home/x and 1/2", "data/home/x and 1/2"),
        ("/tmp", "…/tmp"),
    ],
)
def test_absolute_paths_are_shortened(text: str, scrubbed: str) -> None:
    """Paths below the project are relative, others keep their last part, addresses stay."""
    assert scrubber("/repo")(text) == scrubbed


@given(st.text(min_size=8, max_size=40), st.binary(max_size=5), st.binary(max_size=5))
def test_secrets_are_found_as_they_are_encoded(secret: str, before: bytes, after: bytes) -> None:
    """A secret is found in any bytes around it: plain, percent-encoded, and in base64 at any place."""
    secrets = Secrets({"TOKEN": secret})
    data = secret.encode()
    for form in (
        before + data + after,
        quote(data, safe="").encode(),
        base64.b64encode(before + data + after),
        base64.urlsafe_b64encode(before + data + after),
    ):
        with pytest.raises(SecretFoundError):
            secrets.refuse(form, "here")


def test_short_values_are_not_looked_for() -> None:
    """A secret of a few characters would be found everywhere."""
    Secrets({"TOKEN": "dev"}).refuse(b"a developer", "here")


def test_names_that_say_secret_are_suspects() -> None:
    """Variables are taken for secrets by how their names end."""
    environ = {"GITHUB_TOKEN": "1", "API_KEY": "2", "KEYBOARD": "3", "DB_PASSWORD": "4", "HOME": "5"}
    assert set(suspects(environ)) == {"GITHUB_TOKEN", "API_KEY", "DB_PASSWORD"}


def test_rows_of_which_some_columns_are_short_or_absent_are_shown() -> None:
    """A damaged index costs values, not the page."""
    first = {"id": "r1", "started": 1000, "result": "success", "pipeline": "x"}
    rows: list[dict[str, Any]] = [first, {"id": "r2", "started": None}, {"id": None}]
    text = page(rows, "1", "2")
    assert text.index("<td>r1") < text.index("<td>r2")
    assert text.count("<tr><td>") == 2


@pytest.mark.timeout(60)
def test_a_long_path_of_a_package_is_read_in_linear_time() -> None:
    """Its end is kept whole, however long that is."""
    end = "a" * 1_000_000
    assert scrubber(None)(f"/usr/lib/site-packages/b/site-packages/{end}") == end
