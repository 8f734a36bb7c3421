#!/usr/bin/env python3
"""CountSketch by SciPy: what anybody would write.

    clarkson_woodruff.py N D S

N x D normal numbers, S rows. Prints the median seconds of three runs.
"""
import statistics
import sys
import time

import numpy as np
from scipy.linalg import clarkson_woodruff_transform


def main():
    n, d, s = (int(x) for x in sys.argv[1:4])
    a = np.random.default_rng(1).standard_normal((n, d))
    seconds = []
    for run in range(4):
        start = time.perf_counter()
        clarkson_woodruff_transform(a, s, rng=run)
        seconds.append(time.perf_counter() - start)
    print(statistics.median(seconds[1:]))


main()
