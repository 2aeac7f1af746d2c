"""Where R is, and which of its packages."""

import shutil
import subprocess
from functools import cache

import pytest


@cache
def _lacking(*packages):
    """Say what is missing; "" if all is there."""
    if shutil.which("Rscript") is None:
        return "R is not installed"
    listed = ", ".join(f"'{name}'" for name in packages)
    code = f"cat(Filter(function(name) !nzchar(system.file(package = name)), c({listed})))"
    done = subprocess.run(
        ["Rscript", "--vanilla", "-e", code], capture_output=True, text=True, check=True
    )
    return f"R lacks {done.stdout.strip()}" if done.stdout.strip() else ""


def require_r(*packages):
    """Skip a test without R or some of its packages."""
    reason = _lacking(*packages)
    if reason:
        pytest.skip(reason)
