"""Checks: of a dataset, of memory and time, of the model file, of how its members agree."""
