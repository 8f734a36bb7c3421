"""A steelyard-server process, and stubs made from proto/ to talk to it."""

import importlib
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import grpc_tools
from grpc_tools import protoc

START_SECONDS_MAX = 20.0


def environment(name):
  value = os.environ.get(name)
  if not value:
    raise SystemExit(f'{name} is not set; run this test through ctest')
  return value


def generate_stubs():
  """Makes stubs of every file of proto/; returns its modules by stem.

  'tensor' is the module of tensor.proto; 'regression_service_grpc' holds the
  stub of regression_service.proto.
  """
  proto_dir = pathlib.Path(environment('STEELYARD_PROTO_DIR'))
  stubs_dir = pathlib.Path(environment('STEELYARD_STUBS_DIR'))
  stubs_dir.mkdir(parents=True, exist_ok=True)
  protos = sorted(proto_dir.glob('steelyard/v1/*.proto'))
  if not protos:
    raise SystemExit(f'no .proto files below {proto_dir}')
  well_known = pathlib.Path(grpc_tools.__file__).parent / '_proto'
  status = protoc.main([
      'protoc', f'-I{proto_dir}', f'-I{well_known}',
      f'--python_out={stubs_dir}', f'--grpc_python_out={stubs_dir}',
      *map(str, protos)
  ])
  if status != 0:
    raise SystemExit(f'protoc ended with {status}')
  sys.path.insert(0, str(stubs_dir))
  modules = {}
  for proto in protos:
    name = f'steelyard.v1.{proto.stem}_pb2'
    modules[proto.stem] = importlib.import_module(name)
    modules[f'{proto.stem}_grpc'] = importlib.import_module(f'{name}_grpc')
  return modules


class Server:
  """Runs steelyard-server on a free port of the loopback until stop()."""

  def __init__(self):
    self._folder = tempfile.TemporaryDirectory(prefix='steelyard_python_')
    folder = pathlib.Path(self._folder.name)
    port_file = folder / 'port'
    self._log_path = folder / 'log'
    with open(self._log_path, 'wb') as log:
      self._process = subprocess.Popen([
          environment('STEELYARD_SERVER'), '--listen=127.0.0.1:0',
          f'--port-file={port_file}', f'--matrix-directory={folder}/matrices'
      ], stdout=log, stderr=log)
    end = time.monotonic() + START_SECONDS_MAX
    while not port_file.exists() or not port_file.read_text().endswith('\n'):
      if self._process.poll() is not None or time.monotonic() > end:
        self._process.kill()
        raise SystemExit(f'the server did not start:\n{self.log()}')
      time.sleep(0.02)
    self.address = f'127.0.0.1:{port_file.read_text().strip()}'

  def log(self):
    return self._log_path.read_text()

  def stop(self):
    """Asks the server to drain; returns its exit code."""
    self._process.terminate()
    code = self._process.wait(timeout=60)
    self._folder.cleanup()
    return code
