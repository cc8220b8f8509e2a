#!/usr/bin/env python3
"""xz and zstd with two threads: the same compressed bytes, and back again."""
import random

from pooled import Place, expect, need

xz, zstd = need("xz", "zstd")
dice = random.Random(3)
words = [dice.randbytes(dice.randrange(2, 12)) for _ in range(3000)]
data = b" ".join(dice.choice(words) for _ in range(1000000))
with Place() as place:
    place.write("data", data)
    for program, ending, options in ((xz, "xz", ["-T2", "-3", "--block-size=1MiB", "-k"]),
                                     (zstd, "zst", ["-T2", "-9", "-q", "-k"])):
        packed = []
        for is_pooled in (False, True):
            place.succeed([program, *options, "-f", "data"], is_pooled)
            packed.append(open(place.path("data." + ending), "rb").read())
        expect(packed[0] == packed[1], f"{program}: the compressed bytes differ")
        expect(len(packed[1]) < len(data) // 2, f"{program}: not compressed")
        place.prove(at_least=20)  # zstd gives its large buffers back
        place.succeed([program, "-d", "-f", "-q", "data." + ending], True)
        expect(open(place.path("data"), "rb").read() == data, f"{program}: not what went in")
