"""What takes long to make is made once, not by every process that runs tests."""

import os
import time


def made_once(tmp_path_factory, name, make):
    """Give the directory that `make` fills, which the processes of one run of pytest share.

    Parameters
    ----------
    tmp_path_factory
        The fixture of pytest.
    name
        Of the directory.
    make
        Called with the empty directory in the process that comes first; the others wait.
    """
    parent = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        parent = parent.parent
    directory, made, failed = (parent / f"{name}{end}" for end in ("", ".made", ".failed"))
    try:
        directory.mkdir()
    except FileExistsError:
        while not made.exists():
            assert not failed.exists(), f"{name} could not be made: another process says why"
            time.sleep(0.1)
        return directory
    try:
        make(directory)
    except BaseException:
        failed.touch()
        raise
    made.touch()
    return directory
