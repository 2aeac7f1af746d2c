"""The words everybody uses: potency, findings, progress, parameters."""
