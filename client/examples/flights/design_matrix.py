"""Flights as a regression: arr_delay from numbers and one-hot categories."""

import numpy as np
import scipy.sparse

import flights_table


def columns_of(table, drop_first):
  """(names, list of one-dimensional arrays), the first the intercept.

  With all levels of a category its columns sum to the intercept: A loses one
  rank a category. With drop_first the first level is the one that the others
  are compared with, and A has full rank.
  """
  rows = len(table[flights_table.TARGET])
  names, columns = ['intercept'], [np.ones(rows)]
  for name, unit in flights_table.NUMBERS.items():
    names.append(f'{name}/{unit:g}')
    columns.append(np.asarray(table[name], dtype=np.float64) / unit)
  for category in flights_table.CATEGORIES:
    levels = np.unique(table[category])
    for level in levels[1 if drop_first else 0:]:
      names.append(f'{category}={level}')
      columns.append((table[category] == level).astype(np.float64))
  return names, columns


def write(table, folder, drop_first):
  """Writes dense.npy, sparse.npz and b.npy; returns (names, A as CSR, b).

  All numbers are multiples of 1/1024 below 2^13: float32 holds them exactly,
  so that dense.npy (float32) and sparse.npz (float64) are the same matrix.
  """
  names, columns = columns_of(table, drop_first)
  dense = np.empty((len(columns[0]), len(columns)), dtype=np.float32)
  for index, column in enumerate(columns):
    dense[:, index] = column
    if not np.array_equal(dense[:, index], column):
      raise SystemExit(f'{names[index]} does not fit in float32')
  sparse = scipy.sparse.csr_matrix(dense, dtype=np.float64)
  sparse.sum_duplicates()
  target = np.asarray(table[flights_table.TARGET], dtype=np.float64)
  np.save(folder / 'dense.npy', dense)
  np.save(folder / 'b.npy', target)
  scipy.sparse.save_npz(folder / 'sparse.npz', sparse)
  return names, sparse, target
