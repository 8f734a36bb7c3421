"""The whole road on real data: upload, solve, read the report, compare.

  flights.py --server BINARY --tool BINARY [--synthetic]

Starts a server with a directory of its own, uploads the flights as a dense and
as a sparse matrix, solves min |A (A'A)^j x - b| for j = 0, 1, 2 on both, holds
the answers against each other, NumPy and SciPy, and stops the server. Exit code
1 if something does not agree.
"""

import argparse
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np
import scipy.linalg
import scipy.sparse.linalg

import design_matrix
import flights_table

START_SECONDS_MAX = 30.0
EXPONENTS = (0, 1, 2)
UNIT = 2.0**-53


class Road:
  """A server, and the tool to talk to it."""

  def __init__(self, server, tool, folder):
    self._tool = tool
    port_file = folder / 'port'
    (folder / 'matrices').mkdir()
    self._server = subprocess.Popen(
        [server, '--listen=127.0.0.1:0', f'--port-file={port_file}',
         f'--matrix-directory={folder / "matrices"}', '--log-level=error'])
    give_up = time.monotonic() + START_SECONDS_MAX
    while not (port_file.exists() and port_file.read_text().strip()):
      if self._server.poll() is not None or time.monotonic() > give_up:
        raise SystemExit('the server did not start')
      time.sleep(0.05)
    self._address = f'127.0.0.1:{port_file.read_text().strip()}'

  def run(self, *words):
    """The JSON that `steelyard WORDS` prints; also shows the command."""
    shown = [pathlib.Path(word).name if '/' in word else word
             for word in words]
    print('$ steelyard ' + ' '.join(shown), flush=True)
    done = subprocess.run(
        [self._tool, *words, f'--server={self._address}', '--json'],
        stdout=subprocess.PIPE, check=False)
    # 6: no convergence; the report says how far it came.
    if done.returncode not in (0, 6):
      raise SystemExit(f'steelyard ended with {done.returncode}')
    return json.loads(done.stdout)

  def stop(self):
    self._server.send_signal(signal.SIGTERM)
    if self._server.wait(timeout=60) != 0:
      raise SystemExit('the server did not end cleanly')

  def kill(self):
    if self._server.poll() is None:
      self._server.kill()
      self._server.wait()


class Checks:
  """What must hold; all are made, and those that failed are told at the end."""

  def __init__(self):
    self.failed = []

  def expect(self, held, what):
    print(f'  {"ok  " if held else "FAIL"}  {what}')
    if not held:
      self.failed.append(what)


def timed(function):
  start = time.monotonic()
  result = function()
  return result, time.monotonic() - start


def distance(x, y):
  return np.linalg.norm(x - y) / max(np.linalg.norm(y), np.finfo(float).tiny)


def show(label, rank, seconds, residual, error, note=''):
  print(f'  {label:<26} {rank!s:>5} {seconds:>9.3f} s {residual:>12.9f} '
        f'{error:>10.1e}  {note}')


def upload(road, checks, folder, suffix):
  """Uploads all; once more, which sends nothing."""
  for name, file in (('dense', 'dense.npy'), ('sparse', 'sparse.npz'),
                     ('b', 'b.npy')):
    answer = road.run('matrices', 'upload', f'{name}{suffix}',
                      str(folder / file))
    print(f'  {answer["layout"]} {answer["dtype"]} {answer["shape"]}, '
          f'{answer["size_bytes"] / 1e6:.1f} MB in '
          f'{answer["call_seconds"]:.2f} s')
    again = road.run('matrices', 'upload', f'{name}{suffix}',
                     str(folder / file))
    checks.expect(again['bytes_sent'] == 0 and
                  again['crc32c'] == answer['crc32c'],
                  'a second upload finds it there and sends nothing')


def solve(road, matrix, suffix, exponent):
  return road.run('solve', f'--matrix={matrix}{suffix}', f'--b-matrix=b{suffix}',
                  '--problem=left-gram-power', f'--exponent={exponent}')


def peers(dense, sparse, target):
  """NumPy and SciPy: x of least squares, and their seconds."""
  (x_numpy, _, rank, _), numpy_seconds = timed(
      lambda: np.linalg.lstsq(dense, target, rcond=None))
  lsqr, lsqr_seconds = timed(lambda: scipy.sparse.linalg.lsqr(
      sparse, target, atol=1e-14, btol=1e-14, iter_lim=20000))
  return x_numpy, int(rank), numpy_seconds, lsqr[0], lsqr[2], lsqr_seconds


def powers_of(dense, x):
  """(A'A)^-j x for each j, by NumPy's QR; A of full rank."""
  factor = np.linalg.qr(dense, mode='r')
  for _ in EXPONENTS:
    yield x
    half = scipy.linalg.solve_triangular(factor, x, trans='T')
    x = scipy.linalg.solve_triangular(factor, half)


