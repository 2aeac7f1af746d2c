"""Fuzz a reader, guided by the coverage of its code.

    pip install -e '.[test,fuzz]'
    python tests/fuzz/run.py TARGET [--isolated] [libFuzzer options]
    python tests/fuzz/run.py text -max_total_time=600 -max_len=4096 -timeout=20 -rss_limit_mb=2048

The targets are those of `targets.py`. An input that fails is written to `crash-...`, `timeout-...`
or `oom-...` in the working directory; `python tests/fuzz/run.py TARGET FILE` runs it again.

`hdf5_bytes`, where the HDF5 library itself may crash or never return, needs `--isolated
[--seconds N]`: mutations without guidance, each in a process of its own, counted by how they end.
"""

import os
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

for library in ("OPENBLAS", "MKL", "OMP"):
    os.environ[f"{library}_NUM_THREADS"] = "1"
os.environ["CT2_LITE_MODELS_DIR"] = "/nonexistent/cytotrace2_lite"
os.environ.pop("CT2_LITE_MODEL", None)
sys.path[0] = str(Path(__file__).parents[1])  # not the folder of this file


def memory_folder():
    """A folder in memory if possible, because each input is written to a file."""
    shared = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 (a new folder in it)
    return tempfile.TemporaryDirectory(prefix="ct2-fuzz-", dir=shared)


def guided(name, options):
    """Fuzz with libFuzzer."""
    import atheris

    # Only the coverage of this code guides it, not that of libraries.
    with atheris.instrument_imports(include=["cytotrace2_lite", "csv", "zipfile", "pickletools"]):
        from fuzz import targets

    target = targets.TARGETS[name]
    with memory_folder() as work:
        folder, seeds, words = Path(work, "files"), Path(work, "seeds"), Path(work, "words")
        folder.mkdir()
        seeds.mkdir()
        for i, seed in enumerate(target.seeds()):
            (seeds / str(i)).write_bytes(seed)
        quoted = ("".join(f"\\x{byte:02x}" for byte in word) for word in target.words)
        words.write_text("".join(f'"{word}"\n' for word in quoted))
        single = [option for option in options if not option.startswith("-")]
        corpus = [] if single else [*[f"-dict={words}"] * bool(target.words), str(seeds)]
        # libFuzzer ends its process, and nothing is tidied up there: this one does it.
        child = os.fork()
        if not child:
            atheris.Setup([sys.argv[0], *options, *corpus], lambda data: target.run(data, folder))
            atheris.Fuzz()
            os._exit(0)
        _, status = os.waitpid(child, 0)
    sys.exit(os.waitstatus_to_exitcode(status))


def isolated(name, seconds, limit=10):
    """Run mutations in processes of their own and count how they end."""
    from fuzz import mutations, targets

    target = targets.TARGETS[name]
    ends = Counter()
    seeds = target.seeds()
    started = time.monotonic()
    number = 0
    with memory_folder() as work:
        folder = Path(work)
        while time.monotonic() - started < seconds:
            data = mutations.mutant(seeds, target.words, number)
            child = os.fork()
            if not child:
                resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
                resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                signal.alarm(limit)
                try:
                    target.run(data, folder)
                except BaseException as error:  # noqa: BLE001 (it is printed)
                    print(f"{number}: {type(error).__name__}: {error}"[:300], flush=True)
                    os._exit(1)
                os._exit(0)
            _, status = os.waitpid(child, 0)
            end = (
                f"killed by {signal.Signals(os.WTERMSIG(status)).name}"
                if os.WIFSIGNALED(status)
                else ("as it must", "FAILED")[os.WEXITSTATUS(status) != 0]
            )
            ends[end] += 1
            if end != "as it must":
                Path(f"{name}-{number}").write_bytes(data)
            number += 1
    print(f"{name}: {number:,} inputs in {time.monotonic() - started:.0f} s: {dict(ends)}")


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if not arguments or arguments[0].startswith("-"):
        sys.exit(__doc__)
    if "--isolated" in arguments:
        seconds = (
            float(arguments[arguments.index("--seconds") + 1]) if "--seconds" in arguments else 60
        )
        isolated(arguments[0], seconds)
    else:
        guided(arguments[0], arguments[1:])
