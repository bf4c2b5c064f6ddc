"""Names, number and order of instances."""

from hypothesis import given
from hypothesis import strategies as st

from nbmake_dag.config.matrix import count, instance_name, name_fault, points
from nbmake_dag.core.model import Value

points_of_a_matrix = st.dictionaries(
    st.sampled_from(["a", "b", "ab"]),
    st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text("1ab,=[]\" '\\")
    | st.lists(st.integers()),
    max_size=3,
)


def typed(point):
    return {key: (type(value), repr(value)) for key, value in point.items()}


@given(points_of_a_matrix, points_of_a_matrix)
def test_instances_of_different_values_have_different_names(first, second):
    """The name of an instance says its values, their types included."""
    same_name = instance_name("t", first) == instance_name("t", second)
    assert same_name == (typed(first) == typed(second))


def test_a_name_has_sorted_keys_and_values_as_in_toml():
    """`x=1` is not `x="1"`, and the order of keys in the file does not matter."""
    assert instance_name("train", {"seed": 1, "lr": 0.1}) == "train[lr=0.1,seed=1]"
    assert instance_name("train", {"x": "1", "y": "a"}) == 'train[x="1",y=a]'
    assert instance_name("train", {}) == "train"


def test_points_come_in_the_order_of_the_file():
    """The last key varies fastest, as in nested loops."""
    matrix: dict[str, list[Value]] = {"b": [2, 1], "a": ["x", "y"]}
    assert list(points(matrix)) == [
        {"b": 2, "a": "x"},
        {"b": 2, "a": "y"},
        {"b": 1, "a": "x"},
        {"b": 1, "a": "y"},
    ]
    assert (count(matrix), count({}), count({"a": []})) == (4, 1, 0)


@given(st.text(max_size=5), points_of_a_matrix)
def test_no_task_can_have_the_name_of_an_instance(family, point):
    """Names with the brackets of instances are refused."""
    if point:
        assert name_fault(instance_name(family, point)) is not None


def test_ordinary_names_are_names():
    """Letters of any script, emoji, spaces within, dots and dashes are fine."""
    names = ["train", "train-2.1", "größe", "🚀", "a b", "..x", "x" * 255]
    assert [name_fault(name) for name in names] == [None] * len(names)
    assert name_fault("é" * 128) == "has more than 255 bytes"
    assert name_fault(" a") == "begins or ends with a space"
