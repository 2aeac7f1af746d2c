"""A model on a new machine gives the scores it was made with, or says that it does not."""

import hashlib

import numpy as np
import pytest

from cytotrace2_lite.cli.main import main
from cytotrace2_lite.errors import ModelError
from cytotrace2_lite.models.ensemble import Ensemble
from cytotrace2_lite.models.verify import made_up_counts, verify


def test_the_made_up_cells_are_the_same_everywhere():
    counts = made_up_counts()
    parts = (counts.data, counts.indices.astype(np.int64), counts.indptr.astype(np.int64))
    digest = hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()
    assert digest == "0faaace1d65bcc25f076efd86ffbefdb8b221130014c2564c91ff98992b842ec"


@pytest.mark.parametrize("version", ["1.1.0", "1.0.0"])
def test_models_give_their_own_scores(ensembles, version):
    result = verify(ensembles[version], threads=2)
    assert result.difference < 1e-6
    assert len(set(result.expected.round(3))) > 3


def test_the_bundled_model_gives_its_own_scores():
    assert verify(Ensemble.load()).difference < 1e-6


def test_another_answer_is_an_error(ensembles, monkeypatch):
    ensemble = ensembles["1.1.0"]
    monkeypatch.setattr(ensemble, "check_scores", tuple(np.array(ensemble.check_scores) + 1e-4))
    with pytest.raises(ModelError, match=r"off by up to 1\.0e-04, at most 1e-05 is rounding"):
        verify(ensemble)


def test_command(model_files, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["check", "-m", str(model_files["1.0.0"]), "-mc", "1"])
    out, err = capsys.readouterr()
    assert (caught.value.code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("cytotrace2_lite ")
    assert "onnxruntime" in lines[0]
    assert lines[1].startswith("Model: made-up")
    assert lines[2] == str(model_files["1.0.0"])
    assert lines[3].startswith("1 threads, ")
    assert lines[4].startswith("ok: 12 cells scored, off by ")


def test_command_with_a_missing_model(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["check", "-m", "none.onnx"])
    assert caught.value.code == 5
    assert capsys.readouterr().err.startswith("Error: none.onnx: no such model.")
