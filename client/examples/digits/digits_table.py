"""The 1,797 handwritten digits that scikit-learn ships, 8 x 8 pixels each."""

import importlib.util
import pathlib

import numpy as np


def pixels_and_labels():
  """1797 x 64 float32 in [0, 1], exact; 1797 labels 0 to 9."""
  # Its data file alone: an import of the package would read all of SciPy.
  spec = importlib.util.find_spec('sklearn')
  if spec is None:
    raise SystemExit('the package scikit-learn is not installed; '
                     'scripts/kernels installs it')
  folder = pathlib.Path(next(iter(spec.submodule_search_locations)))
  table = np.loadtxt(folder / 'datasets' / 'data' / 'digits.csv.gz',
                     delimiter=',')
  return (table[:, :64] / 16).astype(np.float32), table[:, 64].astype(int)
