"""Suggestions for mistyped words."""

from nbmake_dag.core.suggest import closest, did_you_mean


def test_the_closest_word_is_suggested():
    """One letter missing, swapped or added still finds the word."""
    known = ["outputs", "inputs", "timeout", "tags"]
    assert [closest(word, known) for word in ["ouputs", "inptus", "timeoutt", "Tags"]] == [
        "outputs",
        "inputs",
        "timeout",
        "tags",
    ]


def test_nothing_is_suggested_for_another_word():
    """No hint is better than a wrong one."""
    assert closest("resources", ["outputs", "inputs"]) is None
    assert did_you_mean("resources", ["outputs", ""]) == ""
    assert did_you_mean("outptus", ["outputs"]) == "did you mean `outputs`?"
