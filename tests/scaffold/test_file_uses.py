"""Following the code of a notebook: what it opens is known as far as its text tells, and never guessed."""

from __future__ import annotations

import ast

import pytest

from nbmake_dag.scaffold.file_uses import file_uses
from nbmake_dag.scaffold.literals import trees_of
from nbmake_dag_cache.notebook import read_notebook


def _uses(*cells: str) -> tuple[list[str], list[str]]:
    """Return what cells read and what they write."""
    text = "\n\n".join(f"# %%\n{cell}" for cell in cells)
    uses = file_uses(trees_of(read_notebook(text.encode(), "a.py")))
    return [use.path for use in uses if use.mode == "read"], [use.path for use in uses if use.mode == "write"]


@pytest.mark.parametrize(
    ("code", "path"),
    [
        ("np.save('out/arr', x)", "out/arr.npy"),
        ("numpy.savez_compressed('arr', x)", "arr.npz"),
        ("np.save(Path('out') / 'arr.npy', x)", "out/arr.npy"),
        ("torch.save(x, 'out/arr')", "out/arr"),
        ("open('a[1].csv', 'w')", "a[[]1].csv"),
    ],
)
def test_a_file_is_declared_by_the_name_that_it_gets(code: str, path: str) -> None:
    """NumPy adds what is missing to a name; wildcards in one are escaped."""
    assert _uses(code) == ([], [path])


@pytest.mark.parametrize(
    ("code", "path"),
    [
        ("open('{}.csv'.format('a'))", "a.csv"),
        ("open('{name}_{n:03d}.csv'.format(name='a', n=7))", "a_007.csv"),
        ("open('data/%s_%02d.csv' % ('a', 7))", "data/a_07.csv"),
        ("n = 7\nopen(f'a{n:02d}.csv')", "a07.csv"),
        ("open('data' + os.sep + 'a.csv')", "data/a.csv"),
        ("open(os.path.join(os.pardir, 'a.csv'))", "../a.csv"),
        ("open(os.path.join(os.path.dirname(os.getcwd()), 'data', 'a.csv'))", "../data/a.csv"),
        ("open(os.path.abspath('../a.csv'))", "../a.csv"),
        ("root = Path.cwd().parent\nopen(root / 'data' / 'a.csv')", "../data/a.csv"),
        ("root = Path().resolve().parents[1]\nopen(root / 'a.csv')", "../../a.csv"),
        ("open(Path('a.txt').with_suffix('.csv'))", "a.csv"),
        ("open(Path('x/a.csv').parent / 'b.csv')", "x/b.csv"),
        ("DATA = os.environ.get('DATA', 'data')\nopen(f'{DATA}/a.csv')", "data/a.csv"),
        ("def data(name):\n    '''Say where.'''\n    return f'data/{name}'\nopen(data('a.csv'))", "data/a.csv"),
        ("data = lambda name: Path('data') / name\nopen(data('a.csv'))", "data/a.csv"),
        ("class Paths:\n    data = Path('data')\n    raw = data / 'a.csv'\nopen(Paths.raw)", "data/a.csv"),
        ("paths = {}\npaths['a'] = 'a.csv'\nopen(paths['a'])", "a.csv"),
        ("paths = dict(a='a.csv')\nopen(paths['a'])", "a.csv"),
        ("files = ['b.csv', 'a.csv']\nopen(files[-1])", "a.csv"),
        ("if (path := 'a.csv'):\n    open(path)", "a.csv"),
        ("for number, name in enumerate(['a.csv']):\n    open(name)", "a.csv"),
        ("for name, path in {'a': 'a.csv'}.items():\n    open(path)", "a.csv"),
        ("for a, b in zip(['a'], ['csv']):\n    open(f'{a}.{b}')", "a.csv"),
        ("for n, df in zip(['a'], frames()):\n    open(f'{n}.csv')", "a.csv"),
        ("for df, n in [(left, 'a')]:\n    open(f'{n}.csv')", "a.csv"),
        ("for n, df in {'a': left}.items():\n    open(f'{n}.csv')", "a.csv"),
        ("for n in range(1, 2):\n    open(f'a{n}.csv')", "a1.csv"),
        ("frames = [pd.read_csv(f'{name}.csv') for name in ['a']]", "a.csv"),
        ("frames = {n: pd.read_csv(p) for n, p in {'a': 'a.csv'}.items()}", "a.csv"),
        ("files = [f'{n}.csv' for n in ['a']]\nlist(map(pd.read_csv, files))\nopen(files[0])", "a.csv"),
        ("def load(name):\n    return pd.read_csv(f'{name}.csv')\npd.concat(map(load, ['a']))", "a.csv"),
        ("def load(path='a.csv'):\n    return pd.read_csv(path)\nload()", "a.csv"),
        ("def load(*, path='a.csv'):\n    return pd.read_csv(path)\nload()", "a.csv"),
        ("def main():\n    pd.read_csv('a.csv')\nrun(main)", "a.csv"),
        ("path = 'b.csv'\ndef load():\n    return open(path)\npath = 'a.csv'\nload()", "a.csv"),
        ("os.chdir('..')\nopen('a.csv')", "../a.csv"),
        ("%cd ../..\nopen('a.csv')", "../../a.csv"),
        ("h5py.File('a.h5', 'r')", "a.h5"),
        ("Image.open('a.png')", "a.png"),
        ("zipfile.ZipFile('a.zip')", "a.zip"),
        ("np.load(file='a.npy')", "a.npy"),
        ("open(file='a.csv')", "a.csv"),
        ("gpd.read_file('a.geojson')", "a.geojson"),
        ("xr.open_dataset('a.nc')", "a.nc"),
        ("%%time\nopen('a.csv')", "a.csv"),
        ("match kind:\n    case 1:\n        open('a.csv')", "a.csv"),
        ("async def load():\n    open('a.csv')\nawait load()", "a.csv"),
    ],
)
def test_ways_to_name_what_is_read(code: str, path: str) -> None:
    """However the path is put together from what the code says."""
    assert _uses(code) == ([path], [])


