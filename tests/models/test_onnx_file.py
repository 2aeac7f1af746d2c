"""A sealed model is run only if it is of the kind the exporter writes."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from cytotrace2_lite.errors import ModelError
from cytotrace2_lite.models.ensemble import Ensemble
from cytotrace2_lite.models.onnx_file import OPERATORS, OPSET, metadata, verify_graph
from cytotrace2_lite.models.sealed import seal


@pytest.fixture
def changed(exported, tmp_path):
    """Function that alters a copy of a model, seals it, and returns what loading it says."""

    def load(change):
        model = onnx.load_from_string(exported["1.0.0"][1])
        del model.metadata_props[-1]
        change(model)
        path = tmp_path / "model.onnx"
        path.write_bytes(seal(model.SerializeToString()))
        with pytest.raises(ModelError) as caught:
            Ensemble.load(path)
        message = str(caught.value)
        assert message.startswith(f"{path}: ")
        return message.removeprefix(f"{path}: ")

    return load


@pytest.mark.parametrize("version", ["1.1.0", "1.0.0"])
def test_what_the_exporter_writes(exported, version):
    content = exported[version][1]
    verify_graph(content)
    model = onnx.load_from_string(content)
    assert metadata(content) == {entry.key: entry.value for entry in model.metadata_props}
    assert {node.op_type for node in model.graph.node} <= OPERATORS
    assert model.opset_import[0].version == OPSET


def test_no_operator_is_allowed_that_is_not_written(exported):
    written = {
        node.op_type
        for _, content in exported.values()
        for node in onnx.load_from_string(content).graph.node
    }
    assert written == OPERATORS


def test_other_operators(changed):
    def add(model):
        model.graph.node.append(helper.make_node("Loop", ["bias"], ["x"]))

    assert changed(add) == "the model uses operator 'Loop', which is not run."

    def custom(model):
        model.graph.node[0].domain = "com.example"

    assert changed(custom) == "the model uses operator 'HardSigmoid', which is not run."


def test_subgraphs(changed):
    def add(model):
        graph = helper.make_graph([], "inner", [], [])
        model.graph.node[0].attribute.append(helper.make_attribute("body", graph))

    assert changed(add) == "operator 'HardSigmoid' has an attribute other than numbers and text."


def test_external_data(changed, tmp_path):
    (tmp_path / "weights.bin").write_bytes(b"\0" * 100)

    def move(model):
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="weights.bin")

    assert changed(move) == "the model keeps weights in another file, which is not read."


def test_other_operator_sets(changed):
    def newer(model):
        model.opset_import[0].version = 21

    assert changed(newer) == (
        "the model uses operator set 21 of domain ''; only 18 of the default domain is run."
    )

    def foreign(model):
        model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))

    assert changed(foreign) == (
        "the model uses operator set 3 of domain 'ai.onnx.ml'; only 18 of the default domain is "
        "run."
    )


def test_functions_and_sparse_weights(changed):
    def function(model):
        model.functions.append(
            helper.make_function("d", "F", [], [], [], [helper.make_opsetid("", OPSET)])
        )

    assert changed(function) == "the model has field 25, which no model of this package has."

    def sparse(model):
        model.graph.sparse_initializer.add()

    assert changed(sparse) == "the graph has field 15, which no model of this package has."


def test_a_second_graph(exported):
    content = exported["1.0.0"][1]
    second = onnx.ModelProto(graph=helper.make_graph([], "g", [], [])).SerializeToString()
    with pytest.raises(ModelError, match=r"^the model has 2 graphs, not 1\.$"):
        verify_graph(content + second)
    with pytest.raises(ModelError, match=r"^the model has 0 graphs, not 1\.$"):
        verify_graph(b"")


def test_metadata_that_is_missing_or_wrong(changed):
    def drop(model):
        kept = [entry for entry in model.metadata_props if entry.key != "thresholds"]
        del model.metadata_props[:]
        model.metadata_props.extend(kept)

    expected = (
        "the model does not describe itself as this version expects. Copy the file again, or "
        "export it anew with tools/export_onnx.py."
    )
    assert changed(drop) == expected

    def spoil(model):
        next(e for e in model.metadata_props if e.key == "n_members").value = "many"

    assert changed(spoil) == expected

    def rename(model):
        next(e for e in model.metadata_props if e.key == "potencies").value = "A\nB"

    assert changed(rename) == "the model was made for other potencies than this package's."

    def other_genes(model):
        next(e for e in model.metadata_props if e.key == "features").value = "Actb\nGapdh"

    assert changed(other_genes) == "the model was made for other genes than this package's."


def test_a_graph_that_does_not_fit_together(changed):
    def drop(model):
        del model.graph.node[3]

    assert changed(drop).startswith("onnxruntime cannot load the model: ")


@pytest.mark.parametrize(
    "content", [b"nonsense", b"\x3a\xff\xff\xff\xff\x7f", b"\xff" * 20, b"\x0b"]
)
def test_damaged(content, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(seal(content))
    with pytest.raises(ModelError) as caught:
        Ensemble.load(path)
    assert str(caught.value).startswith(f"{path}: the ")


def test_mutated_models_end_in_one_of_our_errors_or_pass(exported):
    body = exported["1.0.0"][1][: -len(seal(b""))]
    random = np.random.RandomState(0)
    graph_end = 3000  # the nodes; the weights behind them may hold any number
    for _ in range(150):
        content = bytearray(body)
        for at in random.randint(0, graph_end, random.randint(1, 4)):
            content[at] = random.randint(0, 256)
        try:
            verify_graph(bytes(content))
            metadata(bytes(content))
        except ModelError:
            pass
