"""Names of genes that a spreadsheet program has changed."""

import pytest

from cytotrace2_lite.genes.dates import dates_among, is_date


@pytest.mark.parametrize(
    "name",
    [
        *[
            "1-Mar",
            "01-Mar",
            "1.Mrz",
            "01-Mrz",
            "Mar-01",
            "Mrz-01",
            "2-Sep",
            "2-Sept",
            "15-sep",
            "4-Okt",
            "1/3/2023",
            "03/01/23",
            "01.03.2023",
            "1.3.23",
            "2023-03-01",
            "2023/03/01",
            "2023-03-01T00:00:00",
            "01-Mar-23",
            "1-Dez",
        ],
        *("1-March", "2023-03-01 00:00:00", "1. Mrz", "1 Mar", "1. M\xe4r", "1 Mar 2023"),
    ],
)
def test_dates(name):
    assert is_date(name)


@pytest.mark.parametrize(
    "name",
    """March1 Sept2 MARCHF1 Dec1 mir-21 miR-1 set-1 mai-1 out-1 jun-10x H2-K1 Nkx2-1 RP11-34P13.7
    1.5 44256 AC012345.1 ENSG00000141510.16 HLA-A 7SK 1700001C02Rik Mar""".split(),  # noqa: SIM905
)
def test_names(name):
    assert not is_date(name)


def test_serial_numbers():
    genes = ["Actb", "Sox17", "Gapdh", "Nanog"]
    assert dates_among([*genes, "44256", "44440.0", "1-Mar"]) == ("44256", "44440.0", "1-Mar")
    assert dates_among([*genes, "44256", "1234"]) == ()  # ids of another kind
    assert dates_among([*genes, "44300"]) == ()  # 2021-04-14, of no gene
    assert dates_among(["44256", "44257", "Actb"]) == ()  # mostly numbers
