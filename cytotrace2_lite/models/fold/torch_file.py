"""Read the tensors of a PyTorch file (zip + pickle) without PyTorch and without unpickling.

The pickle is read opcode by opcode by code that can only build dictionaries, tuples and
descriptions of tensors. No name in it is ever looked up, so nothing in it can run. A file that
names anything but the few functions that PyTorch uses for plain tensors is refused, with a message
that says which name. Sizes are compared with the zip entries before any tensor is read.

Source: the layout written by `torch.save` since PyTorch 1.6 (`torch/serialization.py`).
"""

from __future__ import annotations

import math
import pickletools
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cytotrace2_lite.errors import ModelError
from cytotrace2_lite.text import shown

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

__all__ = ["SparseTensor", "Tensor", "TorchFile"]

_STORAGE_DTYPES: dict[str, np.dtype[Any]] = {
    "torch.FloatStorage": np.dtype("<f4"),
    "torch.DoubleStorage": np.dtype("<f8"),
    "torch.HalfStorage": np.dtype("<f2"),
    "torch.LongStorage": np.dtype("<i8"),
    "torch.IntStorage": np.dtype("<i4"),
    "torch.ShortStorage": np.dtype("<i2"),
    "torch.CharStorage": np.dtype("i1"),
    "torch.ByteStorage": np.dtype("u1"),
    "torch.BoolStorage": np.dtype("?"),
}
_FUNCTIONS = {
    "collections.OrderedDict",
    "torch.Size",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_sparse_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch.serialization._get_layout",
}
_MAX_FILE_BYTES = 1 << 27  # a member has 8 MB, the control genes 28 MB
_MAX_PICKLE_BYTES = 1 << 20  # a member's is 10 kB
_MAX_DIMENSIONS = 8


class _Storage(NamedTuple):
    key: str
    dtype: np.dtype[Any]
    n_items: int


class _Global(NamedTuple):
    name: str


@dataclass(frozen=True)
class Tensor:
    """Where a dense tensor lies in the file.

    Attributes
    ----------
    storage
        Name of the zip entry below `data/`.
    dtype
        NumPy data type of the values.
    offset
        First value, counted in values from the start of the storage.
    shape, stride
        Shape, and strides counted in values.
    """

    storage: str
    dtype: np.dtype[Any]
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True)
class SparseTensor:
    """A tensor in coordinate form; repeated coordinates add up.

    Attributes
    ----------
    indices
        Shape (n_dimensions, n_values), int64.
    values
        Shape (n_values,).
    shape
        Shape of the dense tensor.
    """

    indices: Tensor
    values: Tensor
    shape: tuple[int, ...]


