"""Check the results of a run against the digest in its record.

check_digest.py DIRECTORY [PREFIX]

Exits with 1 if a result is missing, or is not what `run.json` says. Needs only Python.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

__all__: list[str] = []


def _main(directory: str, prefix: str = "") -> str:
    begin = f"{prefix}_" if prefix else ""
    record = json.loads(Path(directory, f"{begin}run.json").read_text(encoding="utf-8"))
    results = Path(directory, record["results"])
    digest = hashlib.sha256(results.read_bytes()).hexdigest()
    if digest != record["results_sha256"]:
        sys.exit(f"{results}: SHA-256 is {digest}, but {record['results_sha256']} in its record")
    return f"{digest}  {results.name}"


if __name__ == "__main__":
    print(_main(*sys.argv[1:]))
