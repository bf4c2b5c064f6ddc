"""A large repository of numbered notebooks, with folders below the root whose notebooks run in them."""

from __future__ import annotations

from tests.scaffold.research import Repository, joined

_CONFIG = "with open('00.configuration.json') as read_file:\n    config = json.load(read_file)"
_DOI = joined("data", "doi.tsv.xz") + "\ndoi_df = pandas.read_table(path, parse_dates=['issued'])"
_TITLES = joined("data", "title-map.tsv.xz") + "\ntitle_df = pandas.read_table(path)"

ARTICLES = Repository(
    kernel="conda-env-articles-py",
    kernels={"06.visualize.ipynb": "conda-env-articles-r"},
    files=("00.configuration.json", "data/types.tsv", "figure/.gitkeep", "download/libgen/readme.md"),
    edges={
        "2.summarize": "1.combine",
        "01.summarize-2017": "1.combine",
        "3.metadata": "2.summarize",
        "01.catalog": "1.retrieve 2.summarize",
        "02.coverage": "01.catalog",
        "03.access-rates": "01.catalog 1.combine",
        "04.lagtime": "01.catalog",
        "08.log-metrics": "01.catalog 2.summarize 3.metadata",
        "10.open-access": "01.catalog",
        "14.venns": "01.catalog 10.open-access",
        "casing": "01.catalog 2.summarize 1.retrieve",
        "venn": "01.catalog 1.retrieve 2.summarize",
    },
    notebooks={
        "download/logs/1.combine.ipynb": """
def read_logs(path):
    with zipfile.ZipFile(path) as archive:
        for month in months:
            path = f'logs/{month}.tab'
            with archive.open(path) as read_file:
                yield from csv.DictReader(read_file)

with lzma.open('logs_2015-2016.tsv.xz', 'wt') as write_file:
    rows = read_logs('logs.zip')
""",
        "download/logs/2.summarize.ipynb": """
log_df = pandas.read_table('logs_2015-2016.tsv.xz')

summary_df.to_csv('./logs-summary.tsv.xz', sep='\\t', compression='xz', index=False)
""",
        "download/logs/3.metadata.ipynb": """
logs_df = pandas.read_table('logs-summary.tsv.xz')

with lzma.open('metadata.tsv.xz', 'wt') as write_file:
    metadata_df.to_csv(write_file, sep='\\t', index=False)
""",
        "download/logs-2017/01.summarize-2017.ipynb": """
def rows_of(path):
    '''
    Return rows of logs_2015-2016.tsv.xz.
    '''
    with lzma.open(path, 'rt') as read_file:
        yield from csv.DictReader(read_file)

rows = itertools.chain(
    rows_of('../logs/logs_2015-2016.tsv.xz'),
)
month_df.to_csv('months.tsv', index=False, sep='\\t')
""",
        "download/dois/1.retrieve.ipynb": """
with open('doi.log', encoding='cp1252') as read_file:
    lines = list(read_file)

with lzma.open('dois.tsv.xz', 'wt') as write_file:
    write_file.writelines(sorted(lines))
""",
        "01.catalog.ipynb": f"""
{_CONFIG}

{joined("data", "types.tsv")}
type_df = pandas.read_table(path)

url = config['url'] + 'data/doi.tsv.xz'
issued = pandas.read_table(url, dtype={{'issued': str}})

{joined("data", "title-map.tsv.xz")}
titles_df.to_csv(path, sep='\\t', index=False, compression='xz')

{joined("download", "dois", "dois.tsv.xz")}
with lzma.open(path, 'rt') as read_file:
    next(read_file)
    dois = {{line.strip() for line in read_file}}

{joined("download", "logs", "logs-summary.tsv.xz")}
with lzma.open(path, 'rt') as read_file:
    reader = csv.DictReader(read_file, delimiter='\\t')

{joined("data", "doi.tsv.xz")}
(doi_df
    .sort_values('doi')
    .to_csv(path, sep='\\t', index=False, compression='xz')
)
""",
        "02.coverage.ipynb": f"""
{_CONFIG}

{_DOI}

{joined("data", "journals.tsv")}
journals_df.to_csv(path, index=False, sep='\\t', float_format='%.5g')

{_TITLES}
""",
        "03.access-rates.ipynb": f"""
{_DOI}

{joined("download", "logs", "logs_2015-2016.tsv.xz")}
logs_df = pandas.read_table(path, parse_dates=['date'])

{_TITLES}
""",
        "04.lagtime.ipynb": f"""
{_DOI}

{joined("download", "libgen", "tsv", "added.tsv.xz")}
libgen_df = pandas.read_table(path)

lag_df.to_csv(
    os.path.join('data', 'lagtime.tsv.xz'),
    sep='\\t',
)
""",
        "06.visualize.ipynb": "df = file.path('data', 'journals.tsv') %>% readr::read_tsv()",
        "08.log-metrics.ipynb": f"""
{_DOI}

{_TITLES}

{joined("download", "logs", "logs-summary.tsv.xz")}
logs_df = pandas.read_table(path)

{joined("download", "logs", "metadata.tsv.xz")}
metadata_df = (
    pandas.read_table(path)
)
""",
        "10.open-access.ipynb": """
def read_zenodo(name):
    url = f'https://zenodo.org/record/837902/files/{name}'
    return pandas.read_csv(url, encoding='latin_1')

crossref_df = read_zenodo('crossref_100k.csv.gz')

path = pathlib.Path('data/doi.tsv.xz')
article_df = pandas.read_table(path, compression='xz')

path = pathlib.Path('data/open-access.tsv')
coverage_df.to_csv(str(path), sep='\\t', index=False)
matplotlib.pyplot.savefig('figure/venns.svg', bbox_inches='tight')
""",
        "14.venns.ipynb": """
with pathlib.Path('00.configuration.json').open() as read_file:
    config = json.load(read_file)

path = pathlib.Path('data/doi.tsv.xz')
article_df = pandas.read_table(path, compression='xz')

path = pathlib.Path('data/manual-500.tsv')
access_df.to_csv(str(path), sep='\\t', index=False)

path = pathlib.Path('data/manual-500.tsv')
access_df = pandas.read_table(path)

oa_df = pandas.read_table('data/open-access.tsv', dtype={'venn': str})
""",
        "explore/casing.ipynb": """
path = os.path.join('..', 'data', 'doi.tsv.xz')
crossref_df = pandas.read_table(path, dtype={'issued': str})

path = os.path.join('..', 'download', 'logs', 'logs-summary.tsv.xz')
logs_df = pandas.read_table(path)

path = os.path.join('..', 'download', 'dois', 'dois.tsv.xz')
dois_df = pandas.read_table(path, names=['doi'])
""",
        "explore/venn/venn.ipynb": """
root = os.path.join('..', '..')

path = os.path.join(root, 'data', 'doi.tsv.xz')
with lzma.open(path, 'rt') as read_file:
    reader = csv.DictReader(read_file)

path = os.path.join(root, 'download', 'dois', 'dois.tsv.xz')
with lzma.open(path, 'rt') as read_file:
    dois = {line.strip() for line in read_file}

path = os.path.join(root, 'download', 'logs', 'logs-summary.tsv.xz')
with lzma.open(path, 'rt') as read_file:
    reader = csv.DictReader(read_file)

path = os.path.join('venn.svg')
plt.savefig(path, bbox_inches='tight')
""",
    },
)
