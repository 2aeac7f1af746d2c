"""What all wings share: potencies, parameters and options of a run, findings, progress.

Of its modules, only `potency` imports NumPy: the command line shows its help without it.
"""
