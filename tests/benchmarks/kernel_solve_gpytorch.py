#!/usr/bin/env python3
"""(G + l I) x = b for a Gaussian kernel by GPyTorch.

    kernel_solve_gpytorch.py BASE N D K RIDGE TOLERANCE THREADS

BASE.a (N x D) and BASE.b (N x K) are raw float64 files. Preconditioned
conjugate gradients of GPyTorch (linear_operator) on the kernel as a lazy
operator, preconditioner of pivoted Cholesky as it chooses, in float64: its
float32 does not reach such tolerances. Prints the seconds and the versions,
writes BASE.x (N x K).
"""
import os
import sys
import time

# What libraries say while they load goes elsewhere.
ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

import gpytorch
import numpy as np
import torch


def main():
    base = sys.argv[1]
    n, d, k = (int(word) for word in sys.argv[2:5])
    ridge, tolerance = float(sys.argv[5]), float(sys.argv[6])
    torch.set_num_threads(int(sys.argv[7]))
    a = torch.from_numpy(np.fromfile(base + ".a").reshape(n, d))
    b = torch.from_numpy(np.fromfile(base + ".b").reshape(n, k))
    kernel = gpytorch.kernels.RBFKernel().double()
    kernel.lengthscale = 1.0
    settings = gpytorch.settings
    with torch.no_grad(), settings.max_cholesky_size(1), \
            settings.cg_tolerance(tolerance), \
            settings.max_cg_iterations(2000), \
            settings.max_preconditioner_size(100), \
            settings.min_preconditioning_size(1):
        start = time.perf_counter()
        x = kernel(a).add_diagonal(
            torch.full((n,), ridge, dtype=torch.float64)).solve(b)
        seconds = time.perf_counter() - start
    x.numpy().tofile(base + ".x")
    print(seconds, file=ANSWERS)
    print(f"GPyTorch {gpytorch.__version__}, torch {torch.__version__}",
          file=ANSWERS)


main()
