"""The annotation file: its columns, and its cells beside those of the table."""

import pytest
from helpers.findings import by_code

import cytotrace2_lite as ct2
from cytotrace2_lite.base.options import RunOptions
from cytotrace2_lite.directory import check_file
from cytotrace2_lite.metadata.annotation import read_annotation


class TestColumns:
    def write(self, tmp_path, text):
        path = tmp_path / "a.txt"
        path.write_text(text)
        return path

    def test_columns(self, tmp_path):
        annotation = read_annotation(
            self.write(tmp_path, "id\tlabel\tdonor\tlane\nc1\tx\td1\t1\nc2\ty\td2\nc3\tz\n")
        )
        assert annotation.labels == {"c1": "x", "c2": "y", "c3": "z"}
        assert annotation.column("label", ["c3", "c1"]) == ["z", "x"]
        assert annotation.column("donor", ["c2", "c3", "c9"]) == ["d2", "", ""]

    def test_header_of_r(self, tmp_path):
        annotation = read_annotation(self.write(tmp_path, "label\tdonor\nc1\tx\td1\nc2\ty\td2\n"))
        assert annotation.column("donor", ["c2"]) == ["d2"]

    @pytest.mark.parametrize(
        ("column", "message"),
        [
            (
                "patient",
                (
                    "{path}: no column is called 'patient'. Its columns after the ids are 'label', "
                    "'donor', 'donor'."
                ),
            ),
            (
                "donor",
                (
                    "{path}: two columns are called 'donor'. Its columns after the ids are "
                    "'label', 'donor', 'donor'."
                ),
            ),
            (
                "id",
                (
                    "{path}: 'id' is the column of the cell ids. The columns after it are 'label', "
                    "'donor', 'donor'."
                ),
            ),
        ],
    )
    def test_unusable_column(self, tmp_path, column, message):
        path = self.write(tmp_path, "id\tlabel\tdonor\tdonor\nc1\tx\ty\tz\n")
        with pytest.raises(ct2.UsageError) as caught:
            read_annotation(path).column(column, ["c1"])
        assert str(caught.value) == message.format(path=path)


class TestCells:
    def test_larger_than_the_table_is_a_note(self, ensembles, tiny_table, tmp_path):
        (tmp_path / "a.txt").write_text("id\tlabel\nc1\tx\nc2\ty\nc3\tz\n")
        path = tmp_path / "a.txt"
        found = by_code(
            check_file(tiny_table(), RunOptions(model=ensembles["1.1.0"]), annotation_path=path)
        )
        assert found["annotation"].severity == "note"
        assert found["annotation"].what == (
            f"{path}: all 2 cells of the table have a label; 1 of its 3 ids are not cells of the "
            "table: 'c3'"
        )

    def test_smaller_than_the_table(self, ensembles, tiny_table, tmp_path):
        (tmp_path / "a.txt").write_text("id\tlabel\nc2\ty\n")
        path = tmp_path / "a.txt"
        found = by_code(
            check_file(tiny_table(), RunOptions(model=ensembles["1.1.0"]), annotation_path=path)
        )
        assert str(found["annotation"]) == (
            f"{path}: 1 of 2 cells of the table have no label: 'c1'. This does not change "
            "the scores; plots show such cells without a label. Add their labels."
        )
