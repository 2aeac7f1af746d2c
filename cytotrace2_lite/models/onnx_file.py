"""Read an ONNX model file without the package onnx, before onnxruntime loads it.

Only what the exporter writes is accepted: its operators, its operator set, weights inside the file.
A model that refers to other files or has anything else is refused, with a message that names it.

Source: the field numbers of `onnx.proto` (ONNX 1.15) and the protocol-buffer wire format.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cytotrace2_lite.errors import ModelError
from cytotrace2_lite.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from numpy.typing import NDArray

__all__ = ["OPERATORS", "OPSET", "initializers", "metadata", "one_line", "verify_graph"]

#: ONNX operator set that the exporter writes.
OPSET = 18
#: Operators that the exporter writes.
OPERATORS = frozenset(
    {
        *("Add", "Cast", "Concat", "Div", "Gather", "HardSigmoid", "Less", "MatMul", "Mul"),
        *("ReduceMean", "Relu", "Reshape", "ScatterND", "Softmax"),
    }
)

_LONGEST_LINE = 200  # characters

# Field numbers by message.
_MODEL_GRAPH, _MODEL_OPSET, _MODEL_METADATA = 7, 8, 14
_MODEL_KNOWN = {1, 2, 3, 4, 5, 6, _MODEL_GRAPH, _MODEL_OPSET, _MODEL_METADATA}
_GRAPH_NODE, _GRAPH_INITIALIZER = 1, 5
_GRAPH_KNOWN = {_GRAPH_NODE, 2, _GRAPH_INITIALIZER, 10, 11, 12, 13}
_NODE_OPERATOR, _NODE_ATTRIBUTE, _NODE_DOMAIN = 4, 5, 7
_TENSOR_SHAPE, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_RAW = 1, 2, 8, 9
_TENSOR_EXTERNAL, _TENSOR_LOCATION = 13, 14
# TensorProto.DataType of what the exporter writes: FLOAT, INT64.
_TYPES = {1: "<f4", 7: "<i8"}
# name, float, int, text, floats, ints, comment, type
_ATTRIBUTE_NUMBERS = {1, 2, 3, 4, 7, 8, 13, 20}


def metadata(content: bytes) -> dict[str, str]:
    """Read the metadata of a model.

    Parameters
    ----------
    content
        A serialised `onnx.ModelProto`.

    Returns
    -------
    dict
        Key to value.

    Raises
    ------
    ModelError
        The content is not an ONNX model.
    """
    entries = {}
    for field, value in _fields(memoryview(content)):
        if field == _MODEL_METADATA:
            entry = dict(_fields(_bytes(value)))
            key, text = (bytes(_bytes(entry.get(number, b""))) for number in (1, 2))
            try:
                entries[key.decode()] = text.decode()
            except UnicodeDecodeError as error:
                raise ModelError("the metadata is not text.") from error
    return entries


def one_line(entries: Mapping[str, str], key: str, default: str | None = None) -> str:
    """Take an entry of the metadata that is shown to users.

    Parameters
    ----------
    entries
        The metadata, as `metadata` returns it.
    key
        Key of the entry.
    default
        Value of an entry that is missing.

    Returns
    -------
    str
        One line of printable text.

    Raises
    ------
    KeyError
        The entry is missing and has no default.
    ValueError
        The text is longer than 200 characters, or has control characters.
    """
    text = entries[key] if default is None else entries.get(key, default)
    if len(text) > _LONGEST_LINE or not text.isprintable():
        raise ValueError(key)
    return text


def verify_graph(content: bytes) -> None:
    """Refuse a model that is not of the kind that the exporter writes.

    Parameters
    ----------
    content
        A serialised `onnx.ModelProto`.

    Raises
    ------
    ModelError
        The model has another operator set, another operator, weights outside the file, or anything
        else that the exporter does not write; the message names it.
    """
    n_graphs = 0
    for field, value in _fields(memoryview(content)):
        if field not in _MODEL_KNOWN:
            raise ModelError(f"the model has field {field}, which no model of this package has.")
        if field == _MODEL_OPSET:
            entry = dict(_fields(_bytes(value)))
            domain, version = bytes(_bytes(entry.get(1, b""))), entry.get(2)
            if domain or version != OPSET:
                raise ModelError(
                    f"the model uses operator set {version} of domain {shown(domain)}; only "
                    f"{OPSET} of the default domain is run."
                )
        elif field == _MODEL_GRAPH:
            n_graphs += 1
            _verify_nodes(_bytes(value))
    if n_graphs != 1:
        raise ModelError(f"the model has {n_graphs} graphs, not 1.")


def initializers(content: bytes) -> dict[str, NDArray[Any]]:
    """Read the weights of a model that `verify_graph` accepts.

    Parameters
    ----------
    content
        A serialised `onnx.ModelProto`.

    Returns
    -------
    dict
        Name to values: float32 or int64, of the shape they have in the graph, read-only.

    Raises
    ------
    ModelError
        A weight is stored in a way that the exporter does not use.
    """
    weights: dict[str, NDArray[Any]] = {}
    for field, graph in _fields(memoryview(content)):
        if field != _MODEL_GRAPH:
            continue
        for number, tensor in _fields(_bytes(graph)):
            if number == _GRAPH_INITIALIZER:
                name, values = _tensor(_bytes(tensor))
                weights[name] = values
    return weights


def _tensor(message: memoryview) -> tuple[str, NDArray[Any]]:
    import numpy as np  # not at the top: what a model says of itself is read without it

    shape: list[int] = []
    fields: dict[int, int | memoryview] = {}
    for number, value in _fields(message):
        if number == _TENSOR_SHAPE and isinstance(value, int):
            shape.append(value)
        fields[number] = value
    name = bytes(_bytes(fields.get(_TENSOR_NAME, b""))).decode(errors="replace")
    code = fields.get(_TENSOR_TYPE)
    kind = _TYPES.get(code) if isinstance(code, int) else None
    raw = fields.get(_TENSOR_RAW)
    if kind is None or not isinstance(raw, memoryview):
        raise ModelError(f"weight {shown(name)} is not stored as the exporter stores weights.")
    if len(raw) != math.prod(shape) * np.dtype(kind).itemsize:
        raise ModelError(f"weight {shown(name)} has another size than its shape says.")
    return name, np.frombuffer(raw, kind).reshape(shape)


def _verify_nodes(graph: memoryview) -> None:
    for field, value in _fields(graph):
        if field not in _GRAPH_KNOWN:
            raise ModelError(f"the graph has field {field}, which no model of this package has.")
        if field == _GRAPH_NODE:
            node = list(_fields(_bytes(value)))
            domain = b"".join(bytes(_bytes(v)) for number, v in node if number == _NODE_DOMAIN)
            name = b"".join(bytes(_bytes(v)) for number, v in node if number == _NODE_OPERATOR)
            operator = name.decode(errors="replace")
            if domain or operator not in OPERATORS:
                raise ModelError(f"the model uses operator {shown(operator)}, which is not run.")
            for number, attribute in node:
                if number == _NODE_ATTRIBUTE and not _ATTRIBUTE_NUMBERS.issuperset(
                    inner for inner, _ in _fields(_bytes(attribute))
                ):
                    raise ModelError(
                        f"operator {shown(operator)} has an attribute other than numbers and text."
                    )
        elif field == _GRAPH_INITIALIZER:
            fields = dict(_fields(_bytes(value)))
            if _TENSOR_EXTERNAL in fields or fields.get(_TENSOR_LOCATION, 0) != 0:
                raise ModelError("the model keeps weights in another file, which is not read.")


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Split a protocol-buffer message into field numbers and values.

    Yields
    ------
    tuple of int and int or memoryview
        Number of the field, and its value: a number, or the bytes of anything longer.
    """
    position, end = 0, len(message)

    def varint() -> int:
        nonlocal position
        number = 0
        for shift in range(0, 70, 7):
            if position >= end:
                break
            byte = message[position]
            position += 1
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number
        raise ModelError("the file is damaged or is no ONNX model.")

    while position < end:
        tag = varint()
        wire, number = tag & 7, tag >> 3
        if wire == 0:
            yield number, varint()
            continue
        length = varint() if wire == 2 else {1: 8, 5: 4}.get(wire, end + 1)
        if number == 0 or length > end - position:
            raise ModelError("the file is damaged or is no ONNX model.")
        yield number, message[position : position + length]
        position += length


def _bytes(value: int | memoryview | bytes) -> memoryview:
    if isinstance(value, int):
        raise ModelError("the file is damaged or is no ONNX model.")
    return memoryview(value)
