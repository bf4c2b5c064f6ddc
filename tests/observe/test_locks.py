"""What lock files select, read without the tools that write them, and those that are refused."""

from __future__ import annotations

from textwrap import dedent

import pytest

from nbmake_dag.observe.locks.lock_file import select
from nbmake_dag.observe.locks.selection import LockError, Wanted

A, B, C = ("sha256:" + letter * 64 for letter in "abc")
AT = "https://example.org/"
EVIL = "https://evil"
OPTION = "--find-links"
PY311 = Wanted(python=(3, 11))

UV = """
    version = 1
    requires-python = ">=3.10"

    [[package]]
    name = "app"
    source = { editable = "." }
    dependencies = [
        { name = "sibling" },
        { name = "plain", extra = ["fast"] },
        { name = "old", marker = "python_full_version < '3.11'" },
        { name = "windows", marker = "sys_platform == 'win32'" },
        { name = "forked", version = "1.0", marker = "extra == 'extra-3-app-one'" },
        { name = "forked", version = "2.0", marker = "extra != 'extra-3-app-one'" },
    ]
    [package.optional-dependencies]
    one = [{ name = "extra-one" }]
    [package.dev-dependencies]
    train = [{ name = "trainer" }]

    [[package]]
    name = "sibling"
    source = { directory = "lib/sibling" }
    dependencies = [{ name = "of-sibling" }]
"""


def uv_package(name: str, version: str = "1.0", more: str = "") -> str:
    file = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    return dedent(
        f"""
        [[package]]
        name = "{name}"
        version = "{version}"
        source = {{ registry = "{AT}" }}
        wheels = [{{ url = "{AT}{file}", hash = "{A}" }}]
        {more}
        """
    )


def whole_uv() -> str:
    fast = '[package.optional-dependencies]\nfast = [{ name = "faster" }, { name = "plain" }]'
    names = ("old", "windows", "extra-one", "trainer", "of-sibling", "faster")
    forks = uv_package("forked", "1.0") + uv_package("forked", "2.0")
    return dedent(UV) + uv_package("plain", more=fast) + forks + "".join(map(uv_package, names))


def selected(text: str, name: str = "uv.lock", wanted: Wanted = PY311, *, kernel: bool = False) -> dict[str, str]:
    return {found.name: found.version for found in select(text.encode(), name, wanted, kernel=kernel)}


def test_a_uv_lock_is_walked_from_the_project_and_projects_are_left_out():
    """Markers, extras, groups, forks and conflicts count; what nothing leads to does not."""
    always = {"plain": "1.0", "faster": "1.0", "of-sibling": "1.0"}
    assert selected(whole_uv()) == {**always, "forked": "2.0"}
    more = Wanted(python=(3, 10), groups=("train",), extras=("one",))
    assert selected(whole_uv(), wanted=more) == {
        **always,
        "forked": "1.0",
        "old": "1.0",
        "extra-one": "1.0",
        "trainer": "1.0",
    }


def test_the_wheel_that_fits_best_counts_and_is_asked_for_by_its_address_and_hash():
    """One for the processor is better than one for all, and one for another Python is none."""
    wheels = {
        "deep-1.0-py3-none-any.whl": A,
        "deep-1.0-cp311-cp311-manylinux_2_5_x86_64.manylinux_2_5_aarch64.whl": B,
        "deep-1.0-cp312-cp312-manylinux_2_5_x86_64.manylinux_2_5_aarch64.whl": C,
    }
    listed = "".join(f'{{ url = "{AT}{name}", hash = "{digest}" }},' for name, digest in wheels.items())
    root = (
        'version = 1\n[[package]]\nname = "app"\nsource = { virtual = "." }\ndependencies = [{ name = "deep" }]\n'
    )
    lock = f'{root}[[package]]\nname = "deep"\nversion = "1.0"\nsource = {{}}\nwheels = [{listed}]\n'
    (found,) = select(lock.encode(), "uv.lock", PY311, kernel=False)
    assert found.requirement == f"deep @ {AT}{list(wheels)[1]} --hash={B}"
    assert found.identity == f"1.0 {B}"


