"""Ask cytotrace2-py which feature each gene name comes to.

Run it with the interpreter of an environment that has ``cytotrace2-py`` 1.1.0.4::

    python tests/goldens/make_gene_mapping.py             # write gene_mapping.json beside this file
    python tests/goldens/make_gene_mapping.py --ask FILE  # answer questions, see main

``gene_mapping.json`` holds only what ``build_mapping_dict`` and ``preprocess`` of that package
answered here; nothing of cytotrace2_lite goes into it.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import json
import random
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import scipy

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from cytotrace2_py.common import gen_utils

# Which of two human genes comes to it depends on the processor (an unstable sort).
UNSTABLE_FEATURE = "Krtap1-5"


@functools.cache
def tables():
    with warnings.catch_warnings(), contextlib.redirect_stdout(None):
        warnings.simplefilter("ignore")
        return build_mapping_dict()


# preprocess builds the tables anew, for 5 s, each time it is called
build_mapping_dict = gen_utils.build_mapping_dict
gen_utils.build_mapping_dict = tables


def one_by_one(species: str) -> dict[str, str]:
    """Feature of each name of the tables, were it alone in the input."""
    symbols, human_aliases, mouse_aliases, features = tables()
    if species == "mouse":
        return mouse_aliases | {feature: feature for feature in features}
    known = set(features)
    return {k: v for k, v in (human_aliases | symbols).items() if v in known}


def together(names: list[str], species: str) -> list[str | None]:
    """Feature of each name of an input, None where it has none, by ``preprocess``.

    The value of each gene is its number, so the table that preprocess ranks says which gene
    reached which feature.
    """
    seen = []

    def rankdata(values, **_):
        seen.append(-values)
        return values

    frame = pd.DataFrame([np.arange(1.0, len(names) + 1)] * 2, columns=names)
    gen_utils.scipy = SimpleNamespace(stats=SimpleNamespace(rankdata=rankdata))
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(None):
            warnings.simplefilter("ignore")
            _, features, _, _ = gen_utils.preprocess(frame, species)
    finally:
        gen_utils.scipy = scipy
    answers: list[str | None] = [None] * len(names)
    for feature, number in zip(features, seen[0][0], strict=True):
        if number:
            answers[int(number) - 1] = feature
    return answers


def digest(pairs: dict[str, str]) -> str:
    """SHA-256 of the lines "name TAB feature", in code-point order, but for Krtap1-5."""
    lines = sorted(f"{k}\t{v}\n" for k, v in pairs.items() if v != UNSTABLE_FEATURE)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def inputs() -> list[tuple[str, str, list[str]]]:
    """Inputs that show every way to a feature and every precedence: title, species, names."""
    symbols, human_aliases, mouse_aliases, features = tables()
    features = [feature for feature in features if feature != UNSTABLE_FEATURE]
    official = {feature: symbol for symbol, feature in symbols.items()}
    choose = random.Random(14)  # noqa: S311

    def some(names, n):
        return choose.sample(sorted(names), n)

    uppercase = [f for f in features if official[f] == f.upper()]
    renamed = [f for f in features if official[f] != f.upper()]
    no_feature = [symbol for symbol, gene in symbols.items() if gene not in set(features)]
    human = [official[f] for f in some(renamed, 120) + some(uppercase, 120)]
    aliases = some(human_aliases, 40)
    of_aliases = [official[human_aliases[alias]] for alias in aliases]
    mouse = some(features, 120)
    old = some(mouse_aliases, 40)
    of_old = [mouse_aliases[name] for name in old]
    unknown = ["LINC01128", "Gm38393", "ENSG00000223972", "ERCC-00002", "not a gene", ""]
    # preprocess of human genes crashes on several unknown names without an alias among them
    human += aliases[:1]
    cases = [
        ("symbols", "human", human + some(no_feature, 40) + some(features, 20) + unknown),
        ("symbols", "mouse", mouse + human[:20] + unknown),
    ]
    for species, names, symbols_of in (("human", aliases, of_aliases), ("mouse", old, of_old)):
        cases += [
            ("aliases alone", species, [*names, *unknown]),
            ("symbols before their aliases", species, symbols_of + names),
            ("symbols after their aliases", species, names + symbols_of),
            ("half of the symbols", species, [*names, *symbols_of[::2]]),
        ]
    return cases


def golden() -> str:
    cases = [
        {"title": title, "species": species, "genes": dict(zip(names, answers, strict=True))}
        for title, species, names in inputs()
        for answers in [together(names, species)]
    ]
    return json.dumps(
        {
            "provenance": f"cytotrace2-py {version('cytotrace2-py')}, pandas {pd.__version__}; "
            "made by tests/goldens/make_gene_mapping.py",
            "n_names": {s: len(one_by_one(s)) for s in ("human", "mouse")},
            "sha256_without_krtap1_5": {s: digest(one_by_one(s)) for s in ("human", "mouse")},
            "inputs": cases,
        },
        indent=0,
    )


def main() -> None:
    """Command line.

    With ``--ask`` a JSON file holds a list of {"species", "names"}. Standard output gets a JSON
    list with the answers to each, and for {"species"} without names the whole table.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--ask", type=Path)
    questions = parser.parse_args().ask
    if questions is None:
        Path(__file__).with_name("gene_mapping.json").write_text(golden() + "\n")
        return
    answers = [
        together(q["names"], q["species"]) if "names" in q else one_by_one(q["species"])
        for q in json.loads(questions.read_text())
    ]
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
