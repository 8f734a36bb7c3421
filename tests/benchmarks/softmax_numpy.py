#!/usr/bin/env python3
"""Softmax scores >= epsilon by NumPy in float32: what anybody would write.

    softmax_numpy.py KEYS QUERIES N D M SCALE EPSILON

KEYS and QUERIES are raw float32 files. Prints the median seconds of three runs.
"""
import statistics
import sys
import time

import numpy as np


def heavy(queries, keys, scale, epsilon, block=64):
    found = []
    for first in range(0, len(queries), block):
        logits = (queries[first:first + block] * np.float32(scale)) @ keys.T
        logits -= logits.max(axis=1, keepdims=True)
        np.exp(logits, out=logits)
        scores = logits / logits.sum(axis=1, keepdims=True)
        found.extend(np.nonzero(row >= epsilon)[0] for row in scores)
    return found


def main():
    n, d, m = (int(x) for x in sys.argv[3:6])
    scale, epsilon = (float(x) for x in sys.argv[6:8])
    keys = np.fromfile(sys.argv[1], np.float32).reshape(n, d)
    queries = np.fromfile(sys.argv[2], np.float32).reshape(m, d)
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        heavy(queries, keys, scale, epsilon)
        seconds.append(time.perf_counter() - start)
    print(statistics.median(seconds[1:]))


main()
