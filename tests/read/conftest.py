"""Fixtures of the tests of readers."""

import pytest
from helpers import formats
from helpers.readers import CELLS, COUNTS, GENES
from scipy import sparse


@pytest.fixture
def working_directory(tmp_path, monkeypatch):
    """Messages name files without a folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def data():
    """A small dataset."""
    return formats.Dataset(sparse.csr_matrix(COUNTS), CELLS, GENES)
