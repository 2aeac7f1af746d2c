"""Results of a run: scores, tables, the record `run.json`, AnnData; comparison of results."""
