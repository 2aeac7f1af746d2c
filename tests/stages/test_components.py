"""Principal components against the full decomposition, few cells and many, and at their edges."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.counts import distances_between, random_counts, structured_counts
from llvmlite import binding
from scipy.sparse import csr_array

from cytotrace2_lite.errors import CytoTRACE2Error
from cytotrace2_lite.stages import _gram_kernels, gram, krylov, preprocess, standardised
from cytotrace2_lite.stages import components as pca
from cytotrace2_lite.stages.standardised import standardise
from cytotrace2_lite.system.compiler import Compiled
from cytotrace2_lite.system.threads import thread_pool


def log2_cpm(counts):
    return preprocess.log2_cpm(counts).toarray()


def as_kept(cells):
    """Values as `standardise` keeps them: those of many cells are rounded."""
    return cells if standardised._MAX_FEW else np.rint(cells * 2**26) / 2**26


def exact_components(cells, k):
    cells = (cells - cells.mean(axis=1, keepdims=True)) / cells.std(axis=1, keepdims=True)
    left, singular, _ = np.linalg.svd(cells - cells.mean(axis=0), full_matrices=False)
    return left[:, :k] * singular[:k]


def components(counts, **options):
    return pca.principal_components(standardise(counts, **options), 30, **options)


@pytest.fixture(params=["matrix", "products"])
def way(request, monkeypatch):
    """Few cells' components come from the Gram matrix, many cells' from products with it."""
    if request.param == "products":
        monkeypatch.setattr(standardised, "_MAX_FEW", 0)


@pytest.mark.usefixtures("way")
class TestComponents:
    @pytest.mark.parametrize("n_cells", [31, 40, 100, 173, 400])
    def test_equal_to_the_full_decomposition(self, n_cells):
        counts = structured_counts(n_cells)
        ours = components(counts)
        theirs = exact_components(as_kept(log2_cpm(counts)), 30)
        assert ours.shape == (n_cells, 30)
        signs = np.sign((ours * theirs).sum(axis=0))
        np.testing.assert_allclose(ours * signs, theirs, rtol=0, atol=1e-8 * np.abs(theirs).max())

    def test_the_residual_is_as_promised(self):
        counts = structured_counts(300)
        cells = as_kept(log2_cpm(counts))
        ours = components(counts)
        cells = (cells - cells.mean(axis=1, keepdims=True)) / cells.std(axis=1, keepdims=True)
        cells -= cells.mean(axis=0)
        gram = cells @ cells.T
        values = (ours**2).sum(axis=0)
        vectors = ours / np.sqrt(values)
        residual = np.linalg.norm(gram @ vectors - vectors * values, axis=0)
        assert residual.max() <= krylov.MAX_RESIDUAL * values[0] * 1.1

    @pytest.mark.parametrize("n_cells", [100, 400])
    def test_rounding_does_not_matter(self, n_cells):
        counts = structured_counts(n_cells)
        ours = distances_between(components(counts))
        exact = distances_between(exact_components(log2_cpm(counts), 30))
        np.testing.assert_allclose(ours, exact, rtol=0, atol=1e-8 * exact.max())

    def test_fails_rather_than_return_less(self, monkeypatch):
        monkeypatch.setattr(standardised, "_MAX_FEW", 0)
        monkeypatch.setattr(krylov, "_MAX_BASIS", 60)
        with pytest.raises(CytoTRACE2Error, match="did not converge: residual"):
            components(structured_counts(400))

    def test_copies_of_a_few_cells(self):
        # Rank 9: the other components are zero, and copies lie exactly on one another.
        counts = structured_counts(10)[np.arange(120) % 10]
        ours = components(counts)
        expected = distances_between(exact_components(log2_cpm(counts), 9))
        np.testing.assert_allclose(distances_between(ours), expected, rtol=0, atol=1e-6)

    def test_identical_cells(self):
        ours = components(structured_counts(1)[np.zeros(120, int)])
        np.testing.assert_array_equal(ours, 0)

    def test_many_equal_components(self):
        # Cells that share no gene: all components are equally large.
        counts = csr_array(np.kron(np.eye(110), np.ones((1, 100))))
        ours = components(counts)
        sizes = (ours**2).sum(axis=0)
        np.testing.assert_allclose(sizes, sizes[0], rtol=1e-10)

    @pytest.mark.parametrize("n_groups", [10, 20, 31, 40])
    def test_groups_of_identical_cells(self, n_groups):
        # Equal groups without a common gene: n_groups - 1 components of one size, the rest zero.
        counts = csr_array(np.kron(np.eye(n_groups), np.ones((8, 100))))
        ours = components(counts)
        sizes = (ours**2).sum(axis=0)
        n_components = min(n_groups - 1, 30)
        np.testing.assert_allclose(sizes[:n_components], sizes[0], rtol=1e-10)
        np.testing.assert_array_equal(sizes[n_components:], 0)

    def test_a_constant_cell(self):
        counts = random_counts(120, 500).toarray()
        counts[7] = 3.0
        ours = components(csr_array(counts))
        assert np.isfinite(ours).all()
        cells = log2_cpm(csr_array(counts))
        cells -= cells.mean(axis=1, keepdims=True)
        std = cells.std(axis=1, keepdims=True)
        std[7] = 1
        cells = cells / std
        cells[7] = 0
        left, singular, _ = np.linalg.svd(cells - cells.mean(axis=0), full_matrices=False)
        expected = distances_between(left[:, :30] * singular[:30])
        np.testing.assert_allclose(distances_between(ours), expected, rtol=0, atol=1e-6)

    def test_threads_do_not_matter(self, monkeypatch):
        counts = structured_counts(250)
        whole = distances_between(components(counts))
        monkeypatch.setattr(standardised, "_VALUES_PER_STEP", 10_000)
        monkeypatch.setattr(gram, "_PARTS", 5)
        monkeypatch.setattr(gram, "_GENES_PER_STEP", 64)
        monkeypatch.setattr(krylov, "_ENTRIES_PER_PART", 100)
        one = components(counts, threads=1)
        for threads in (2, 4):
            np.testing.assert_array_equal(components(counts, threads=threads), one)
        parted = distances_between(one)
        np.testing.assert_allclose(parted, whole, rtol=0, atol=1e-9 * whole.max())


@pytest.fixture
def kernels(monkeypatch, request):
    """The products compiled for another processor of this kind."""
    if request.param == "any":  # neither AVX-512 nor AVX2, nor products and sums in one step
        monkeypatch.setattr(binding, "get_host_cpu_name", lambda: "")
        monkeypatch.setattr(binding, "get_host_cpu_features", binding.FeatureMap)
    fresh = Compiled(_gram_kernels.KERNELS._source)
    monkeypatch.setattr(gram, "KERNELS", fresh)


class TestProducts:
    def counts(self, n_cells, shares):
        """Random counts of genes that such shares of the cells express."""
        random = np.random.RandomState(0)
        expressed = random.rand(n_cells, len(shares)) < shares
        expressed[:, 0] = True
        return csr_array(expressed * random.geometric(0.2, expressed.shape))

    def check(self, counts, n_vectors, threads=2):
        """Compare the product with that of the matrix, which is made with NumPy alone."""
        cells = np.rint(log2_cpm(counts) * 2**26) / 2**26
        cells = (cells - cells.mean(axis=1, keepdims=True)) / cells.std(axis=1, keepdims=True)
        cells -= cells.mean(axis=0)
        vectors = np.random.RandomState(1).standard_normal((n_vectors, len(cells)))
        expected = vectors @ cells @ cells.T
        with thread_pool(threads) as pool:
            ours = gram.GramProduct(standardise(counts), pool)(vectors)
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-12 * np.abs(expected).max())

    @pytest.mark.parametrize("kernels", ["this", "any"], indirect=True)
    @pytest.mark.parametrize("n_vectors", [1, 4, 8, 13])
    @pytest.mark.parametrize(
        ("n_cells", "shares"),
        [
            (130, np.linspace(0, 1, 300)),
            (128, np.linspace(0.5, 1, 37)),  # none is sparse
            (90, np.r_[1, np.full(40, 0.1)]),  # one is dense
            (33, np.r_[1, np.full(3, 0.03), np.zeros(9)]),
        ],
        ids=["all kinds", "dense", "sparse", "few"],
    )
    @pytest.mark.usefixtures("kernels")
    def test_equal_to_the_matrix(self, n_cells, shares, n_vectors, monkeypatch):
        monkeypatch.setattr(standardised, "_MAX_FEW", 0)
        self.check(self.counts(n_cells, shares), n_vectors)

    @pytest.mark.parametrize(("n_more", "dtype"), [(0, np.uint16), (3, np.int32)])
    def test_more_cells_than_16_bits_count(self, n_more, dtype):
        counts = self.counts((1 << 16) + n_more, np.r_[1, np.full(6, 0.3)])
        assert standardise(counts).cells.dtype == dtype
        self.check(counts, 2)

    def test_where_no_code_may_be_compiled(self, monkeypatch):
        monkeypatch.setattr(standardised, "may_compile", lambda: False)
        monkeypatch.setattr(standardised, "_MAX_FEW", 0)
        with pytest.raises(CytoTRACE2Error, match=r"Allow it, or choose .* of up to 1,000\.$"):
            components(structured_counts(50))


@pytest.mark.skipif(sys.platform != "linux", reason="Linux forbids it for a process")
def test_a_run_where_the_system_forbids_compiled_code(tmp_path):
    code = (
        "import ctypes, sys\n"
        "if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):  # PR_SET_MDWE, of Linux 6.3\n"
        "    sys.exit(77)\n"
        "from cytotrace2_lite.cli.main import main\n"
        "from cytotrace2_lite.stages import standardised\n"
        "standardised._MAX_FEW = int(sys.argv.pop(1))\n"
        "main(sys.argv[1:])\n"
    )
    data = Path(__file__).parents[1] / "data/enteric_300.txt.gz"
    for most_few, expected in ((1024, 0), (100, 1)):
        out = tmp_path / str(most_few)
        command = [sys.executable, "-c", code, str(most_few), "run", str(data), "-dpl", "-o", out]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode == 77:
            pytest.skip("this Linux cannot forbid it")
        assert ended.returncode == expected, ended.stderr
        assert out.exists() == (expected == 0)
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("Error: this system does not let programs run code that they compile")
    assert "Traceback" not in ended.stderr
