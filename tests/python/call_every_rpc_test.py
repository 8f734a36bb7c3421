"""Calls every RPC of proto/ from Python: NumPy in, NumPy out.

Answers are compared with NumPy's. Nothing of ours is imported but stubs that
grpc_tools generates here, and errors are decoded by Google's own helpers
(grpc_status, google.rpc), as any user would.
"""

import unittest

from google.rpc import error_details_pb2
import grpc
from grpc_health.v1 import health_pb2
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import proto_reflection_descriptor_database
from grpc_status import rpc_status
import numpy as np

import kernel_predictions
from numpy_tensors import DTYPES
from numpy_tensors import from_tensor
from numpy_tensors import pb
from numpy_tensors import to_bfloat16_tensor
from numpy_tensors import to_matrix_input
from numpy_tensors import to_tensor
import steelyard_server
import stored_matrices

# Unit roundoff of float64.
U = 2.0**-53
DEADLINE_SECONDS = 60.0
CHUNK_BYTES_MAX = 1 << 20


def service_names():
  """Full names of every service that proto/ declares."""
  return [
      service.full_name
      for name, module in pb.items()
      if not name.endswith('_grpc')
      for service in module.DESCRIPTOR.services_by_name.values()
  ]


def rpc_paths():
  """'/package.Service/Method' of every RPC that proto/ declares."""
  return {
      f'/{service.full_name}/{method.name}'
      for name, module in pb.items()
      if not name.endswith('_grpc')
      for service in module.DESCRIPTOR.services_by_name.values()
      for method in service.methods
  }


class Recorder(grpc.UnaryUnaryClientInterceptor,
               grpc.UnaryStreamClientInterceptor,
               grpc.StreamUnaryClientInterceptor,
               grpc.StreamStreamClientInterceptor):
  """Notes the path of every call that ended well."""

  def __init__(self):
    self.succeeded = set()

  def intercept_unary_unary(self, continuation, details, request):
    call = continuation(details, request)
    if call.code() == grpc.StatusCode.OK:
      self.succeeded.add(details.method)
    return call

  def intercept_unary_stream(self, continuation, details, request):
    call = continuation(details, request)
    call.add_done_callback(lambda done: self.succeeded.add(details.method)
                           if done.code() == grpc.StatusCode.OK else None)
    return call

  intercept_stream_unary = intercept_unary_unary
  intercept_stream_stream = intercept_unary_stream


def leverages(keys):
  """sup over queries of each key's score: squared row norms of Q."""
  q, _ = np.linalg.qr(keys.astype(np.float64))
  return (q * q).sum(axis=1)


def wide_keys(rng, heads, n, d, dtype):
  """Keys whose sensitivities range over orders of magnitude."""
  keys = rng.standard_normal((heads, n, d))
  keys[:, rng.choice(n, 2 * d, replace=False), :] *= 16.0
  return keys.astype(dtype)


class RpcTest(unittest.TestCase):
  """One server and one channel for all tests."""

  @classmethod
  def setUpClass(cls):
    stubs = {
        name: getattr(pb[f'{stem}_service_grpc'], name)(CHANNEL)
        for stem, name in (('universal_set', 'UniversalSetServiceStub'),
                           ('regression', 'RegressionServiceStub'),
                           ('matrix', 'MatrixServiceStub'),
                           ('server', 'ServerServiceStub'))
    }
    cls.universal_set = stubs['UniversalSetServiceStub']
    cls.regression = stubs['RegressionServiceStub']
    cls.matrix = stubs['MatrixServiceStub']
    cls.server = stubs['ServerServiceStub']
    cls.health = health_pb2_grpc.HealthStub(CHANNEL)
    cls.rng = np.random.default_rng(20261122)