@pytest.mark.parametrize(
    "code",
    [
        "torch.save(model.state_dict(), 'a.out')",
        "pq.write_table(table, 'a.out')",
        "urllib.request.urlretrieve(url, 'a.out')",
        "urlretrieve(url, filename='a.out')",
        "np.savez(file='a.out', x=x)",
        "with pd.ExcelWriter('a.out') as writer:\n    df.to_excel(writer)",
        "with h5py.File('a.out', mode='w') as f: pass",
        "with tarfile.open('a.out', 'w:gz') as f: pass",
        "%%writefile a.out\ntext",
        "nx.write_graphml(graph, 'a.out')",
        "model.save('a.out')",
        "with rasterio.open('a.out', 'w', driver='GTiff') as f: pass",
    ],
)
def test_ways_to_name_what_is_written(code: str) -> None:
    """Libraries that name the file second, too."""
    assert _uses(code) == ([], ["a.out"])


@pytest.mark.parametrize(
    "code",
    [
        "path = 'a.csv'\nfor path in unknown():\n    open(path)",
        "path = 'a.csv'\nfor x in unknown():\n    path = other(x)\nopen(path)",
        "path = 'a.csv'\ntry:\n    pass\nexcept OSError:\n    path = 'b.csv'\nopen(path)",
        "path = 'a.csv'\nwhile more():\n    path += 'x'\nopen(path)",
        "path = 'a.csv'\nmatch kind:\n    case 1:\n        path = 'b.csv'\nopen(path)",
        "path = 'a.csv'\nif (path := other()):\n    open(path)",
        "path = 'a.csv'\nfrom settings import path\nopen(path)",
        "path = 'a.csv'\ndef path(): pass\nopen(path)",
        "paths = {'a': 'a.csv'}\npaths['a'] = other()\nopen(paths['a'])",
        "paths = {'a': 'a.csv'}\npaths.update(others)\nopen(paths['a'])",
        "paths = ['a.csv']\npaths[0] = other()\nopen(paths[0])",
        "paths = ['a.csv', 'b.csv']\npaths.reverse()\nopen(paths[0])",
        "class P:\n    path = 'a.csv'\nP.path = other()\nopen(P.path)",
        "os.chdir(other())\nopen('a.csv')",
        "os.chdir('~')\nopen('a.csv')",
        "def load(path):\n    return 1\nload('a.csv')",
        "[open(path) for path in unknown()]",
        "path = 'a.csv'\nfor path, n in [(unknown(), 1)]:\n    open(path)",
        "paths = ['a.csv', unknown()]\nopen(paths[1])\nopen('-'.join(paths))\nopen(f'{paths[1]}.csv')",
        "for a, b in zip(one(), two()):\n    open(a)",
        "frame.apply(lambda path: open(path))",
        "x = 'a.csv'\nx = x.replace('a', unknown())\nopen(x)",
        "'a.csv'.join(unknown)",
        "name.replace('a.csv', 'b.csv')",
        "os.environ['A'] = 'a.csv'",
        "print('{:>999999999}'.format('a.csv'))\nopen('%999999999d.csv' % 1)",
        "open('{0.__class__}.csv'.format(1))",
    ],
)
def test_what_only_running_would_tell_is_no_guess(code: str) -> None:
    """Where the code changes a name in an unknown way, it names nothing."""
    assert _uses(code) == ([], [])


@pytest.mark.parametrize(
    "code",
    [
        "x = 'a'\n" + "x = x + x\n" * 100 + "open(x + '.csv')",
        "x = ['a']\n" + "x = x + x\n" * 100 + "for y in x:\n    open(y)",
        "open(" + " + ".join(["'a'"] * 3000) + ")",
        "x = [[[i + j for i in range(999)] for j in range(999)] for k in range(999)]",
        "def f(x):\n    return g(x) + g(x)\ndef g(x):\n    return f(x) + f(x)\nopen(f('a.csv'))",
        "def f(x):\n" + "    f(x)\n" * 40 + "f('a')",
        "\n".join(f"{'  ' * depth}for x{depth} in range(50):" for depth in range(15)) + f"\n{'  ' * 15}pass",
        f"x = {'9' * 5000}\nopen(f'{{x}}.csv')",
        "lambda: " * 80 + "0",
    ],
)
def test_code_that_grows_without_end_is_left(code: str) -> None:
    """Doubling texts, loops in loops, functions that call each other: it ends, and other files are found."""
    assert _uses("open('before.csv')", code)[0][:1] == ["before.csv"]


def test_cells_that_do_not_parse_are_left_out() -> None:
    """The others count."""
    assert _uses("open('a.csv')", "print 'old'", "open('b.csv', 'w')") == (["a.csv"], ["b.csv"])
    assert file_uses([ast.parse("open('a.csv')")])[0].path == "a.csv"
