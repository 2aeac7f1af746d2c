"""Write the zip + pickle format of `torch.save` without torch, whole or damaged on purpose."""

import struct
import zipfile

import numpy as np

STORAGES = {"f4": "FloatStorage", "f8": "DoubleStorage", "i8": "LongStorage"}


def _text(text):
    encoded = text.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def _integer(number):
    return b"J" + struct.pack("<i", number)


def _tuple(*items):
    return b"(" + b"".join(items) + b"t"


def _integers(numbers):
    return _tuple(*map(_integer, numbers))


def tensor_pickle(key, array, shape=None):
    """Opcodes that rebuild one contiguous tensor from storage `key`."""
    shape = array.shape if shape is None else shape
    strides = [int(np.prod(shape[i + 1 :])) for i in range(len(shape))]
    storage = _tuple(
        _text("storage"),
        f"ctorch\n{STORAGES[array.dtype.str[1:]]}\n".encode(),
        _text(key),
        _text("cpu"),
        _integer(array.size),
    )
    arguments = _tuple(
        storage + b"Q",
        _integer(0),
        _integers(shape),
        _integers(strides),
        b"\x89",
        b"ccollections\nOrderedDict\n)R",
    )
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + arguments + b"R"


def write_archive(path, pickled, arrays, **entry_options):
    """Write a PyTorch archive from a pickle and the arrays of its storages, always the same."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(zipfile.ZipInfo("archive/data.pkl"), pickled, **entry_options)
        for key, array in enumerate(arrays):
            archive.writestr(
                zipfile.ZipInfo(f"archive/data/{key}"), array.tobytes(), **entry_options
            )
        archive.writestr(zipfile.ZipInfo("archive/version"), b"3\n")
    return path


def save(path, state):
    """Write a state dictionary of arrays as `torch.save` does."""
    items = b"".join(
        _text(name) + tensor_pickle(str(key), array)
        for key, (name, array) in enumerate(state.items())
    )
    pickled = b"\x80\x02ccollections\nOrderedDict\n)R(" + items + b"u."
    return write_archive(path, pickled, state.values())


def save_sparse(path, indices, values, shape):
    """Write a sparse COO tensor as `torch.save` does."""
    layout = b"ctorch.serialization\n_get_layout\n" + _tuple(_text("torch.sparse_coo")) + b"R"
    content = _tuple(
        tensor_pickle("0", indices),
        tensor_pickle("1", values),
        b"ctorch\nSize\n" + _tuple(_integers(shape)) + b"R",
    )
    pickled = b"\x80\x02ctorch._utils\n_rebuild_sparse_tensor\n" + _tuple(layout, content) + b"R."
    return write_archive(path, pickled, [indices, values])
