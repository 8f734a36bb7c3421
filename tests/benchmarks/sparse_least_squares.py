#!/usr/bin/env python3
"""Sparse least squares by SciPy: lsqr and lsmr.

    sparse_least_squares.py BASE N D LOG10_ERROR ITERATIONS

BASE.offsets (int64), .columns (int32), .values, .b and .x (float64) are raw
files: a CSR matrix of N x D, the right-hand side and the solution. For lsqr and
then for lsmr, tolerances are tightened until the forward error is at most
2 * 10^LOG10_ERROR or ITERATIONS are not enough; prints of that run the seconds, the
iterations and the forward error, then the versions.
"""
import sys
import time

import numpy as np
import scipy
import scipy.sparse
import scipy.sparse.linalg


def by_lsqr(a, b, tolerance, most):
    x, _, iterations = scipy.sparse.linalg.lsqr(
        a, b, atol=tolerance, btol=tolerance, conlim=0, iter_lim=most)[:3]
    return x, iterations


def by_lsmr(a, b, tolerance, most):
    x, _, iterations = scipy.sparse.linalg.lsmr(
        a, b, atol=tolerance, btol=tolerance, conlim=0, maxiter=most)[:3]
    return x, iterations


def main():
    base = sys.argv[1]
    n, d = int(sys.argv[2]), int(sys.argv[3])
    goal, most = 2 * 10**float(sys.argv[4]), int(sys.argv[5])
    a = scipy.sparse.csr_matrix(
        (np.fromfile(base + ".values"),
         np.fromfile(base + ".columns", np.int32),
         np.fromfile(base + ".offsets", np.int64)), shape=(n, d))
    b, truth = np.fromfile(base + ".b"), np.fromfile(base + ".x")
    for method in (by_lsqr, by_lsmr):
        method(a, b, 1e-2, 3)
        for tolerance in (1e-9, 1e-12, 1e-15):
            start = time.perf_counter()
            x, iterations = method(a, b, tolerance, most)
            seconds = time.perf_counter() - start
            error = np.linalg.norm(x - truth) / np.linalg.norm(truth)
            if error <= goal or iterations >= most:
                break
        print(seconds, iterations, error)
    print(f"NumPy {np.__version__}, SciPy {scipy.__version__}")


main()
