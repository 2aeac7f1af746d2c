"""Target of everything: a run from a table to results."""

import csv
import functools
import io
import json
import warnings

import numpy as np
from fuzz.checks import check_message

from cytotrace2_lite.base.options import RunOptions
from cytotrace2_lite.errors import CytoTRACE2Error
from cytotrace2_lite.models.ensemble import Ensemble

# Of the files of a run.
NAMES = [
    "cytotrace2_composition.tsv",
    "cytotrace2_results.txt",
    "cytotrace2_score_summary.tsv",
    "run.json",
]


@functools.cache
def open_ensemble():
    return Ensemble.load("open")


def run_everything(data, folder):
    """Score a table: results and report together, or neither."""
    from cytotrace2_lite.directory import score_to_directory

    path, out = folder / "table", folder / "out"
    path.write_bytes(data)
    for old in out.glob("*") if out.exists() else ():
        old.unlink()
    done = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scored = score_to_directory(path, out, RunOptions(model=open_ensemble(), max_cores=1))
        done = True
    except CytoTRACE2Error as error:
        check_message(error)
    names = sorted(file.name for file in out.glob("*")) if out.exists() else []
    assert names == (NAMES if done else [])
    if done:
        rows = list(
            csv.reader(
                io.StringIO((out / NAMES[1]).read_bytes().decode(), newline=""), delimiter="\t"
            )
        )
        assert [row[0] for row in rows[1:]] == scored.result.cells
        json.loads((out / "run.json").read_text())
        score = scored.result.score
        assert ((score >= 0) & (score <= 1) | np.isnan(score)).all()


def everything_seeds():
    from cytotrace2_lite.genes import features

    random = np.random.RandomState(0)
    genes = features()[:: len(features()) // 12]
    cells = [f"c{i}" for i in range(6)]
    lines = ["\t".join(["", *cells])]
    lines += ["\t".join([gene, *map(str, random.poisson(1, 6))]) for gene in genes]
    table = "\n".join(lines).encode()
    return [table, table.replace(b"\t2", b"\t1e300"), table.replace(b"\t2", b"\t1e-320")]
