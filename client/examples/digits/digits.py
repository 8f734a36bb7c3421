"""Kernel regressions on real data, through a server.

Reads handwritten digits by kernel regression (solve on three in four, predict
the fourth); then client/examples/kernel_preconditioners on digits and on
queries and keys of a transformer, and client/examples/attention_regression.

Ends with 1 when a regression does not converge, a certificate does not hold,
or fewer than 97 of 100 held-out digits are read.
"""

import argparse
import json
import pathlib
import signal
import subprocess
import tempfile
import time

import numpy as np

import digits_table

START_SECONDS_MAX = 30.0
READ_LEAST = 0.97
FIXTURE = 'tests/data/minilm_qkv.safetensors'
KERNEL = ['--scale=0.5', '--normalization=unit-diagonal']


class Road:
  """A server of its own, and the programs that call it."""

  def __init__(self, binaries, folder):
    self._binaries = pathlib.Path(binaries)
    port_file = folder / 'port'
    self._server = subprocess.Popen(
        [self._binaries / 'server' / 'steelyard-server',
         '--listen=127.0.0.1:0', f'--port-file={port_file}',
         '--log-level=error'])
    give_up = time.monotonic() + START_SECONDS_MAX
    while not (port_file.exists() and port_file.read_text().strip()):
      if self._server.poll() is not None or time.monotonic() > give_up:
        raise SystemExit('the server did not start')
      time.sleep(0.05)
    self._address = f'127.0.0.1:{port_file.read_text().strip()}'

  def tool(self, *words):
    """The JSON that `steelyard WORDS` prints; also shows the command."""
    shown = [pathlib.Path(word).name if word.startswith('/') else word
             for word in words]
    print('$ steelyard ' + ' '.join(shown), flush=True)
    done = subprocess.run(
        [self._binaries / 'client' / 'cli' / 'steelyard', *words,
         f'--server={self._address}', '--json'],
        stdout=subprocess.PIPE, check=False)
    if done.returncode != 0:
      raise SystemExit(f'steelyard ended with {done.returncode}')
    return json.loads(done.stdout)

  def example(self, name, *words):
    print(f'\n$ {name} ADDRESS {" ".join(words)}', flush=True)
    subprocess.run([self._binaries / 'client' / 'examples' / name,
                    self._address, *words], check=True)

  def stop(self):
    self._server.send_signal(signal.SIGTERM)
    if self._server.wait(timeout=60) != 0:
      raise SystemExit('the server did not end cleanly')

  def kill(self):
    if self._server.poll() is None:
      self._server.kill()
      self._server.wait()


def read_digits(road, folder):
  """The part of the held-out digits that is read."""
  pixels, labels = digits_table.pixels_and_labels()
  held_out = np.arange(len(labels)) % 4 == 3
  files = {'train': pixels[~held_out], 'fresh': pixels[held_out],
           # One column a digit, 1 where it is that digit, -1 where not.
           'targets': np.where(labels[~held_out, None] == np.arange(10),
                               1.0, -1.0)}
  path = {name: str(folder / f'{name}.npy') for name in (*files, 'x', 'y')}
  for name, array in files.items():
    np.save(path[name], array)
  solved = road.tool('solve', path['train'], path['targets'],
                     '--problem=attention-kernel', *KERNEL, '--ridge=0.001',
                     '--verify', f'--output={path["x"]}')
  print(f'  {solved["termination"]}, largest residual '
        f'{max(solved["relative_residual"]):.1e}; {solved["method"]}')
  road.tool('predict', path['train'], path['x'], path['fresh'], *KERNEL,
            '--verify', f'--output={path["y"]}')
  read = np.load(path['y']).argmax(axis=1)
  right = float(np.mean(read == labels[held_out]))
  print(f'  {right:.1%} of {held_out.sum()} held-out digits are read right')
  np.save(folder / 'digits.npy', pixels)
  return right


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--binaries', required=True,
                      help='the build folder, as build/release')
  parser.add_argument('--heads', type=int, default=12,
                      help='heads of attention_regression')
  flags = parser.parse_args()
  with tempfile.TemporaryDirectory(prefix='steelyard-digits-') as name:
    folder = pathlib.Path(name)
    road = Road(flags.binaries, folder)
    try:
      right = read_digits(road, folder)
      heads = [f'{FIXTURE}:layer{layer}.{what}[{head}]'
               for layer, head in ((0, 0), (3, 4), (5, 8))
               for what in ('keys', 'queries')]
      road.example('kernel_preconditioners', str(folder / 'digits.npy'), *heads)
      road.example('attention_regression', FIXTURE, str(flags.heads))
      road.stop()
    finally:
      road.kill()
  if right < READ_LEAST:
    raise SystemExit(f'only {right:.1%} are read right')


if __name__ == '__main__':
  main()
