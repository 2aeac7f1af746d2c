"""Tensors of PyTorch files, read without PyTorch; anything but tensors is refused by name."""

import pickle
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from helpers import torch_format

from cytotrace2_lite.errors import ModelError
from cytotrace2_lite.models.fold.torch_file import SparseTensor, TorchFile

STATE = {
    "layers.0.weight": np.arange(6, dtype=np.float32).reshape(2, 3) - 2.5,
    "layers.0.batchnorm.num_batches_tracked": np.array(7, dtype=np.int64),
    "layers.0.out.bias": np.array([np.pi]),
}


def read(path):
    with TorchFile(path) as file:
        return {name: file.read(tensor) for name, tensor in file.content.items()}


def refused(path):
    with pytest.raises(ModelError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def test_state_dictionary(tmp_path):
    state = read(torch_format.save(tmp_path / "member.pt", STATE))
    assert list(state) == list(STATE)
    for name, expected in STATE.items():
        np.testing.assert_array_equal(state[name], expected, strict=True)


def test_sparse_tensor(tmp_path):
    indices = np.array([[0, 2, 2], [1, 0, 0]])
    values = np.array([1, 2, 3], dtype=np.float32)
    path = torch_format.save_sparse(tmp_path / "background.pt", indices, values, (3, 3))
    with TorchFile(path) as file:
        assert isinstance(file.content, SparseTensor)
        assert file.content.shape == (3, 3)
        np.testing.assert_array_equal(file.read(file.content.indices), indices)
        np.testing.assert_array_equal(file.read(file.content.values), values)


@pytest.mark.parametrize(
    "name",
    ["os.system", "builtins.eval", "posix.system", "torch.load", "numpy.core.multiarray.scalar"],
)
def test_a_pickle_that_names_anything_else_is_refused_by_name(tmp_path, name):
    module, _, attribute = name.rpartition(".")
    witness = tmp_path / "executed"
    pickled = (
        f"c{module}\n{attribute}\n".encode()
        + torch_format._tuple(torch_format._text(f"touch {witness}"))
        + b"R."
    )
    message = refused(torch_format.write_archive(tmp_path / "evil.pt", pickled, []))
    assert message == (
        f"the pickle names {name!r}; only plain tensors are read. Nothing was executed."
    )
    assert not witness.exists()


@pytest.mark.parametrize("protocol", [2, 4])
def test_python_objects_are_refused(tmp_path, protocol):
    pickled = pickle.dumps({"x": slice(1)}, protocol)
    message = refused(torch_format.write_archive(tmp_path / "x.pt", pickled, []))
    assert "builtins.slice" in message or "__builtin__.slice" in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1.5], "the pickle uses EMPTY_LIST, which plain tensors do not need."),
        ({"x": 3}, "holds something other than tensors by name."),
        ({3: None}, "holds something other than tensors by name."),
        ((), "holds something other than tensors by name."),
    ],
)
def test_other_content_is_refused(tmp_path, content, message):
    path = torch_format.write_archive(tmp_path / "x.pt", pickle.dumps(content, 2), [])
    assert refused(path) == message


def test_a_tensor_larger_than_its_storage_is_refused(tmp_path):
    array = np.zeros(4, dtype=np.float32)
    pickled = b"\x80\x02}(X\x01\x00\x00\x00x" + torch_format.tensor_pickle("0", array, (5,)) + b"u."
    path = torch_format.write_archive(tmp_path / "x.pt", pickled, [array])
    assert refused(path) == "a tensor is larger than its storage."


def test_a_storage_of_another_size_is_refused(tmp_path):
    pickled = b"\x80\x02}(X\x01\x00\x00\x00x" + torch_format.tensor_pickle("0", np.zeros(4)) + b"u."
    path = torch_format.write_archive(tmp_path / "x.pt", pickled, [np.zeros(3)])
    assert refused(path) == "storage '0' is missing or of another size than stated."


def test_a_compressed_entry_is_refused(tmp_path):
    path = torch_format.write_archive(
        tmp_path / "x.pt", b"N.", [], compress_type=zipfile.ZIP_DEFLATED
    )
    assert refused(path) == "archive/data.pkl is compressed, as torch.save never does."