class TorchFile:
    """An open PyTorch file that holds a dictionary of tensors, or one tensor.

    Parameters
    ----------
    path
        A file written by `torch.save`.

    Attributes
    ----------
    content
        What the file holds: a dictionary of names to `Tensor`, a `Tensor` or a `SparseTensor`.

    Raises
    ------
    ModelError
        The file is missing, is not a PyTorch file, or holds anything but plain tensors.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            size = path.stat().st_size
            if size > _MAX_FILE_BYTES:
                raise ModelError(
                    f"{path}: the file has {size} bytes, no file of an ensemble more than "
                    f"{_MAX_FILE_BYTES}."
                )
            self._zip = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise ModelError(f"{path}: not a PyTorch file ({_reason(error)}).") from error
        try:
            self._entries = {info.filename: info for info in self._zip.infolist()}
            for info in self._entries.values():
                if info.compress_size > size:
                    raise ModelError(f"{path}: {info.filename} is larger than the whole file.")
            self._prefix, pickled = self._read_pickle()
            self.content = self._build(pickled)
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> TorchFile:  # noqa: PYI034 (Self is not in Python 3.10)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._zip.close()

    def read(self, tensor: Tensor) -> NDArray[Any]:
        """Read one tensor.

        Parameters
        ----------
        tensor
            A tensor of `content`.

        Returns
        -------
        ndarray
            The values, of the tensor's shape and data type, C-contiguous.

        Raises
        ------
        ModelError
            The stored bytes are damaged or shorter than the tensor.
        """
        name = f"{self._prefix}data/{tensor.storage}"
        values = np.frombuffer(self._read_entry(name), dtype=tensor.dtype)
        last = sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride, strict=True))
        if 0 not in tensor.shape and tensor.offset + last >= values.size:
            raise ModelError(
                f"{self._path}: a tensor of {name} reaches beyond its {values.size} values."
            )
        view = np.lib.stride_tricks.as_strided(
            values[tensor.offset :],
            shape=tensor.shape,
            strides=tuple(s * tensor.dtype.itemsize for s in tensor.stride),
            writeable=False,
        )
        return np.array(view, order="C")

    def _read_pickle(self) -> tuple[str, bytes]:
        names = [
            name for name in self._entries if name.count("/") == 1 and name.endswith("/data.pkl")
        ]
        if len(names) != 1:
            raise ModelError(f"{self._path}: not a PyTorch file (no data.pkl in the archive).")
        prefix = names[0].removesuffix("data.pkl")
        if self._entries[names[0]].file_size > _MAX_PICKLE_BYTES:
            raise ModelError(
                f"{self._path}: the pickle has {self._entries[names[0]].file_size} bytes, an "
                f"ensemble member's at most {_MAX_PICKLE_BYTES}; this is not an ensemble member."
            )
        order = f"{prefix}byteorder"
        if order in self._entries and self._read_entry(order) != b"little":
            raise ModelError(f"{self._path}: tensors are not little-endian.")
        return prefix, self._read_entry(names[0])

    def _read_entry(self, name: str) -> bytes:
        info = self._entries[name]
        # torch.save never compresses; without compression an entry cannot outgrow its file.
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise ModelError(f"{self._path}: {name} is compressed, as torch.save never does.")
        try:
            data = self._zip.read(info)
        # ValueError: a name in the archive is not text.
        except (OSError, EOFError, zipfile.BadZipFile, RuntimeError, ValueError) as error:
            raise ModelError(f"{self._path}: {name} is damaged ({_reason(error)}).") from error
        if len(data) != info.file_size:
            raise ModelError(f"{self._path}: {name} is shorter than the archive says.")
        return data

    def _build(self, pickled: bytes) -> dict[str, Tensor] | Tensor | SparseTensor:
        try:
            content = _run_pickle(pickled, self._storage)
        except ModelError as error:
            raise ModelError(f"{self._path}: {error}") from None
        except (ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
            raise ModelError(f"{self._path}: the pickle is damaged.") from error
        if isinstance(content, Tensor | SparseTensor):
            return content
        if isinstance(content, dict) and all(
            isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
        ):
            return content
        raise ModelError(f"{self._path}: holds something other than tensors by name.")

    def _storage(self, identifier: Any) -> _Storage:
        kind, storage_type, key, _, n_items = identifier
        # Text only: a tuple of tuples may be short here and endless when it is shown.
        if type(key) is not str:
            raise ModelError("a storage has no name.")
        dtype: np.dtype[Any] = _STORAGE_DTYPES[storage_type.name]
        info = self._entries.get(f"{self._prefix}data/{key}")
        if kind != "storage" or info is None or info.file_size != _count(n_items) * dtype.itemsize:
            raise ModelError(f"storage {shown(key)} is missing or of another size than stated.")
        return _Storage(key, dtype, n_items)


def _run_pickle(pickled: bytes, storage: Any) -> Any:
    """Read the opcodes of a pickle of plain tensors; `storage` resolves persistent identifiers."""
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}

    def pop_mark() -> list[Any]:
        start = marks.pop()
        items = stack[start:]
        del stack[start:]
        return items

    argument: Any
    for opcode, argument, _ in pickletools.genops(pickled):
        match opcode.name:
            case "PROTO" | "FRAME":
                pass
            case "STOP":
                break
            case "MARK":
                marks.append(len(stack))
            case "NONE":
                stack.append(None)
            case "NEWTRUE":
                stack.append(True)
            case "NEWFALSE":
                stack.append(False)
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINUNICODE" | "SHORT_BINUNICODE":
                stack.append(argument)
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_TUPLE":
                stack.append(())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                n = int(opcode.name[-1])
                stack[-n:] = [tuple(stack[-n:])]
            case "TUPLE":
                stack.append(tuple(pop_mark()))
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                _set_items(stack[-1], [key, value])
            case "SETITEMS":
                items = pop_mark()
                _set_items(stack[-1], items)
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "GLOBAL":
                stack.append(_known(argument.replace(" ", ".", 1)))
            case "STACK_GLOBAL":
                name, module = stack.pop(), stack.pop()
                if type(name) is not str or type(module) is not str:
                    raise ModelError("the pickle is damaged.")
                stack.append(_known(f"{module}.{name}"))
            case "BINPERSID":
                stack.append(storage(stack.pop()))
            case "REDUCE":
                arguments, function = stack.pop(), stack.pop()
                stack.append(_call(function, arguments))
            case "BUILD":
                stack.pop()  # version numbers of the modules, which state dictionaries have, too
            case name:
                raise ModelError(f"the pickle uses {name}, which plain tensors do not need.")
    (content,) = stack
    return content


def _known(name: str) -> _Global:
    if name not in _FUNCTIONS and name not in _STORAGE_DTYPES:
        raise ModelError(
            f"the pickle names {shown(name)}; only plain tensors are read. Nothing was executed."
        )
    return _Global(name)


def _set_items(target: Any, items: list[Any]) -> None:
    if not isinstance(target, dict) or not all(isinstance(key, str) for key in items[::2]):
        raise ModelError("holds something other than tensors by name.")
    target.update(zip(items[::2], items[1::2], strict=True))


def _call(function: Any, arguments: Any) -> Any:
    """Describe the result of one of PyTorch's rebuilding functions."""
    match function.name, arguments:
        case "collections.OrderedDict", ():
            return {}
        case "torch.Size", (shape,):
            return _counts(shape)
        case "torch._utils._rebuild_parameter", (Tensor() as tensor, *_):
            return tensor
        case "torch.serialization._get_layout", ("torch.sparse_coo",):
            return "torch.sparse_coo"
        case (
            "torch._utils._rebuild_sparse_tensor",
            ("torch.sparse_coo", (Tensor() as indices, Tensor() as values, shape, *_)),
        ):
            return SparseTensor(indices, values, _counts(shape))
        case "torch._utils._rebuild_tensor_v2", (_Storage() as storage, offset, shape, stride, *_):
            tensor = Tensor(
                storage.key, storage.dtype, _count(offset), _counts(shape), _counts(stride)
            )
            if len(tensor.shape) != len(tensor.stride) or math.prod(tensor.shape) > storage.n_items:
                raise ModelError("a tensor is larger than its storage.")
            return tensor
    raise ModelError(f"{function.name} is called with arguments that plain tensors do not have.")


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 40:
        raise ModelError("a tensor has an impossible size.")
    return value


def _counts(values: Any) -> tuple[int, ...]:
    if type(values) is not tuple or len(values) > _MAX_DIMENSIONS:
        raise ModelError("a tensor has an impossible shape.")
    return tuple(map(_count, values))


def _reason(error: BaseException) -> str:
    return (
        error.strerror or str(error) if isinstance(error, OSError) else str(error) or "unreadable"
    )
