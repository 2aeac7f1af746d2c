"""A stand-in for a disk that is full."""

import errno


class Full:
    """A file on a disk that is full."""

    def __init__(self, *_, **__):
        pass

    def seek(self, _):
        pass

    def close(self):
        pass

    def write(self, _):
        raise OSError(errno.ENOSPC, "No space left on device")