def test_a_huge_pickle_is_refused(tmp_path):
    path = torch_format.write_archive(tmp_path / "x.pt", b"N" * 2_000_000, [])
    assert "the pickle has 2000000 bytes" in refused(path)


def test_a_lying_size_is_refused_before_anything_is_read(tmp_path):
    path = torch_format.save(tmp_path / "member.pt", STATE)
    content = bytearray(path.read_bytes())
    entry = content.find(b"PK\x01\x02")  # the first of the central directory
    content[entry + 20 : entry + 28] = (2_000_000_000).to_bytes(4, "little") * 2
    path.write_bytes(content)
    assert refused(path) == "archive/data.pkl is larger than the whole file."


def test_a_huge_file_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "huge.pt"
    with path.open("wb") as file:
        file.truncate(200_000_000)
    assert refused(path) == (
        "the file has 200000000 bytes, no file of an ensemble more than 134217728."
    )


def test_small_pickles_of_endless_names_are_refused(tmp_path):
    doubled = b"".join(b"q\x00h\x00\x86" for _ in range(60))  # (x, x) of (x, x) of ...
    storage, end = b"ctorch\nFloatStorage\n", b"X\x03\x00\x00\x00cpuK\x01tQ."
    for opcodes in (
        b"N" + doubled + b"N\x93.",  # as the module of a global
        b"(X\x07\x00\x00\x00storage" + storage + b"N" + doubled + end,
        b"(X\x07\x00\x00\x00storage" + storage + b"N" + b"\x85" * 300_000 + end,
    ):
        path = torch_format.write_archive(tmp_path / "x.pt", b"\x80\x04" + opcodes, [])
        assert refused(path) in {"the pickle is damaged.", "a storage has no name."}


def test_memory_stays_small_whatever_a_pickle_asks_for(tmp_path):
    number = b"\x8a\xff" + b"\x7f" * 255  # a LONG1 as large as there is
    for opcodes in (
        b"N" + b"r\xff\xff\xff\x7f" + b".",  # a memo index of two thousand million
        b"(" * 100_000 + b".",
        b"N" + b"\x85" * 100_000 + b".",  # a tuple in a tuple in a tuple
        number * 3000 + b".",
        b"X\xff\xff\xff\x7f.",  # a text longer than the file
        b"N" + b"q\x00h\x00\x86" * 50_000 + b".",  # doubles with every step, if copied
    ):
        path = torch_format.write_archive(tmp_path / "x.pt", b"\x80\x02" + opcodes, [])
        tracemalloc.start()
        refused(path)
        assert tracemalloc.get_traced_memory()[1] < 100e6
        tracemalloc.stop()


def test_damaged_bytes_are_noticed(tmp_path):
    path = torch_format.save(tmp_path / "member.pt", STATE)
    content = bytearray(path.read_bytes())
    at = content.find(STATE["layers.0.weight"].tobytes())
    content[at] ^= 1
    path.write_bytes(content)
    assert refused(path).startswith("archive/data/0 is damaged")


def test_no_file_and_no_archive(tmp_path):
    assert refused(tmp_path / "none.pt") == "not a PyTorch file (No such file or directory)."
    (tmp_path / "text.pt").write_text("no zip")
    assert refused(tmp_path / "text.pt") == "not a PyTorch file (File is not a zip file)."
    with zipfile.ZipFile(tmp_path / "zip.pt", "w") as archive:
        archive.writestr("a.txt", "x")
    assert refused(tmp_path / "zip.pt") == "not a PyTorch file (no data.pkl in the archive)."


def test_mutated_files_give_tensors_or_one_clear_error(tmp_path):
    path = torch_format.save(tmp_path / "member.pt", STATE)
    whole = path.read_bytes()
    random = np.random.RandomState(0)
    outcomes = set()
    for _ in range(200):
        content = bytearray(whole)
        for at in random.randint(0, len(whole), random.randint(1, 8)):
            content[at] = random.randint(0, 256)
        path.write_bytes(
            content[: random.randint(1, len(content) + 1)] if random.rand() < 0.2 else content
        )
        try:
            read(path)
            outcomes.add("read")
        except ModelError as error:
            outcomes.add("refused" if str(error).startswith(f"{path}: ") else str(error))
    assert "refused" in outcomes
    assert outcomes <= {"read", "refused"}


