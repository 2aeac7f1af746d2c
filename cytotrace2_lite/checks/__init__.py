"""Checks before anything is computed: of a dataset, of memory and time, of the model file."""
