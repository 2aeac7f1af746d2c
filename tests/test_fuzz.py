"""Every reader on a fixed number of slightly damaged inputs, the same every time.

The readers are those of `fuzz/targets.py`. `fuzz/run.py` goes on for as long as one likes.
"""

import pytest
from fuzz import mutations, targets

N_INPUTS = {
    "h5ad": 100,
    "tenx": 100,
    "loom": 100,
    "h5seurat": 100,
    "zarr": 60,
    "run": 60,
    "results": 200,
}


@pytest.mark.parametrize("name", [name for name in targets.TARGETS if name != "hdf5_bytes"])
def test_changed_inputs(tmp_path, name):
    target = targets.TARGETS[name]
    seeds = target.seeds()
    whole = range(len(seeds)) if len(seeds) < 50 else ()
    n_inputs = N_INPUTS.get(name, 400)
    for number in [*whole, *range(len(seeds), len(seeds) + n_inputs)]:
        data = mutations.mutant(seeds, target.words, number)
        try:
            target.run(data, tmp_path)
        except Exception as error:
            raise AssertionError(f"input {number} of {name}: {data[:300]!r}") from error