def _rebuild(*arguments):
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + torch_format._tuple(*arguments) + b"R"


_STORAGE = (
    torch_format._tuple(
        torch_format._text("storage"),
        b"ctorch\nFloatStorage\n",
        torch_format._text("0"),
        torch_format._text("cpu"),
        torch_format._integer(4),
    )
    + b"Q"
)
_ONE, _TWO, _MINUS, _HUGE = (torch_format._integer(n) for n in (1, 2, -1, 2**31 - 1))
_tuple = torch_format._tuple
_FLOAT = b"G\x3f\xf0\x00\x00\x00\x00\x00\x00"


@pytest.mark.parametrize(
    "value",
    [
        _rebuild(),
        _rebuild(_STORAGE),
        _rebuild(_ONE, _ONE, b")", b")"),
        _rebuild(_STORAGE, _MINUS, _tuple(_ONE), _tuple(_ONE)),
        _rebuild(_STORAGE, _FLOAT, _tuple(_ONE), _tuple(_ONE)),
        _rebuild(_STORAGE, _ONE, _tuple(_HUGE, _HUGE), _tuple(_ONE, _ONE)),
        _rebuild(_STORAGE, _ONE, _tuple(_TWO), _tuple(_HUGE)),
        _rebuild(_STORAGE, _HUGE, _tuple(_ONE), _tuple(_ONE)),
        _rebuild(_STORAGE, _ONE, _tuple(_ONE), b")"),
        _rebuild(_STORAGE, _ONE, _tuple(*[_ONE] * 9), _tuple(*[_ONE] * 9)),
        b"ctorch._utils\n_rebuild_sparse_tensor\n" + _tuple(_ONE, _ONE) + b"R",
        b"ctorch._utils\n_rebuild_parameter\n" + _tuple(_ONE) + b"R",
        b"ctorch.serialization\n_get_layout\n" + _tuple(b"Vtorch.strided\n") + b"R",
        b"ctorch\nSize\n" + _tuple(_ONE) + b"R",
        b"ctorch\nFloatStorage\n" + _tuple(_ONE) + b"R",
        b"ccollections\nOrderedDict\n" + _tuple(_ONE) + b"R",
        _tuple(_tuple(_rebuild(_STORAGE))),
        b"cnumpy.core.multiarray\n_reconstruct\n)R",
    ],
)
def test_rebuilders_with_odd_arguments(tmp_path, value):
    pickled = b"\x80\x02}(X\x01\x00\x00\x00x" + value + b"u."
    array = np.zeros(4, dtype=np.float32)
    refused(torch_format.write_archive(tmp_path / "x.pt", pickled, [array]))


MEMBER = Path(__file__).resolve().parents[4] / "shared/reference/official_v1.0/EPI_CountsTable.pt"


@pytest.mark.skipif(not MEMBER.is_file(), reason="../shared/reference is not there")
def test_mutations_of_a_real_member(tmp_path):
    """In a process of its own, so that its peak memory is that of the worst of them."""
    code = f"""
import resource
from pathlib import Path
import numpy as np
from cytotrace2_lite.errors import ModelError
from cytotrace2_lite.models.fold.members import read_member
whole = Path({str(MEMBER)!r}).read_bytes()
path = Path({str(tmp_path)!r}) / "mutated.pt"
read_member(Path({str(MEMBER)!r}))
baseline = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
random = np.random.RandomState(0)
refused = 0
for i in range(200):
    content = bytearray(whole)
    # Half of them near the end, where the directory of the archive and the pickle's entry lie.
    low = 0 if i % 2 else len(whole) - 4000
    for at in random.randint(low, len(whole), random.randint(1, 6)):
        content[at] = random.randint(0, 256)
    path.write_bytes(content[: random.randint(1, len(content))] if i % 5 == 0 else content)
    try:
        read_member(path)
    except ModelError as error:
        assert str(error).startswith(f"{{path}}: ") and chr(10) not in str(error), error
        refused += 1
grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - baseline) / 1024
assert grown < 200, grown
assert refused > 150, refused
print(refused, round(grown))
"""
    process = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    print(process.stdout)
