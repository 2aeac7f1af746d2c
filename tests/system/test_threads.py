"""Work shared among threads: answers in order, items taken one by one."""

import threading

import pytest

from cytotrace2_lite.system.threads import in_order


@pytest.mark.parametrize("caller_works", [False, True])
def test_in_order_takes_items_one_by_one(caller_works):
    for threads in (1, 2, 5):
        taken, workers = [], set()

        def square(i, workers=workers):
            workers.add(threading.get_ident())
            return i * i

        def items(taken=taken):
            for i in range(40):
                taken.append(i)
                yield i

        for answer in in_order(square, items(), threads, caller_works=caller_works):
            assert answer == (len(taken) - 1 - (0 if threads == 1 else threads)) ** 2 or (
                len(taken) == 40
            )
        assert len(taken) == 40
        assert len(workers) <= (threads if threads == 1 else threads - caller_works)