def test_requirements_with_hashes_are_read_as_pip_reads_them():
    """Continued lines, comments, markers and extras; the order of hashes says nothing."""
    text = f"""
        # a comment
        One==1.0 \\
            --hash={A} \\
            --hash={B}
            # via two
        two[x]==2.0 ; python_version >= "3.11" --hash={A}  # why
        three==3.0 ; sys_platform == "win32" \\
            --hash={C}
    """
    assert selected(text, "requirements.txt") == {"one": "1.0", "two": "2.0"}
    turned = text.replace(A, "X").replace(B, A).replace("X", B).replace(f"== 2.0 --hash={B}", "")
    first = {found.name: found.identity for found in select(text.encode(), "r.txt", PY311, kernel=False)}
    again = {found.name: found.identity for found in select(turned.encode(), "r.txt", PY311, kernel=False)}
    assert first["one"] == again["one"]


def test_a_pylock_is_selected_as_the_standard_says():
    """Its groups are those that are named, beside those that it has by default."""
    package = f'{{ url = "{AT}one-1.0-py3-none-any.whl", hashes = {{ sha256 = "{"a" * 64}" }} }}'
    text = dedent(
        f"""
        lock-version = "1.0"
        created-by = "test"
        dependency-groups = ["train"]
        [[packages]]
        name = "one"
        version = "1.0"
        marker = "'train' in dependency_groups"
        wheels = [{package}]
        [[packages]]
        name = "project"
        directory = {{ path = "." }}
        """
    )
    assert selected(text, "pylock.toml") == {}
    assert selected(text, "pylock.toml", Wanted(python=(3, 11), groups=("train",))) == {"one": "1.0"}


def test_notebooks_get_the_ipykernel_that_nbdag_was_tested_with_where_none_is_locked():
    """What is locked stays as it is; one that is locked is enough."""
    text = f"tornado==6.1 --hash={A}\n"
    found = selected(text, "requirements.txt", kernel=True)
    assert found["tornado"] == "6.1"
    assert {"ipykernel", "ipython", "pyzmq"} <= found.keys()
    own = f"ipykernel==6.29.0 --hash={A}\n"
    assert selected(own, "requirements.txt", kernel=True) == {"ipykernel": "6.29.0"}


