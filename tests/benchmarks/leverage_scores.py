#!/usr/bin/env python3
"""Leverage scores by NumPy and SciPy in float32: what anybody would write.

    leverage_scores.py qr|gram KEYS HEADS N D RUNS SCORES

KEYS is a raw float32 file of HEADS matrices of N x D. Prints the fewest seconds
of RUNS runs over all heads, then the versions; writes the scores of the first
head to SCORES, float64: NaN where float32 does not reach (the Gram is then not
positive definite).
"""
import sys
import time

import numpy as np
import scipy
import scipy.linalg


def by_qr(keys):
    q, _ = scipy.linalg.qr(keys, mode="economic", check_finite=False)
    return np.einsum("ij,ij->i", q, q)


def by_gram(keys):
    gram = keys.T @ keys
    try:
        lower = np.linalg.cholesky(gram)
    except np.linalg.LinAlgError:
        return np.full(len(keys), np.nan)
    white = scipy.linalg.solve_triangular(lower, keys.T, lower=True,
                                          check_finite=False)
    return np.einsum("ij,ij->j", white, white)


def main():
    method = {"qr": by_qr, "gram": by_gram}[sys.argv[1]]
    heads, n, d, runs = (int(x) for x in sys.argv[3:7])
    keys = np.fromfile(sys.argv[2], np.float32).reshape(heads, n, d)
    method(keys[0][:4 * d])
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        scores = [method(head) for head in keys]
        seconds.append(time.perf_counter() - start)
    np.asarray(scores[0], np.float64).tofile(sys.argv[7])
    print(min(seconds))
    print(f"NumPy {np.__version__}, SciPy {scipy.__version__}")


main()