def least_squares(road, checks, suffix, dense, sparse, target, expected_rank):
  """Exponent 0 beside NumPy and SciPy. Returns x of NumPy."""
  x_numpy, rank, numpy_seconds, x_lsqr, steps, lsqr_seconds = peers(
      dense, sparse, target)
  residual = lambda x: np.linalg.norm(sparse @ x - target) / np.linalg.norm(
      target)
  print(f'  {"":<26} {"rank":>5} {"time":>11} {"|Ax-b|/|b|":>12} '
        f'{"|x-x*|/|x*|":>10}')
  answers = {}
  for matrix in ('dense', 'sparse'):
    for turn in ('first', 'second'):
      answer = solve(road, matrix, suffix, 0)
      x = np.array(answer['x'])
      show(f'steelyard {matrix}, {turn}', answer['rank'],
           answer['call_seconds'], residual(x), distance(x, x_numpy),
           answer['method'])
      checks.expect(answer['factor_cache_hit'] == (turn == 'second'),
                    f'{turn} solve: the factor is '
                    f'{"found" if turn == "second" else "made"}')
      checks.expect(answer['rank'] == expected_rank,
                    f'rank {answer["rank"]} is {expected_rank}')
      checks.expect(abs(residual(x) - residual(x_numpy)) < 1e-9,
                    'the residual is that of NumPy to 1e-9')
    answers[matrix] = x
  show('NumPy lstsq (dense)', rank, numpy_seconds, residual(x_numpy), 0.0)
  show('SciPy lsqr (sparse)', '-', lsqr_seconds, residual(x_lsqr),
       distance(x_lsqr, x_numpy), f'{steps} iterations')
  # Two backward stable answers: each within a few u kappa^2 of the truth.
  allowed = 100 * UNIT * answer['condition_estimate']**2 + 1e-12
  apart = distance(answers['dense'], answers['sparse'])
  checks.expect(apart < allowed,
                f'dense and sparse agree to {apart:.1e} < {allowed:.1e}')
  checks.expect(distance(answers['dense'], x_numpy) < allowed,
                'and with NumPy')
  return x_numpy


def higher_powers(road, checks, suffix, dense, x_numpy):
  """Exponents 1 and 2, full rank."""
  # A left power ends in 2 j solves with R: NumPy's error is of the order of
  # u kappa^(2 j + 1).
  for exponent, reference in zip(EXPONENTS, powers_of(dense, x_numpy)):
    if exponent == 0:
      continue
    answers = {}
    for matrix in ('dense', 'sparse'):
      answer = solve(road, matrix, suffix, exponent)
      answers[matrix] = answer
      x = np.array(answer['x'])
      print(f'  {matrix}: {answer["termination"]}, forward error at most '
            f'{answer["forward_error"][0]:.1e} by its report, condition '
            f'{answer["condition_estimate"]:.1e}, {answer["call_seconds"]:.3f} '
            f's, cache hit {answer["factor_cache_hit"]}, distance to NumPy '
            f'{distance(x, reference):.1e}')
      checks.expect(answer['factor_cache_hit'], 'the factor is found')
    apart = distance(np.array(answers['dense']['x']),
                     np.array(answers['sparse']['x']))
    # Each is as near the truth as its report says, to a factor of ten.
    allowed = 10 * sum(answer['forward_error'][0] + UNIT
                       for answer in answers.values())
    checks.expect(apart < allowed,
                  f'dense and sparse agree to {apart:.1e} < {allowed:.1e}')


def story(names, x, checks):
  """What the regression says."""
  print('  minutes of arrival delay:')
  for name, value in sorted(zip(names[1:], x[1:]),
                            key=lambda pair: -abs(pair[1]))[:6]:
    print(f'    {name:<16} {value:+9.3f}')
  checks.expect(np.all(np.isfinite(x)), 'every coefficient is a number')


def travel(road, checks, table, folder):
  for drop_first, suffix, title in (
      (True, '', 'one level of each category dropped: full rank'),
      (False, '-all', 'all levels kept: columns depend on each other')):
    names, sparse, target = design_matrix.write(table, folder, drop_first)
    dense = sparse.toarray()
    lost = 0 if drop_first else len(flights_table.CATEGORIES)
    print(f'\n== {title}\n  A is {sparse.shape[0]} x {sparse.shape[1]}, '
          f'{sparse.nnz} entries ({sparse.nnz / dense.size:.1%})')
    upload(road, checks, folder, suffix)
    x = least_squares(road, checks, suffix, dense, sparse, target,
                      dense.shape[1] - lost)
    if drop_first:
      story(names, x, checks)
      higher_powers(road, checks, suffix, dense, x)
  road.run('matrices', 'list')


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--server', required=True)
  parser.add_argument('--tool', required=True)
  parser.add_argument('--synthetic', action='store_true',
                      help='3000 rows that are made up, without a download')
  flags = parser.parse_args()
  table = flights_table.synthetic() if flags.synthetic else flights_table.real()
  print(f'{len(table[flights_table.TARGET])} complete rows')
  checks = Checks()
  with tempfile.TemporaryDirectory(prefix='steelyard-flights-') as name:
    folder = pathlib.Path(name)
    road = Road(flags.server, flags.tool, folder)
    try:
      travel(road, checks, table, folder)
      road.stop()
    finally:
      road.kill()
  if checks.failed:
    print(f'{len(checks.failed)} checks failed:')
    print('\n'.join(f'  {what}' for what in checks.failed))
    return 1
  print('all checks held; the server has stopped')
  return 0


if __name__ == '__main__':
  sys.exit(main())
