"""Why a cell has its potency: the share of every gene in every score."""
