"""What every target needs: a small dataset, and what must hold of errors and expressions."""

import contextlib
import warnings

import numpy as np
from helpers import formats
from scipy.sparse import csr_array

from cytotrace2_lite.errors import CytoTRACE2Error
from cytotrace2_lite.read import read_expression

#: Between the files of one input, where a target needs several.
NEXT_FILE = b"\n<<>>\n"
#: Longest message of an error.
LONGEST_MESSAGE = 2000

GENES = ("Actb", "Sox17", "Mt-Nd1")
CELLS = ("c1", "c2", "a-b", "z")
ORIENTATIONS = ("auto", "genes-x-cells", "cells-x-genes")
DUPLICATES = ("error", "first", "sum")


def dataset():
    """A few counts, large, fractional and zero."""
    counts = np.array([[0, 7, 0], [3, 0, 65536], [0, 0, 1], [1, 255, 12]])
    return formats.Dataset(csr_array(counts), CELLS, GENES)


def known(names):
    """Stand in for the model's list of genes."""
    return np.array([name in GENES for name in names], dtype=bool)


def check_message(error):
    """See that a message is contained: a line of printable text, not too long."""
    text = str(error)
    assert text, "an error says nothing"
    assert text.isprintable(), f"not printable: {text!r}"
    assert len(text) <= LONGEST_MESSAGE, f"{len(text)} characters: {text[:200]!r}"


@contextlib.contextmanager
def ours():
    """Let errors of ours pass."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            # Of pickletools, about a name in a pickle; nobody gets to see it.
            warnings.filterwarnings("ignore", "invalid escape sequence", DeprecationWarning)
            yield
    except CytoTRACE2Error as error:
        check_message(error)


def check_expression(expression, source):
    """See that an expression is what the reader promises."""
    cells, genes, max_value = expression.cells, expression.genes, expression.max_value
    every = np.arange(len(genes))
    counts = expression.counts_of_features(every, len(every))
    values = counts[:].tocsc()
    assert values.shape == (len(cells), len(genes)) != (0, 0)
    assert len(set(cells)) == len(cells)
    assert len(set(genes)) == len(genes)
    for names in (cells, genes):
        assert all(isinstance(name, str) and name for name in names)
        "".join(names).encode()
    assert np.isfinite(max_value)
    assert (values.data > 0).all()
    # A sum of genes, or of values of one gene and cell, may be larger than the largest value, and
    # even infinite, which `run` refuses.
    is_sum = source.duplicate_genes == "sum" or counts.n_repeated
    assert is_sum or max_value >= values.data.max(initial=0)
    values.check_format(full_check=True)
    source.describe()


def read(path, options):
    """Read expression with options that a byte says."""
    layer = (None, None, None, "counts")[options // 36 % 4]
    with ours():
        expression, source = read_expression(
            path,
            known if options & 1 else None,
            orientation=ORIENTATIONS[options // 2 % 3],
            duplicate_genes=DUPLICATES[options // 6 % 3],
            layer=layer,
            use_raw=layer is None and options // 18 % 2 == 1,
        )
        check_expression(expression, source)


def one_file(name):
    """Make a target of a file whose first byte says the options."""

    def run(data, folder):
        path = folder / name
        path.write_bytes(data[1:])
        read(path, data[0] if data else 0)

    return run


def with_options(contents):
    """Put a byte of options before each content."""
    return [bytes([options]) + content for content in contents for options in (0, 1, 14)]
