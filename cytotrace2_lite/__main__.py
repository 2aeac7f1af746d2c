"""The program `ct2-lite`, which `python -m cytotrace2_lite` is, too."""

import sys

__all__ = ["program"]


def program() -> None:
    """Run the command line of this process; Ctrl-C ends it quietly from the first import on."""
    try:
        from cytotrace2_lite.cli.main import main

        main()
    except KeyboardInterrupt:  # before `main` listens, or after
        sys.exit(130)
    except SystemExit as end:
        _ignore_signals()
        if isinstance(end.code, int):
            _leave(end.code)
        raise
    finally:
        _ignore_signals()


def _ignore_signals() -> None:
    """Ignore them: the code is settled, and Python, which ends, would complain or give another."""
    import signal

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def _leave(code: int) -> None:
    """End the process, unless what it wrote cannot be written, which Python is to say.

    What is to be done at its end is done, but modules are not taken apart one by one: with those of
    NumPy, SciPy and onnxruntime, that takes a tenth of a second.
    """
    import atexit
    import os

    if sys.getprofile() is not None:  # a profile is written afterwards
        return
    atexit._run_exitfuncs()
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except (OSError, ValueError):
        return
    os._exit(code)


if __name__ == "__main__":
    program()
