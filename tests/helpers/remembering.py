"""ct2-lite for tests in R: it scores an input once, and answers from memory when it comes again.

    python remembering.py MEMORY run ...

MEMORY/calls has a line for each call: the digest of the input and the options, and whether it was
scored. The input is what the files hold; the order of the entries of a matrix and its banner do not
count.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path


def digest(arguments):
    content = hashlib.sha256()
    for option, value in zip([None, *arguments], arguments, strict=False):
        if option == "-o":
            continue
        path = Path(value)
        if option == "-f" and path.is_dir():
            sizes, *entries = (path / "matrix.mtx").read_bytes().splitlines()[1:]
            names = [(path / name).read_bytes() for name in ("features.tsv", "barcodes.tsv")]
            parts = [b" ".join(sizes.split()), *sorted(entries), *names]
        elif option in ("-f", "-a") and path.is_file():
            parts = [path.read_bytes()]
        else:
            parts = [value.encode()]
        for part in parts:
            content.update(part + b"\0")
    return content.hexdigest()


def main(memory, *arguments):
    key = digest(arguments)
    known = Path(memory) / key
    output = Path(arguments[arguments.index("-o") + 1])
    is_known = known.is_dir()
    with (Path(memory) / "calls").open("a") as calls:
        calls.write(f"{key} {'remembered' if is_known else 'scored'}\n")
    if is_known:
        shutil.copytree(known / "out", output, dirs_exist_ok=True)
        sys.stderr.write((known / "stderr").read_text())
        return 0
    done = subprocess.run(
        [sys.executable, "-m", "cytotrace2_lite", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    sys.stderr.write(done.stderr)
    if done.returncode == 0:
        shutil.copytree(output, known / "out")
        (known / "stderr").write_text(done.stderr)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
