"""Calls of MatrixService, and a solve on what it stores."""

import grpc
import numpy as np

from numpy_tensors import from_tensor
from numpy_tensors import pb
from numpy_tensors import to_tensor

# Unit roundoff of float64.
U = 2.0**-53
DEADLINE_SECONDS = 60.0


def crc32c(data):
  """Castagnoli's CRC32, bit by bit: enough for small tests."""
  value = 0xFFFFFFFF
  for byte in data:
    value ^= byte
    for _ in range(8):
      value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
  return value ^ 0xFFFFFFFF


class StoredMatrixCalls:
  """Of a TestCase with stubs, `matrix` and `regression`, and `rng`."""

  def upload(self, data, **header):
    """In two chunks."""
    service = pb['matrix_service']

    def requests():
      yield service.UploadMatrixRequest(
          header=service.UploadHeader(crc32c=crc32c(data), **header))
      half = len(data) // 2
      for first, piece in ((0, data[:half]), (half, data[half:])):
        yield service.UploadMatrixRequest(
            chunk=service.UploadChunk(
                offset=first, data=piece, crc32c=crc32c(piece)))

    return self.matrix.UploadMatrix(requests(), timeout=DEADLINE_SECONDS)

  def test_a_stored_matrix_is_solved_and_deleted(self):
    service = pb['matrix_service']
    a = self.rng.standard_normal((60, 5))
    stored = self.upload(
        a.tobytes(),
        matrix_id='of-python',
        dense=service.DenseLayout(
            dtype=pb['tensor'].DTYPE_FLOAT64, shape=a.shape))
    self.assertEqual(stored.name, 'matrices/of-python')
    self.assertEqual(stored.size_bytes, a.nbytes)
    self.assertEqual(
        self.matrix.GetMatrix(
            service.GetMatrixRequest(name=stored.name),
            timeout=DEADLINE_SECONDS), stored)
    status = self.matrix.GetUploadStatus(
        service.GetUploadStatusRequest(name=stored.name),
        timeout=DEADLINE_SECONDS)
    self.assertTrue(status.complete)
    self.assertEqual(status.committed_size, a.nbytes)
    listed = self.matrix.ListMatrices(
        service.ListMatricesRequest(page_size=1), timeout=DEADLINE_SECONDS)
    self.assertEqual([m.name for m in listed.matrices], [stored.name])

    b = self.rng.standard_normal(60)
    regression = pb['regression_service']
    for hit in (False, True):
      answer = self.regression.Solve(
          regression.SolveRequest(
              a=pb['tensor'].MatrixInput(matrix=stored.name),
              b=to_tensor(b),
              left_gram_power=regression.LeftGramPower(exponent=0)),
          timeout=DEADLINE_SECONDS)
      self.assertEqual(answer.report.factor_cache_hit, hit)
      # Two backward stable solves differ by 100 cond(A) u (of which the
      # residual's part, cond(A)^2 |r| u, is at most as large here again).
      expected = np.linalg.lstsq(a, b, rcond=None)[0]
      bound = 100 * np.linalg.cond(a)**2 * U * np.linalg.norm(b)
      self.assertLessEqual(
          np.linalg.norm(from_tensor(answer.x) - expected), bound)

    self.matrix.DeleteMatrix(
        service.DeleteMatrixRequest(name=stored.name),
        timeout=DEADLINE_SECONDS)
    with self.assertRaises(grpc.RpcError) as raised:
      self.matrix.GetMatrix(
          service.GetMatrixRequest(name=stored.name), timeout=DEADLINE_SECONDS)
    self.assertEqual(raised.exception.code(), grpc.StatusCode.NOT_FOUND)
