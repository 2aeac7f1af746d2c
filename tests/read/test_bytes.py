"""Compressed text."""

import pytest
from helpers import formats
from helpers.readers import GENES, is_known, message

from cytotrace2_lite.read import read_expression

pytestmark = pytest.mark.usefixtures("working_directory")


@pytest.mark.parametrize("kind", ["gz", "bz2", "zst"])
def test_compressed_text_cut_short(data, tmp_path, kind):
    content = formats.compress(formats.text(data), kind)
    (tmp_path / "t.txt").write_bytes(content[:-3])
    name = {"gz": "gzip", "zst": "zstd"}.get(kind, kind)
    assert message("t.txt") == (
        f"t.txt: the {name} data are damaged or cut short. Copy or download the file again."
    )
    (tmp_path / "t.txt").write_bytes(content + formats.compress(b"Sox2\t1\t2\t3\n", kind))
    assert read_expression("t.txt", is_known)[0].genes == [*GENES, "Sox2"]
