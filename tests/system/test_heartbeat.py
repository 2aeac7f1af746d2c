"""Signs of life."""

import threading
import time

import pytest

from cytotrace2_lite.system.heartbeat import heartbeat


def test_beats_until_the_block_ends():
    beats = []
    before = set(threading.enumerate())
    with heartbeat(beats.append, 0.01):
        while len(beats) < 4:
            time.sleep(0.01)
    n_beats = len(beats)
    time.sleep(0.05)
    assert len(beats) == n_beats
    assert beats[0] == 0
    assert beats == sorted(beats)
    # Threads of other tests may end meanwhile.
    assert set(threading.enumerate()) <= before


def test_an_error_of_the_block_is_raised():
    with pytest.raises(ValueError, match="mine"), heartbeat(lambda _: None, 0.01):
        raise ValueError("mine")


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_of_a_beat_is_not(error):
    def beat(_):
        raise error

    with heartbeat(beat, 0.01):
        time.sleep(0.05)
