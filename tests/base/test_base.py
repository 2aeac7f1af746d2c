"""Words that all wings share: potencies, parameters, findings, progress."""

import subprocess
import sys

import numpy as np
import pytest

import cytotrace2_lite as ct2
from cytotrace2_lite.base.finding import Finding
from cytotrace2_lite.base.parameters import PRESETS, Parameters
from cytotrace2_lite.base.potency import POTENCIES, POTENCY_EDGES, potency_of
from cytotrace2_lite.base.progress import Progress


@pytest.mark.parametrize("module", ["parameters", "options", "progress", "finding"])
def test_numpy_is_not_imported(module):
    code = f"import sys, cytotrace2_lite.base.{module}; print('numpy' in sys.modules)"
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert process.stdout == "False\n"


class TestPotency:
    def test_bounds_belong_to_the_lower_category(self):
        assert potency_of(POTENCY_EDGES).tolist() == [0, 0, 1, 2, 3, 4, 5]
        above = np.nextafter(POTENCY_EDGES[:-1], 1)
        assert potency_of(above).tolist() == [0, 1, 2, 3, 4, 5]

    def test_shape_and_bounds(self):
        assert potency_of(np.array([[0.0, 1.0]])).tolist() == [[0, 5]]
        assert len(POTENCIES) == 6
        with pytest.raises(ValueError, match="read-only"):
            POTENCY_EDGES[0] = 1


class TestParameters:
    def test_defaults_and_whole_numbers_of_any_type(self):
        parameters = Parameters(batch_size=np.int64(5), max_memory=np.uint8(7))
        assert parameters == Parameters(batch_size=5, max_memory=7)
        assert type(parameters.batch_size) is int
        assert Parameters(**PRESETS["paper"]).seed == Parameters().seed

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"species": "rat"}, "species is 'rat'; it must be 'mouse' or 'human'."),
            ({"batch_size": 0}, "batch_size is 0; it must be at least 1."),
            ({"smooth_batch_size": 1.5}, "smooth_batch_size is 1.5; it must be a whole number."),
            ({"max_cores": None}, "max_cores is None; it must be a whole number."),
            ({"max_memory": -1}, "max_memory is -1; it must be at least 1."),
            ({"seed": -1}, "seed is -1; it must be from 0 to 4294967295."),
            ({"seed": 2**32}, "seed is 4294967296; it must be from 0 to 4294967295."),
        ],
    )
    def test_out_of_range(self, options, message):
        with pytest.raises(ct2.UsageError) as caught:
            Parameters(**options)
        assert str(caught.value) == message


class TestFinding:
    def test_sentences(self):
        finding = Finding("species", "warning", "a\nb", "why", "do this.")
        assert finding.sentences == ["a\\nb.", "why", "do this."]
        assert str(finding) == str(finding.warning) == "a\\nb. why do this."
        assert isinstance(finding.warning, ct2.SpeciesWarning)
        assert Finding("input", "note", "what").sentences == ["what."]

    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (ct2.NoUsableGenesError, "no_usable_genes"),
            (ct2.InputError, "unusable_input"),
            (ct2.ModelError, "unusable_model"),
            (ct2.UsageError, "usage"),
            (ct2.OutputError, "error"),
        ],
    )
    def test_of_an_error(self, error, code):
        finding = Finding.of_error(error("no good. Do better."))
        assert (finding.code, finding.severity) == (code, "error")
        assert str(finding) == "no good. Do better."


def test_progress_counts_cells_unless_it_says_otherwise():
    assert Progress("predict", 1, 2).unit == "cells"
