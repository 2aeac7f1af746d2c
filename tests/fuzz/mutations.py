"""Mutations of inputs without guidance; the same number gives the same mutation."""

import random

_NUMBERS = (b"", b"0", b"-1", b"1e400", b"18446744073709551616", b"\0", b"\xff" * 8, b"\x7f\xff")


def mutant(seeds, words, number):
    """Give input `number`: one of the seeds with one to five changes, the first ones unchanged."""
    if number < len(seeds):
        return seeds[number]
    choose = random.Random(number)  # noqa: S311 (the same every time)
    data = bytearray(choose.choice(seeds))
    for _ in range(choose.randint(1, 5)):
        start = choose.randrange(len(data) + 1)
        stop = min(len(data), start + choose.choice([1, 1, 2, 4, 8, 40]))
        match choose.randrange(7):
            case 0:
                data[start:stop] = choose.randbytes(stop - start)
            case 1 if start < len(data):
                data[start] ^= 1 << choose.randrange(8)
            case 2:
                del data[start:stop]
            case 3:
                data[start:start] = data[start:stop] * choose.choice([1, 2, 50])
            case 4:
                data[start:stop] = choose.choice([*_NUMBERS, *words])
            case 5:
                del data[start:]
            case _:
                other = choose.choice(seeds)
                data[start:] = other[choose.randrange(len(other) + 1) :]
    return bytes(data)
