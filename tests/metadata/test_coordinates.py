"""Coordinates of cells that somebody computed."""

import os
import re

import numpy as np
import pytest

import cytotrace2_lite as ct2
from cytotrace2_lite.metadata.coordinates import match_cells, read_embedding


class TestEmbeddingFile:
    @pytest.mark.parametrize(
        ("text", "axes"),
        [
            ("c1,1,2\nc2,3,-4e0\n", ("Embedding 1", "Embedding 2")),
            (
                "\ufeffcell\tUMAP_1\tUMAP_2\tmore\r\nc1\t1\t2\tx\r\nc2\t3\t-4\ty\r\n",
                ("UMAP_1",) * 2,
            ),
            ('"","tSNE 1","tSNE 2"\n"c1",1,2\n"c2",3,-4\n', ("tSNE 1", "tSNE 2")),
            (",0,1\nc1,1,2\nc2,3,-4\n", ("Embedding 1", "Embedding 2")),
            ("UMAP_1\tUMAP_2\nc1\t1\t2\n\nc2\t3\t-4\n", ("UMAP_1", "UMAP_2")),
        ],
        ids=["plain", "tabs", "quotes", "pandas", "R"],
    )
    def test_formats(self, tmp_path, text, axes):
        path = tmp_path / "umap.csv"
        path.write_text(text, encoding="utf-8", newline="")
        coordinates, names = read_embedding(path)
        assert coordinates == {"c1": (1.0, 2.0), "c2": (3.0, -4.0)}
        assert names[0] == axes[0]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "the embedding holds no cell: it needs a line per cell with its id and two"),
            ("cell,x,y\n", "the embedding holds no cell: it needs a line per cell with its id"),
            ("cell,x,y\nc1,1\n", "line 2 has 2 fields: it needs a cell id and two coordinates."),
            (
                "cell,x,y\nc1,1,NA\n",
                "line 2, cell 'c1': 'NA' is not a finite number. Leave the line out where a cell",
            ),
            ("c1,1,2\nc1,1,2\n", "line 2: cell 'c1' appears twice. Keep one of its lines."),
            (
                "c1,1,2\n\x00\xff",
                "this embedding file is not plain text. Unpack it, or save the sheet",
            ),
        ],
    )
    def test_errors(self, tmp_path, text, message):
        path = tmp_path / "umap.csv"
        path.write_bytes(text.encode("latin-1"))
        with pytest.raises(ct2.InputError, match=re.escape(f"{path}: {message}")):
            read_embedding(path)

    def test_a_pipe(self):
        read, write = os.pipe()
        with os.fdopen(write, "w") as file:
            file.write("c1,1,2\n")
        assert read_embedding(f"/dev/fd/{read}")[0] == {"c1": (1.0, 2.0)}
        os.close(read)

    def test_no_file(self, tmp_path):
        path = tmp_path / "none.csv"
        message = (
            f"{path}: no such file with an embedding. The name of an array in obsm needs an .h5ad "
            "input."
        )
        with pytest.raises(ct2.InputError, match=f"^{re.escape(message)}$"):
            read_embedding(path)

    def test_ids_are_checked(self):
        found, problems = match_cells(
            {"c1": (1.0, 2.0), "z": (0.0, 0.0)}, ("x", "y"), ["c0", "c1", "c2"], "e.csv"
        )
        np.testing.assert_array_equal(found.coordinates, [[np.nan] * 2, [1, 2], [np.nan] * 2])
        assert [str(problem.warning) for problem in problems] == [
            (
                "e.csv: 2 of 3 cells of the table have no coordinates: 'c0', 'c2'. They are not in "
                "the UMAP plots; the scores do not depend on coordinates. Check that the ids are "
                "written alike."
            )
        ]
        assert isinstance(problems[0].warning, ct2.PlotWarning)
        message = (
            "e.csv: none of the 2 cells of the table has coordinates: the table has 'a', 'b', the "
            "embedding 'c1'. Write the ids alike."
        )
        with pytest.raises(ct2.InputError, match=f"^{re.escape(message)}$"):
            match_cells({"c1": (1.0, 2.0)}, ("x", "y"), ["a", "b"], "e.csv")
