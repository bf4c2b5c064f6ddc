"""The span contract: the README's table is the code's, and keys do not overlap."""

from pathlib import Path

from nbmake_dag_reporting import schema

README = Path(__file__).parents[2] / "reporting" / "README.md"


def test_the_readme_shows_every_attribute() -> None:
    """The table in reporting/README.md is the one that the code has."""
    assert schema.markdown() in README.read_text(encoding="utf-8")


def test_every_constant_is_in_the_table_once() -> None:
    """A name is declared in one place."""
    names = [row.name for row in schema.TABLE]
    assert len(names) == len(set(names))


def test_no_attribute_is_a_level_above_another() -> None:
    """Tools that take dots for levels lose neither."""
    names = [row.name.removesuffix(".<name>") for row in schema.TABLE]
    assert [(a, b) for a in names for b in names if b.startswith(f"{a}.")] == []


def test_what_tells_of_the_machine_or_its_user_is_private() -> None:
    """The site leaves these out, and scrubs paths from texts, unless it is asked to publish the host."""
    assert {row.name for row in schema.TABLE if row.privacy == "private"} == {
        "cicd.pipeline.task.run.url.full",
        "host.cpu.model.name",
        "host.name",
        "nbdag.attempt.node",
        "os.version",
        "process.command_args",
        "process.owner",
        "process.pid",
        "process.working_directory",
    }
    assert {row.name for row in schema.TABLE if row.privacy == "paths"} == {
        "exception.message",
        "exception.stacktrace",
    }


def test_find_knows_families_of_names_and_nothing_else() -> None:
    """``nbdag.metric.auc`` is described by ``nbdag.metric.<name>``."""
    found = [schema.find(name) for name in ("nbdag.metric.auc", "service.name", "nbdag.metric", "else")]
    assert [row.name if row else None for row in found] == ["nbdag.metric.<name>", "service.name", None, None]
