"""Wrong inputs: how their files are written, and the one runner of all tests on them.

A case is the files that are there, the words of the command, its exit code and what it says on
standard error. Nothing is written on any of them: no results, no report, no temporary file.
"""

import io
import re
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from scipy.sparse import csr_array

from cytotrace2_lite.cli.main import main
from helpers import formats

#: What `pytest.mark.parametrize` calls the fields of a case.
CASE = ("files", "words", "code", "message")
GENES = ("Actb", "Sox17", "Gapdh")
CELLS = ("c1", "c2")
TABLE = b"\tc1\tc2\nActb\t5\t0\nSox17\t0\t7\nGapdh\t1\t2\n"
DATA = formats.Dataset(csr_array(np.array([[5, 0, 1], [0, 7, 2]])), CELLS, GENES)


def written(writer, *arguments, **options):
    """Say how to write a file: by a function of `formats`."""
    return lambda path: writer(DATA, path, *arguments, **options)


def changed(change, writer=formats.h5ad, **options):
    """Write a .h5ad, or another HDF5 file, and change it."""

    def write(path):
        import h5py

        writer(DATA, path, **options)
        with h5py.File(path, "r+") as file:
            change(file)

    return write


def hdf5(build):
    def write(path):
        import h5py

        with h5py.File(path, "w") as file:
            build(file)

    return write


def replace(name, value, **options):
    def change(file):
        attributes = dict(file[name].attrs)
        del file[name]
        if options:
            file.create_dataset(name, **options)
        else:
            file[name] = value
        if hasattr(file.get(name), "attrs"):
            file[name].attrs.update(attributes)

    return change


def link(name):
    def change(file):
        import h5py

        del file[name]
        file[name] = h5py.ExternalLink("other.h5", name)

    return change


def put(name, position, value):
    return lambda file: file[name].__setitem__(position, value)


def label(name, key, value):
    return lambda file: file[name].attrs.__setitem__(key, value)


def archive(kind, member):
    content = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(content, "w") as file:
            file.writestr(member, b"x")
    else:
        with tarfile.open(fileobj=content, mode="w") as file:
            file.addfile(tarfile.TarInfo(member))
    return content.getvalue()


def npy():
    content = io.BytesIO()
    np.save(content, np.zeros((2, 2)))
    return content.getvalue()


def mtx(entries="1 1 5\n2 2 7\n", head="%%MatrixMarket matrix coordinate integer general", n=2):
    return f"{head}\n3 2 {n}\n{entries}".encode()


def tenx(matrix=None, features="A\tActb\nB\tSox17\nC\tGapdh\n", barcodes="c1\nc2\n"):
    files = {
        "d/matrix.mtx": mtx() if matrix is None else matrix,
        "d/features.tsv": features,
        "d/barcodes.tsv": barcodes,
    }
    return {name: content for name, content in files.items() if content is not None}


def arrow(columns):
    def write(path):
        pyarrow.parquet.write_table(pa.table(columns), path)

    return write


ROW = ("c1", "0.5", "Multipotent", "1.0", "0.5", "Multipotent")


def results(*rows, header=None):
    names = ("CytoTRACE2_Score", "CytoTRACE2_Potency", "CytoTRACE2_Relative")
    names += ("preKNN_CytoTRACE2_Score", "preKNN_CytoTRACE2_Potency")
    lines = ["\t".join(header or ("", *names)), *("\t".join(row) for row in rows)]
    return "\n".join(lines) + "\n"


class Refusals:
    """Runs commands in a directory where some files are; see `check`."""

    def __init__(self, folder, model, capsys):
        self._folder, self._model, self._capsys = folder, model, capsys

    def check(self, files, words, code, message):
        """Run a command, and check that it ends with this code and message and writes nothing.

        "(...)" in a message stands for what a library says: another text in other versions.
        """
        actual, out, err = self._run(files, words)
        assert actual == code
        assert out == ""
        before, _, said = err.partition("Error: ")
        expected = re.escape(message).replace(re.escape("(...)"), r"\(.+\)")
        assert re.fullmatch(expected + "\n", said), said
        assert said.removesuffix("\n").isprintable()
        # Nothing but that: no warning, no traceback; the model and usage where click has them said.
        assert re.fullmatch(r"(Model: .*\n)?(Usage: .*\nTry '.*' for help.\n\n)?", before)
        # And nothing was written.
        there = {path.relative_to(self._folder).parts[0] for path in self._folder.rglob("*")}
        assert there == {Path(name).parts[0] for name in files}

    def _run(self, files, words):
        for name, content in files.items():
            path = self._folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.mkdir()
            elif callable(content):
                content(path)
            else:
                path.write_bytes(content if isinstance(content, bytes) else content.encode())
        command, *options = words.split(" ") if isinstance(words, str) else words
        if command != "compare" and "-m" not in options and options != ["--species", "human"]:
            options = ["-q", "-m", str(self._model), *options]
        with pytest.raises(SystemExit) as caught:
            main([command, *options])
        output = self._capsys.readouterr()
        return caught.value.code, output.out, output.err
