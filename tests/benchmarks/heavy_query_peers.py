#!/usr/bin/env python3
"""Scores >= epsilon by scoring every key in float32: NumPy, and FAISS.

    heavy_query_peers.py KEYS QUERIES N D M EPSILON ROUNDS

KEYS and QUERIES are raw float32 files. Prints, for NumPy and then for FAISS
(IndexFlatIP, range search), the median seconds of a call and how many (query,
key) pairs it found; 0 0 where the package is not there.

FAISS is given what it cannot find itself: each query is divided by
sqrt(epsilon Z), so that one radius, 1, serves them all; both signs are asked.
"""
import statistics
import sys
import time

import numpy as np


def median_seconds(work, rounds):
    seconds, found = [], 0
    for _ in range(rounds + 1):
        start = time.perf_counter()
        found = work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:]), found


def by_numpy(keys, queries, epsilon):
    scores = queries @ keys.T
    np.square(scores, out=scores)
    heavy = scores >= epsilon * scores.sum(axis=1, keepdims=True)
    return len(np.nonzero(heavy)[0])


def main():
    n, d, m = (int(x) for x in sys.argv[3:6])
    epsilon, rounds = float(sys.argv[6]), int(sys.argv[7])
    keys = np.fromfile(sys.argv[1], np.float32).reshape(n, d)
    queries = np.fromfile(sys.argv[2], np.float32).reshape(m, d)
    print(*median_seconds(lambda: by_numpy(keys, queries, epsilon), rounds))
    try:
        import faiss
    except ImportError:
        print("0 0")
        return
    gram = keys.astype(np.float64).T @ keys.astype(np.float64)
    wide = queries.astype(np.float64)
    z = np.einsum("ic,cd,id->i", wide, gram, wide)
    scaled = (wide / np.sqrt(epsilon * z)[:, None]).astype(np.float32)
    both = np.concatenate([scaled, -scaled])
    index = faiss.IndexFlatIP(d)
    index.add(keys)
    print(*median_seconds(lambda: len(index.range_search(both, 1.0)[2]), rounds))


main()
