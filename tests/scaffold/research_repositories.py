"""Repositories of notebooks as researchers publish them, with the edges between their notebooks that readers find.

Each has the habits of one kind of repository: one name for every file (`path = ...`), folders below the root whose
notebooks run in them, numbered notebooks, kernels that only the authors have, data that is not in the repository.
"""

from __future__ import annotations

from tests.scaffold.research import Repository
from tests.scaffold.research_articles import ARTICLES

TUMOURS = Repository(
    kernel="conda-env-tumours-py",
    files=("mapping/diseases.tsv", "download/readme.md", "data/.gitkeep"),
    edges={"2.process": "map-genes", "3.explore": "2.process", "4.covariates": "2.process"},
    notebooks={
        "1.download.ipynb": """
import os
from urllib.request import urlretrieve

for name in names:
    path = os.path.join('download', name + '.json')
    urlretrieve(url, path)
""",
        "mapping/genes/map-genes.ipynb": """
path = "../../download/expression.tsv.bz2"
expr_df = pandas.read_table(path, index_col=0)

gene_df = pandas.read_table(url)
gene_df.to_csv('gene-map.tsv', index=False, sep='\\t')
""",
        "2.process.ipynb": """
path = os.path.join('mapping', 'diseases.tsv')
disease_df = pandas.read_table(path)

path = os.path.join('download', 'survival.tsv.gz')
clinmat_df = (
    pandas.read_table(path)
    .rename(columns={'age_at_diagnosis': 'age'})
)

path = os.path.join('mapping', 'genes', 'gene-map.tsv')
gene_map_df = pandas.read_table(path, dtype='str')

path = os.path.join('data', 'samples.tsv')
sample_df.to_csv(path, sep='\\t', float_format='%.0f', index=False)

tsv_args = {'sep': '\\t', 'float_format': '%.3g'}
for df, name in [(expr_df, 'expression-matrix'), (mutation_df, 'mutation-matrix')]:
    path = os.path.join('data', name + '.tsv.bz2')
    df.to_csv(path, **tsv_args, compression='bz2')
""",
        "3.explore.ipynb": """
path = os.path.join('data', 'mutation-matrix.tsv.bz2')
mutation_df = pandas.read_table(path, index_col=0)

path = os.path.join('data', 'samples.tsv')
sample_df = pandas.read_table(path)
""",
        "4.covariates.ipynb": """
path = os.path.join('data', 'samples.tsv')
covariates_df = pd.read_table(path, index_col=0, dtype=dtypes)

path = os.path.join('data', 'covariates.tsv')
covariates_df.to_csv(path, sep='\\t')
""",
    },
)

COMPOUNDS = Repository(
    kernel="conda-env-compounds-py",
    kernels={"parse-halflife.ipynb": "python2"},
    edges={"pubchem": "parse", "similarity": "parse", "unichem": "parse"},
    notebooks={
        "parse.ipynb": """
xml_path = os.path.join('download', 'compounds.xml.gz')
with gzip.open(xml_path) as xml_file:
    tree = ET.parse(xml_file)

path = os.path.join('data', 'compounds.tsv')
compound_df.to_csv(path, sep='\\t', index=False)

path = os.path.join('data', 'compounds-slim.tsv')
slim_df.to_csv(path, sep='\\t', index=False)
""",
        "parse-halflife.ipynb": """
xml_path = os.path.join('download', 'compounds.xml.gz')
with gzip.open(xml_path) as xml_file:
    tree = ET.parse(xml_file)
print 'old'
""",
        "pubchem.ipynb": "df = pandas.read_table('data/compounds.tsv')\ndf.to_csv('data/pubchem.tsv', sep='\\t')",
        "similarity.ipynb": """
with gzip.open('data/similarity.tsv.gz', 'w') as write_file:
    write_file = io.TextIOWrapper(write_file)
    similarity_df.to_csv(write_file, sep='\\t')

slim_df = pandas.read_table('data/compounds-slim.tsv')
""",
        "unichem.ipynb": """
path = os.path.join('data', 'compounds.tsv')
with open(path) as read_file:
    rows = list(csv.DictReader(read_file))

mapping_path = os.path.join('data', 'mapping.tsv.gz')
mapping_file = gzip.open(mapping_path, 'wb')

mapping_file = gzip.open(mapping_path, 'rb')
for source, df in grouped:
    path = os.path.join('data', 'mapping', '{}.tsv'.format(source))
    write_file = open(path, 'w')
""",
    },
)