ROOT = 'version = 1\n[[package]]\nname = "app"\nsource = { virtual = "." }\ndependencies = [{ name = "x" }]\n'
X = f'[[package]]\nname = "x"\nversion = "1.0"\nsource = {{}}\nwheels = [{{ url = "{AT}x-1.0-py3-none-any.whl"'
HOSTILE = {
    "no TOML": ("uv.lock", "version = [", "is not TOML"),
    "no lock": ("uv.lock", 'version = "1"', "is no lock file of uv"),
    "another format": ("uv.lock", "version = 2", "has the format 2"),
    "no project": ("uv.lock", "version = 1", "names no project"),
    "another Python": ("uv.lock", ROOT.replace("\n", '\nrequires-python = "<3"\n', 1), "is for Python <3"),
    "what nothing has": ("uv.lock", ROOT, "needs `x`, which it has 0 times"),
    "no hash": ("uv.lock", f"{ROOT}{X} }}]", "does not pin `x` with a hash"),
    "a weak hash": ("uv.lock", f'{ROOT}{X}, hash = "md5:{"a" * 32}" }}]', "does not pin `x` with a hash"),
    "git": (
        "uv.lock",
        f"{ROOT}{X} }}]".replace("{}", '{ git = "https://g" }').partition("wheels")[0],
        "does not pin",
    ),
    "a wheel of another": (
        "uv.lock",
        f'{ROOT}{X}, hash = "{A}" }}]'.replace("x-1.0-py3", "evil-1.0-py3"),
        "has the wheel `evil-1.0-py3-none-any.whl` for `x` 1.0",
    ),
    "a file of this machine": (
        "uv.lock",
        f'{ROOT}{X}, hash = "{A}" }}]'.replace(AT, "file:///etc/"),
        "which is not an address of http or https",
    ),
    "an address with a line in it": (
        "uv.lock",
        f'{ROOT}{X}, hash = "{A}" }}]'.replace(AT, f"https://e\\n{OPTION}={EVIL}/"),
        "which is not an address of http or https",
    ),
    "a name with an option": ("uv.lock", ROOT.replace('"x"', '"-r /etc/passwd"'), "which is none"),
    "no wheel": (
        "uv.lock",
        f'{ROOT}{X}, hash = "{A}" }}]'.replace("py3-none-any", "cp27-none-any"),
        "has no wheel of `x` 1.0 for Python 3.11 on this machine",
    ),
    "a marker that is none": ("uv.lock", ROOT.replace('"x" }', '"x", marker = "import os" }'), "cannot be read"),
    "a deep marker": (
        "uv.lock",
        ROOT.replace('"x" }', f'"x", marker = "{"(" * 5000}os_name == \'a\'{")" * 5000}" }}'),
        "cannot be read",
    ),
    "an option": ("r.txt", f"{OPTION} {EVIL}\n", f"has the option `{OPTION}` in line 1"),
    "another file": ("r.txt", f"\n-r other.txt --hash={A}", "has the option `-r` in line 2"),
    "no version": ("r.txt", f"x --hash={A}", "does not pin `x` with a hash"),
    "a range": ("r.txt", f"x==1.0,<2 --hash={A}", "does not pin `x` with a hash"),
    "two versions": ("r.txt", f"x==1.0 --hash={A}\nx==2.0 --hash={A}", "selects `x` twice: 1.0 and 2.0"),
    "an option of a package": ("r.txt", f"x==1 --hash={A} --config-settings=a", "`--config-settings=a` in line 1"),
    "no requirement": ("r.txt", "!!!", "has `!!!` in line 1, which is no requirement"),
    "an old kernel": (
        "r.txt",
        f"ipykernel==5.0 --hash={A}",
        "has ipykernel 5.0, and notebooks need 6.29 or newer",
    ),
    "a pylock without packages": ("pylock.toml", 'lock-version = "1.0"', "cannot be used"),
    "bytes": ("r.txt", "\udcff", "is not UTF-8"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_lock_file_that_pins_nothing_or_lies_is_refused(case: str):
    """Each with what is wrong; nothing of it reaches a command line."""
    name, text, what = HOSTILE[case]
    with pytest.raises(LockError) as refused:
        select(text.encode(errors="surrogateescape"), name, PY311, kernel=True)
    assert what in refused.value.what
    assert refused.value.what.isprintable()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("r.txt", f"{OPTION}={EVIL}/".replace("://", "://user:word@")),
        ("r.txt", f"x @ git+https://word@h/x --hash={A}"),
        ("r.txt", f"x @ ftp://user:word@h/x-1.0-py3-none-any.whl --hash={A}"),
        ("r.txt", "x https://user:word@h/x"),
        ("r.txt", f"x==1 --hash={A} --find-links=https://user:word@h/"),
        ("uv.lock", f'{ROOT}{X}, hash = "{A}" }}]'.replace("https://", "ftp://user:word@")),
        ("pylock.toml", 'lock-version = "https://user:word@h"\ncreated-by = "x"\npackages = []'),
    ],
)
def test_no_complaint_has_the_password_of_an_address(name: str, text: str):
    """It is shown on terminals and in the logs of CI systems."""
    with pytest.raises(LockError) as refused:
        select(text.encode(), name, PY311, kernel=True)
    assert "word" not in f"{refused.value.what} {refused.value.hint}"


def test_a_mark_of_the_order_of_bytes_is_no_part_of_the_text():
    """Editors of Windows write one."""
    found = select(f"\ufefftornado==6.1 --hash={A}".encode(), "r.txt", PY311, kernel=False)
    assert [each.name for each in found] == ["tornado"]


def test_a_circle_of_packages_ends():
    """Dependencies may go round, also by extras."""
    circle = 'dependencies = [{ name = "b" }, { name = "a", extra = ["x"] }]\n'
    circle += '[package.optional-dependencies]\nx = [{ name = "a" }]'
    lock = ROOT.replace('"x"', '"a"') + uv_package("a", more=circle)
    lock += uv_package("b", more='dependencies = [{ name = "a" }]')
    assert selected(lock) == {"a": "1.0", "b": "1.0"}


def test_building_is_allowed_explicitly():
    """Then the source's hash counts, where no wheel fits."""
    lock = f'{ROOT}[[package]]\nname = "x"\nversion = "1"\nsource = {{}}\n'
    lock += f'sdist = {{ url = "{AT}x-1.tar.gz", hash = "{B}" }}\n'
    (found,) = select(lock.encode(), "uv.lock", Wanted(python=(3, 11), build=True), kernel=False)
    assert found.identity == f"1 {B}"
    with pytest.raises(LockError, match="has no wheel"):
        select(lock.encode(), "uv.lock", PY311, kernel=False)
