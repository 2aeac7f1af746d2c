"""Findings about a dataset, as tests look at them."""


def by_code(findings):
    """Findings by their code, each of which is there once."""
    assert len({finding.code for finding in findings}) == len(findings)
    return {finding.code: finding for finding in findings}
