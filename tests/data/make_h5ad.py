"""Make `anndata_VERSION.h5ad`, four cells as the installed version of anndata writes them.

python make_h5ad.py
"""

import anndata
import numpy as np
import pandas as pd

GENES = ["Actb", "Gapdh", "Sox17", "Pou5f1", "Nanog"]
VALUES = [[5, 0, 30, 1, 0], [1, 2, 0, 0, 9], [0, 0, 0, 0, 0], [40, 3, 1, 0, 2]]

obs = pd.DataFrame(
    {"batch": pd.Categorical(["x", "y", "x", "y"]), "depth": [36, 12, 0, 46]},
    index=["c1", "c2", "c3", "c4"],
)
adata = anndata.AnnData(np.array(VALUES, dtype="float32"), obs, pd.DataFrame(index=GENES))
adata.uns["made_by"] = {"anndata": anndata.__version__}
adata.write_h5ad(f"anndata_{anndata.__version__}.h5ad")
