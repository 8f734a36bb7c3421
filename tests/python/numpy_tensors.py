"""The stubs, and NumPy arrays as the tensors of the contract."""

import numpy as np

import steelyard_server

pb = steelyard_server.generate_stubs()
DTYPES = {
    np.dtype(np.float64): pb['tensor'].DTYPE_FLOAT64,
    np.dtype(np.float32): pb['tensor'].DTYPE_FLOAT32,
    np.dtype(np.float16): pb['tensor'].DTYPE_FLOAT16,
}


def to_tensor(array):
  return pb['tensor'].Tensor(
      dtype=DTYPES[array.dtype],
      shape=array.shape,
      data=np.ascontiguousarray(array).tobytes())


def to_bfloat16_tensor(array):
  """Of numbers that have no more than bfloat16's bits."""
  upper = (array.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
  return pb['tensor'].Tensor(
      dtype=pb['tensor'].DTYPE_BFLOAT16,
      shape=array.shape,
      data=upper.tobytes())


def to_matrix_input(array):
  return pb['tensor'].MatrixInput(dense=to_tensor(array))


def from_tensor(tensor):
  assert tensor.dtype == pb['tensor'].DTYPE_FLOAT64
  return np.frombuffer(tensor.data, dtype='<f8').reshape(tuple(tensor.shape))