ONTOLOGY = Repository(
    edges={"slim": "xrefs", "lite": "xrefs"},
    files=("data/slim-terms.tsv", "lite/terms.txt"),
    notebooks={
        "xrefs.ipynb": """
file_all = open(os.path.join('data', 'xrefs.tsv'), 'w')
writer = csv.writer(file_all, delimiter='\\t')

path = os.path.join('data', 'xrefs.tsv')
xref_df = pandas.read_table(path)

path = os.path.join('data', 'names.tsv')
with open(path, 'w') as write_file:
    write_file.write(names)
""",
        "slim.ipynb": """
path = os.path.join('data', 'slim-terms.tsv')
slim_df = pandas.read_table(path)

path = os.path.join('data', 'xrefs.tsv')
map_df = pandas.read_table(path)

path = os.path.join('data', 'xrefs-slim.tsv')
map_df.to_csv(path, sep='\\t', index=False)
""",
        "lite/lite.ipynb": """
lite = pandas.read_csv('terms.txt', sep='\\t')

path = os.path.join('..', 'data', 'names.tsv')
names = pandas.read_csv(path, sep='\\t')

mapping_df.to_csv('lite-to-id.tsv', sep='\\t', index=False)
""",
    },
)

_FRAMES = ("ranks", "handshakes", "certificates", "scan", "backscatter", "compression")
_USED = (
    "ranks handshakes certificates",
    "handshakes scan",
    "compression",
    "backscatter",
    "ranks",
    "scan",
    "certificates",
)

HANDSHAKES = Repository(
    files=("data/csv/ranks.csv.zst", "data/csv/handshakes_1.csv.zst", "code/plots/.gitkeep"),
    edges={f"{number:02}-Figure": "01-Prepare" for number in range(2, 9)},
    notebooks={
        "code/01-Prepare.ipynb": """
tranco_file = "../data/csv/ranks.csv.zst"
df = pd.read_csv(tranco_file, names=["rank","domain"])

chunks = sorted(glob.glob("../data/csv/handshakes_*.csv.zst"))
df = pd.concat(map(read_chunk, chunks), ignore_index=True)

"""
        + "\n\n".join(f'df_{name}.to_pickle(f"../data/pkl/df_{name}.pkl.zst")' for name in _FRAMES),
        **{
            f"code/{number:02}-Figure.ipynb": "\n\n".join(
                [f'df_{name} = pd.read_pickle(f"../data/pkl/df_{name}.pkl.zst")' for name in used.split()]
                + [f'fig.savefig(f"./plots/figure_{number}.pdf", bbox_inches="tight")']
            )
            for number, used in enumerate(_USED, start=2)
        },
    },
)

DONATIONS = Repository(
    files=("data/candidates.csv",),
    edges={"codonors": "load"},
    notebooks={
        "notebooks/load.ipynb": """
def load_filing(filing_id):
    filename = f"../data/filings/{filing_id}-schedule.csv"
    return pd.read_csv(
        filename,
    )

candidates = pd.read_csv("../data/candidates.csv").rename(columns=str.lower)

clean.to_csv(
    "../output/clean.csv",
    index=False,
)
""",
        "notebooks/codonors.ipynb": """
candidates = pd.read_csv(
    "../data/candidates.csv"
)

clean = (
    pd
    .read_csv(
        "../output/clean.csv",
        dtype={"zip": str},
    )
)
pairs.to_csv("../output/pairs.csv")
""",
    },
)

HEAT = Repository(
    files=("input/deaths.csv",),
    edges={"02_analyze": "01_transform"},
    notebooks={
        "01_transform.ipynb": """
from pathlib import Path
input_dir, output_dir = Path.cwd() / "input", Path.cwd() / "output"

deaths = pd.read_csv(input_dir / "deaths.csv")

deaths.to_csv(output_dir / "{}.csv".format("transformed"), index=False)
""",
        "02_analyze.ipynb": "df = pd.read_csv(Path('output').joinpath('transformed.csv'))\ndf.plot()",
    },
)

REPOSITORIES = {
    "tumours": TUMOURS,
    "articles": ARTICLES,
    "compounds": COMPOUNDS,
    "ontology": ONTOLOGY,
    "handshakes": HANDSHAKES,
    "donations": DONATIONS,
    "heat": HEAT,
}
