"""A kernel regression with a ridge of each row, and its values at new rows."""

import numpy as np

from numpy_tensors import from_tensor
from numpy_tensors import pb
from numpy_tensors import to_matrix_input
from numpy_tensors import to_tensor

# Unit roundoff of float64.
U = 2.0**-53
DEADLINE_SECONDS = 60.0


class KernelPredictions:
  """Of a TestCase with the stub `regression`, `rng` and `solve`."""

  def test_predict(self):
    """Values of a kernel at new rows, a row ridge before them."""
    service = pb['regression_service']
    a = self.rng.standard_normal((80, 6)).astype(np.float32)
    queries = self.rng.standard_normal((30, 6))
    b = self.rng.standard_normal(80)
    rows = self.rng.uniform(0.5, 1.5, 80)
    wide = a.astype(float)
    distances = ((wide[:, None] - wide[None]) ** 2).sum(axis=2)
    matrix = np.exp(-0.125 * distances) + np.diag(rows)
    normalization = service.KERNEL_NORMALIZATION_UNIT_DIAGONAL
    x, report = self.solve(
        b, a, tolerance=1e-12,
        attention_kernel=service.AttentionKernel(
            scale=0.25, normalization=normalization,
            row_ridge=to_tensor(rows)))
    # M >= 0.5 I: |x - x*| <= 2 |r|, beside the rounding of both.
    error = np.linalg.norm(x - np.linalg.solve(matrix, b))
    self.assertLessEqual(error, 2 * 1e-12 * np.linalg.norm(b)
                         + 100 * 80 * U * np.linalg.norm(x) * 160)
    y = []
    for part in self.regression.Predict(
        service.PredictRequest(
            a=to_matrix_input(a), x=to_tensor(x),
            queries=to_matrix_input(queries), scale=0.25,
            normalization=normalization),
        timeout=DEADLINE_SECONDS):
      self.assertEqual(part.offset, len(y))
      self.assertEqual(len(part.y_exponents), 0)
      y.extend(from_tensor(part.y)[:, 0])
    distances = ((queries[:, None] - wide[None]) ** 2).sum(axis=2)
    kernel = np.exp(-0.125 * distances)
    # n terms of relative error d u and the spread of their exponents.
    bound = 100 * 80 * 6 * U * (kernel @ np.abs(x)).max()
    np.testing.assert_allclose(y, kernel @ x, rtol=0, atol=bound)
