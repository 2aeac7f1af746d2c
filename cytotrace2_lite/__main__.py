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
    finally:
        import signal

        # The exit code is settled; Python, which ends, would complain or give another.
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), signal.SIG_IGN)


if __name__ == "__main__":
    program()