class UniversalSetTest(RpcTest):

  def check_set(self, found, keys, epsilon):
    """Every certificate of one head, against leverages by QR."""
    n, d = keys.shape
    truth = leverages(keys)
    # Of the server, certified; and of our QR, 8 n d u (Higham, Accuracy and
    # Stability, 19.3: the error of Q grows with n d u).
    error = found.relative_score_error + 8 * n * d * U
    members = np.array(found.indices)
    certain = set(np.flatnonzero(truth >= epsilon * (1 + error)))
    possible = set(np.flatnonzero(truth >= epsilon * (1 - error)))
    self.assertGreater(len(certain), 0)
    self.assertLess(len(possible), n)
    self.assertLessEqual(certain, set(members))
    self.assertLessEqual(set(members), possible)
    np.testing.assert_allclose(found.sensitivities, truth[members],
                               rtol=error)
    outside = np.delete(truth, members).max()
    self.assertGreaterEqual(found.effective_epsilon * (1 + 8 * n * d * U),
                            outside)
    self.assertLess(found.effective_epsilon, epsilon * (1 + error))
    self.assertEqual(found.rank, np.linalg.matrix_rank(keys.astype(float)))
    self.assertLessEqual(len(members), found.size_bound)
    self.assertEqual(found.keys, n)
    self.assertAlmostEqual(found.total_sensitivity, d, delta=d * error)

  def find(self, dense, **fields):
    request = pb['universal_set_service'].FindUniversalSetRequest(
        keys=pb['tensor'].MatrixInput(dense=dense), **fields)
    return self.universal_set.FindUniversalSet(
        request, timeout=DEADLINE_SECONDS)

  def test_batch_of_heads(self):
    keys = wide_keys(self.rng, heads=3, n=400, d=8, dtype=np.float32)
    answer = self.find(to_tensor(keys), epsilon=0.1)
    self.assertEqual([s.head for s in answer.sets], [0, 1, 2])
    for head, found in enumerate(answer.sets):
      self.check_set(found, keys[head], 0.1)

  def test_every_storage_type(self):
    keys = wide_keys(self.rng, heads=1, n=300, d=6, dtype=np.float32)[0]
    # Seven bits of mantissa and a narrow range: exact in all four types.
    keys = np.clip(np.round(keys * 4), -64, 64).astype(np.float32) / 4
    tensors = [to_tensor(keys.astype(t))
               for t in (np.float64, np.float32, np.float16)]
    tensors.append(to_bfloat16_tensor(keys))
    answers = [self.find(tensor, epsilon=0.05) for tensor in tensors]
    for answer in answers:
      self.check_set(answer.sets[0], keys, 0.05)
      self.assertEqual(answer.sets[0].indices, answers[0].sets[0].indices)

  def test_top_m(self):
    keys = wide_keys(self.rng, heads=1, n=200, d=5, dtype=np.float64)
    found = self.find(to_tensor(keys), top_m=4).sets[0]
    truth = leverages(keys[0])
    self.assertEqual(list(found.indices),
                     sorted(np.argsort(-truth, kind='stable')[:4]))
    self.assertEqual(found.epsilon, 0.0)

  def test_stream_find_and_the_resource(self):
    keys = wide_keys(self.rng, heads=2, n=400, d=8, dtype=np.float32)
    service = pb['universal_set_service']
    events = list(self.universal_set.StreamFindUniversalSet(
        service.FindUniversalSetRequest(
            keys=to_matrix_input(keys), epsilon=0.1, set_id='python'),
        timeout=DEADLINE_SECONDS))
    self.assertEqual(events[0].WhichOneof('event'), 'progress')
    sets = [e.set for e in events if e.WhichOneof('event') == 'set']
    for head, found in enumerate(sets):
      self.check_set(found, keys[head], 0.1)
    name = 'universalSets/python'
    info = self.universal_set.GetUniversalSet(
        service.GetUniversalSetRequest(name=name), timeout=DEADLINE_SECONDS)
    self.assertEqual(list(info.next_offset), [400, 400])
    self.assertEqual(info.state, info.STATE_FINISHED)
    listed = self.universal_set.ListUniversalSets(
        service.ListUniversalSetsRequest(), timeout=DEADLINE_SECONDS)
    self.assertIn(name, [s.name for s in listed.sets])
    read = list(self.universal_set.ReadUniversalSet(
        service.ReadUniversalSetRequest(name=name, heads=[1]),
        timeout=DEADLINE_SECONDS))
    self.assertEqual([list(s.indices) for s in read], [list(sets[1].indices)])
    self.universal_set.DeleteUniversalSet(
        service.DeleteUniversalSetRequest(name=name),
        timeout=DEADLINE_SECONDS)
    with self.assertRaises(grpc.RpcError) as raised:
      self.universal_set.GetUniversalSet(
          service.GetUniversalSetRequest(name=name), timeout=DEADLINE_SECONDS)
    self.assertEqual(raised.exception.code(), grpc.StatusCode.NOT_FOUND)

  def stream(self, set_id, keys, first_index, chunk, finish):
    """Streams keys of one head; the last messages of the server."""
    stream = pb['universal_set_stream']
    def messages():
      yield stream.StreamKeysRequest(open=stream.OpenKeys(
          set_id=set_id, columns=keys.shape[1],
          dtype=DTYPES[keys.dtype], epsilon=0.1, first_index=first_index))
      for offset in range(0, len(keys), chunk):
        yield stream.StreamKeysRequest(chunk=stream.KeyChunk(
            head=0, offset=offset,
            keys=to_tensor(keys[offset:offset + chunk])))
      if finish:
        yield stream.StreamKeysRequest(finish=stream.FinishKeys())
    return list(self.universal_set.StreamKeys(
        messages(), timeout=DEADLINE_SECONDS))

  def test_streamed_keys(self):
    keys = wide_keys(self.rng, heads=1, n=500, d=8, dtype=np.float32)[0]
    answers = self.stream('python-stream', keys, 0, 70, finish=True)
    self.assertEqual(answers[0].opened.name, 'universalSets/python-stream')
    self.assertEqual(answers[-1].WhichOneof('message'), 'set')
    members = list(answers[-1].set.indices)
    truth = leverages(keys)
    # Of both sides, as check_set.
    error = answers[-1].set.relative_score_error + 8 * 500 * 8 * U
    self.assertLessEqual(set(np.flatnonzero(truth >= 0.1 * (1 + error))),
                         set(members))
    self.assertLessEqual(set(members),
                         set(np.flatnonzero(truth >= 0.1 * (1 - error))))

  def test_shards_are_merged(self):
    service, stream = pb['universal_set_service'], pb['universal_set_stream']
    keys = wide_keys(self.rng, heads=1, n=600, d=6, dtype=np.float64)[0]
    self.stream('shard-a', keys[:250], 0, 100, finish=False)
    self.stream('shard-b', keys[250:], 250, 90, finish=True)
    exported = list(self.universal_set.ExportState(
        stream.ExportStateRequest(name='universalSets/shard-b'),
        timeout=DEADLINE_SECONDS))
    self.assertTrue(exported[-1].last)
    def messages():
      yield stream.MergeStatesRequest(open=stream.MergeOpen(
          set_id='whole', names=['universalSets/shard-a']))
      for chunk in exported:
        yield stream.MergeStatesRequest(
            shard=stream.ShardChunk(shard=0, chunk=chunk))
    answer = self.universal_set.MergeStates(
        messages(), timeout=DEADLINE_SECONDS)
    self.assertEqual(list(answer.info.next_offset), [600])
    read = list(self.universal_set.ReadUniversalSet(
        service.ReadUniversalSetRequest(name='universalSets/whole'),
        timeout=DEADLINE_SECONDS))
    whole = self.find(to_tensor(keys), epsilon=0.1).sets[0]
    self.assertEqual(len(whole.undecided), 0)
    self.assertEqual(list(read[0].indices), list(whole.indices))

  def test_query_heavy(self):
    heads, query_heads, n, m, d, epsilon = 2, 4, 300, 25, 8, 0.05
    keys = wide_keys(self.rng, heads, n, d, np.float16)
    queries = self.rng.standard_normal((query_heads, m, d))
    answer = self.universal_set.QueryHeavy(
        pb['universal_set_service'].QueryHeavyRequest(
            keys=to_matrix_input(keys), queries=to_tensor(queries),
            epsilon=epsilon),
        timeout=DEADLINE_SECONDS)
    self.assertEqual(len(answer.rows), query_heads * m)
    # Errors of sums of n squares of d products, n d u, grow at most with the
    # square of the condition of the keys (N4); 8 for both sides.
    cond = max(np.linalg.cond(head.astype(float)) for head in keys)
    tolerance = 8 * n * d * U * cond**2
    seen = 0
    for g in range(query_heads):
      products = queries[g] @ keys[g * heads // query_heads].astype(float).T
      scores = products**2 / (products**2).sum(axis=1, keepdims=True)
      for i in range(m):
        row = answer.rows[g * m + i]
        indices = list(row.indices)
        certain = set(np.flatnonzero(scores[i] >= epsilon + tolerance))
        possible = set(np.flatnonzero(scores[i] >= epsilon - tolerance))
        self.assertLessEqual(certain, set(indices))
        self.assertLessEqual(set(indices), possible)
        np.testing.assert_allclose(row.scores, scores[i][indices],
                                   rtol=tolerance)
        np.testing.assert_allclose(
            row.normalizer * 2.0**row.normalizer_exponent,
            (products[i]**2).sum(), rtol=tolerance)
        self.assertAlmostEqual(row.captured_mass, sum(row.scores),
                               delta=tolerance)
        seen += len(indices)
    self.assertGreater(seen, query_heads * m)

  def test_attend(self):
    keys, values, queries = self.attention(n=60, m=9)
    answer = self.universal_set.Attend(
        self.attend_request(keys, values, queries=to_tensor(queries)),
        timeout=DEADLINE_SECONDS)
    self.check_attention(answer, keys, values, queries, range(51, 60))

  def test_streams_of_query_blocks(self):
    """Both streams: an open, then two blocks, each answered."""
    service = pb['universal_set_service']
    keys, values, queries = self.attention(n=60, m=8)
    halves = queries[:4], queries[4:]

    def messages(request, open_message, **positions):
      yield request(open=open_message)
      for number, half in enumerate(halves):
        first = 4 * number
        yield request(block=service.QueryBlock(
            id=number, queries=to_tensor(half), **{
                name: places[first:first + 4]
                for name, places in positions.items()}))

    places = list(range(3, 35, 4))
    attended = list(self.universal_set.StreamAttend(
        messages(service.StreamAttendRequest,
                 self.attend_request(keys, values), positions=places),
        timeout=DEADLINE_SECONDS))
    self.assertEqual([(a.id, a.last) for a in attended],
                     [(0, True), (1, True)])
    for number, answer in enumerate(attended):
      self.check_attention(answer.part, keys, values, halves[number],
                           places[4 * number:4 * number + 4])
    heavy = list(self.universal_set.StreamQueryHeavy(
        messages(service.StreamQueryHeavyRequest,
                 service.QueryHeavyRequest(
                     keys=to_matrix_input(keys), epsilon=0.05)),
        timeout=DEADLINE_SECONDS))
    self.assertEqual([(a.id, a.last) for a in heavy], [(0, True), (1, True)])
    for number, answer in enumerate(heavy):
      products = (halves[number] @ keys.T)**2
      scores = products / products.sum(axis=1, keepdims=True)
      for row, expected in zip(answer.part.rows, scores, strict=True):
        self.assertEqual(list(row.indices),
                         list(np.flatnonzero(expected >= 0.05)))

  def attention(self, n, m):
    return (self.rng.standard_normal((n, 5)), self.rng.standard_normal((n, 3)),
            self.rng.standard_normal((m, 5)))

  def attend_request(self, keys, values, **fields):
    """Sinks 0 and 1, and three keys to both sides."""
    return pb['universal_set_service'].AttendRequest(
        keys=to_matrix_input(keys), values=to_matrix_input(values), sinks=2,
        window=3, **fields)

  def check_attention(self, answer, keys, values, queries, places):
    output = from_tensor(answer.output)
    self.assertEqual(output.shape, (len(queries), values.shape[1]))
    place = np.arange(len(keys))
    for i, at in enumerate(places):
      near = (place < 2) | (np.abs(place - at) <= 3)
      weights = np.where(near, (keys @ queries[i])**2, 0.0)
      weights /= weights.sum()
      # Inner products of d numbers, squared, and sums of n.
      np.testing.assert_allclose(output[i], weights @ values,
                                 atol=8 * len(keys) * keys.shape[1] * U
                                 * np.abs(values).max())
      self.assertEqual(answer.attended[i], near.sum())

  def test_errors_speak_google_rpc(self):
    keys = np.ones((4, 3))
    keys[2, 1] = np.nan
    with self.assertRaises(grpc.RpcError) as raised:
      self.find(to_tensor(keys), epsilon=0.5)
    info, bad_request = self.details(raised.exception)
    self.assertEqual(raised.exception.code(),
                     grpc.StatusCode.INVALID_ARGUMENT)
    self.assertEqual(info.reason, 'NOT_FINITE')
    self.assertEqual(info.domain, 'steelyard')
    self.assertEqual(info.metadata['index'], '7')  # Row 2, column 1, of 3.
    self.assertTrue(
        bad_request.field_violations[0].field.startswith('keys'),
        bad_request)
    with self.assertRaises(grpc.RpcError) as raised:
      self.find(to_tensor(np.ones((4, 3))), epsilon=2.0)
    info, bad_request = self.details(raised.exception)
    self.assertEqual(info.reason, 'FIELD_OUT_OF_RANGE')
    self.assertEqual(bad_request.field_violations[0].field, 'epsilon')
    self.assertIn('epsilon', raised.exception.details())

  def details(self, error):
    """ErrorInfo and BadRequest of a failed call, by Google's own classes."""
    status = rpc_status.from_call(error)
    self.assertIsNotNone(status)
    info = error_details_pb2.ErrorInfo()
    bad_request = error_details_pb2.BadRequest()
    for wanted in (info, bad_request):
      self.assertTrue(any(detail.Unpack(wanted) for detail in status.details))
    return info, bad_request


class RegressionTest(kernel_predictions.KernelPredictions, RpcTest):

  def setUp(self):
    # Condition number about 2: NumPy's answers below are right to a few u.
    self.a = self.rng.standard_normal((120, 6))
    self.a[:, 0] *= 1.5
    self.gram = self.a.T @ self.a

  def request(self, b, a=None, **fields):
    return pb['regression_service'].SolveRequest(
        a=to_matrix_input(self.a if a is None else a), b=to_tensor(b),
        **fields)

  def solve(self, b, a=None, **fields):
    answer = self.regression.Solve(
        self.request(b, a, **fields), timeout=DEADLINE_SECONDS)
    self.assertEqual(answer.report.termination,
                     pb['regression_service'].TERMINATION_CONVERGED,
                     answer.report)
    self.assertTrue(all(answer.report.converged))
    return from_tensor(answer.x), answer.report

  def assert_close(self, x, reference, matrix):
    """Both are right to 100 cond(M) u: a backward stable solve, twice."""
    self.assertEqual(x.shape, reference.shape)
    bound = 100 * np.linalg.cond(matrix) * U
    self.assertLessEqual(np.linalg.norm(x - reference),
                         bound * np.linalg.norm(reference))

  def test_gram_power(self):
    service = pb['regression_service']
    matrix = np.linalg.matrix_power(self.gram, 2)
    b = self.rng.standard_normal((6, 3))
    x, report = self.solve(b, gram_power=service.GramPower(exponent=2))
    self.assert_close(x, np.linalg.solve(matrix, b), matrix)
    self.assertEqual(len(report.relative_residual), 3)
    residual = np.linalg.norm(matrix @ x - b, axis=0)
    # Ours is computed in float64: its own error is 100 u |M| |x|.
    slack = 100 * U * np.linalg.norm(matrix) * np.linalg.norm(x, axis=0)
    np.testing.assert_array_less(
        np.abs(residual - report.relative_residual * np.linalg.norm(b, axis=0)),
        slack)

  def test_left_gram_power(self):
    service = pb['regression_service']
    b = self.rng.standard_normal(120)
    z = np.linalg.lstsq(self.a, b, rcond=None)[0]
    x, _ = self.solve(b, left_gram_power=service.LeftGramPower(exponent=0))
    self.assert_close(x, z, self.gram)
    x, report = self.solve(
        b, left_gram_power=service.LeftGramPower(exponent=1))
    self.assert_close(x, np.linalg.solve(self.gram, z),
                      np.linalg.matrix_power(self.gram, 2))
    self.assertEqual(len(report.excess_residual), 1)

  def test_matrix_exponential(self):
    a = self.a / np.linalg.norm(self.a, 2)
    values, vectors = np.linalg.eigh(a.T @ a)
    b = self.rng.standard_normal(6)
    reference = vectors @ (np.exp(-values) * (vectors.T @ b))
    x, _ = self.solve(
        b, a, matrix_exponential=pb['regression_service'].MatrixExponential())
    self.assert_close(x, reference, np.diag(np.exp(values)))

  def test_attention_kernel(self):
    service = pb['regression_service']
    a = self.rng.standard_normal((80, 6)).astype(np.float32)
    b = self.rng.standard_normal(80)
    scale, ridge, tolerance = 0.25, 2.0, 1e-10
    wide = a.astype(float)
    kernel = np.exp(scale * (wide @ wide.T))
    matrix = kernel + ridge * np.eye(80)
    x, report = self.solve(
        b, a, ridge=ridge, tolerance=tolerance,
        attention_kernel=service.AttentionKernel(scale=scale))
    # |x - x*| <= |M^-1| |r|, and NumPy's own error beside it.
    error = np.linalg.norm(x - np.linalg.solve(matrix, b))
    bound = (np.linalg.norm(np.linalg.inv(matrix), 2) * tolerance
             * np.linalg.norm(b)
             + 100 * np.linalg.cond(matrix) * U * np.linalg.norm(x))
    self.assertLessEqual(error, bound)
    self.assertLessEqual(max(report.relative_residual), tolerance)

  def test_stream_solve_of_a_large_answer(self):
    service = pb['regression_service']
    a = self.rng.standard_normal((200, 64))
    b = self.rng.standard_normal((64, 3000))
    self.assertGreater(b.nbytes, CHUNK_BYTES_MAX)
    events = list(self.regression.StreamSolve(
        self.request(b, a, gram_power=service.GramPower(exponent=1)),
        timeout=DEADLINE_SECONDS))
    kinds = [event.WhichOneof('event') for event in events]
    self.assertEqual(kinds[-1], 'result')
    self.assertEqual(kinds.count('result'), 1)
    data = b''
    for event in events:
      if event.WhichOneof('event') == 'x_chunk':
        self.assertEqual(event.x_chunk.offset, len(data))
        self.assertLessEqual(len(event.x_chunk.data), CHUNK_BYTES_MAX)
        data += event.x_chunk.data
    result = events[-1].result
    self.assertEqual(result.x.data, b'')
    x = np.frombuffer(data, '<f8').reshape(tuple(result.x.shape))
    gram = a.T @ a
    self.assert_close(x, np.linalg.solve(gram, b), gram)

  def test_stream_solve_of_a_small_answer(self):
    b = self.rng.standard_normal(6)
    *_, last = self.regression.StreamSolve(
        self.request(b, gram_power=pb['regression_service'].GramPower(
            exponent=1)),
        timeout=DEADLINE_SECONDS)
    self.assert_close(from_tensor(last.result.x),
                      np.linalg.solve(self.gram, b), self.gram)

  def test_wrong_shape_is_refused(self):
    with self.assertRaises(grpc.RpcError) as raised:
      self.solve(np.ones(7), gram_power=pb['regression_service'].GramPower(
          exponent=1))
    self.assertEqual(raised.exception.code(),
                     grpc.StatusCode.INVALID_ARGUMENT)
    status = rpc_status.from_call(raised.exception)
    info = error_details_pb2.ErrorInfo()
    self.assertTrue(any(detail.Unpack(info) for detail in status.details))
    self.assertEqual(info.reason, 'WRONG_SHAPE')


class MatrixTest(stored_matrices.StoredMatrixCalls, RpcTest):
  """Uploads, looks up, uses and deletes."""


class ServerTest(RpcTest):

  def test_get_server_info(self):
    request = pb['server_service'].GetServerInfoRequest()
    info, call = self.server.GetServerInfo.with_call(
        request, timeout=DEADLINE_SECONDS,
        metadata=(('x-request-id', 'from-python'),))
    self.assertRegex(info.version, r'^\d+\.\d+\.\d+$')
    self.assertGreaterEqual(info.workers, 1)
    self.assertGreaterEqual(info.exponent_max, 1)
    for field in info.DESCRIPTOR.fields:
      if not field.name.endswith('memory_reserved_bytes'):
        self.assertTrue(getattr(info, field.name), field.name)
    metadata = [*call.initial_metadata(), *call.trailing_metadata()]
    self.assertIn(('x-request-id', 'from-python'), metadata)

  def test_health(self):
    serving = health_pb2.HealthCheckResponse.SERVING
    for name in ['', *service_names()]:
      request = health_pb2.HealthCheckRequest(service=name)
      answer = self.health.Check(request, timeout=DEADLINE_SECONDS)
      self.assertEqual(answer.status, serving, name)
      watch = self.health.Watch(request, timeout=DEADLINE_SECONDS)
      self.assertEqual(next(watch).status, serving, name)
      watch.cancel()
    with self.assertRaises(grpc.RpcError) as raised:
      self.health.Check(health_pb2.HealthCheckRequest(service='no.such'),
                        timeout=DEADLINE_SECONDS)
    self.assertEqual(raised.exception.code(), grpc.StatusCode.NOT_FOUND)

  def test_reflection_tells_the_contract(self):
    database = (proto_reflection_descriptor_database
                .ProtoReflectionDescriptorDatabase(CHANNEL))
    listed = set(database.get_services())
    self.assertLessEqual(set(service_names()), listed)
    self.assertIn('grpc.health.v1.Health', listed)
    told = database.FindFileContainingSymbol('steelyard.v1.SolveRequest')
    generated = pb['regression_service'].DESCRIPTOR
    self.assertEqual(told.name, generated.name)
    self.assertEqual([m.name for m in told.message_type],
                     list(generated.message_types_by_name))


class EveryRpcTest(unittest.TestCase):
  """Runs last."""

  def test_every_rpc_was_called(self):
    self.assertEqual(rpc_paths() - RECORDER.succeeded, set())
    self.assertGreaterEqual(len(rpc_paths()), 5)


def load_tests(loader, standard_tests, pattern):
  del standard_tests, pattern
  return unittest.TestSuite(
      loader.loadTestsFromTestCase(case)
      for case in (UniversalSetTest, RegressionTest, MatrixTest,
                   ServerTest, EveryRpcTest))


if __name__ == '__main__':
  process = steelyard_server.Server()
  RECORDER = Recorder()
  CHANNEL = grpc.intercept_channel(
      grpc.insecure_channel(process.address), RECORDER)
  try:
    passed = unittest.main(exit=False, verbosity=2).result.wasSuccessful()
    if not passed:
      print(process.log())
  finally:
    CHANNEL.close()
    code = process.stop()
  if code != 0:
    print(f'the server ended with {code}')
  raise SystemExit(0 if passed and code == 0 else 1)
