// A Steelyard server, from C++.
//
//     auto client = Client::Create("127.0.0.1:50551");
//     if (!client.ok()) return client.status();
//     auto sets = client->FindUniversalSet(keys, {.epsilon = 0.1});
//
// Every call blocks until it has an answer, its deadline passes or its stop
// token is stopped, whichever is first. Every call has a deadline
// (DefaultDeadlines), and is tried again where that can help (RetryPolicy).
//
// THREADS  A Client may be used from any number of threads at once. A copy is
//   cheap and shares the connection.
// MEMORY   A call copies its matrices once, into the request; an upload not.
// ERRORS   Those of the server, documented at its RPCs, and
//   InvalidArgument: a shape that the numbers do not fill; a CallOptions field
//     out of range. DetailOf(status)->field names it.
//   ResourceExhausted: a request over request_bytes_max; nothing was sent. Or
//     the server is still busy after the last attempt.
//   Unavailable: no server, or it drains, still so at the last attempt.
//   DeadlineExceeded, Cancelled.
//   Internal: an answer that does not keep to the contract.
// How an OK solve ended is SolveReport::termination, not the status.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "steelyard/client/attend.h"
#include "steelyard/client/error_detail.h"
#include "steelyard/client/heavy_scores.h"
#include "steelyard/client/key_stream.h"
#include "steelyard/client/matrices.h"
#include "steelyard/client/matrix_source.h"
#include "steelyard/client/options.h"
#include "steelyard/client/prediction.h"
#include "steelyard/client/regression.h"
#include "steelyard/client/score_function.h"
#include "steelyard/client/server_info.h"
#include "steelyard/client/set_registry.h"
#include "steelyard/client/tensor_view.h"
#include "steelyard/client/universal_set.h"

namespace grpc {
class ChannelInterface;
}  // namespace grpc

namespace steelyard::client {

class Connection;

class Client {
 public:
  // A client of the server at "HOST:PORT" (or any other address of gRPC:
  // "unix:PATH", "dns:///HOST:PORT"). Returns at once: the connection is made
  // by the first call, and made again whenever it broke.
  //
  // ERRORS  InvalidArgument: an option out of range; half of a key pair.
  static absl::StatusOr<Client> Create(const std::string& address,
                                       const ClientOptions& options = {});

  // The same over a channel that the caller made, for credentials,
  // interceptors or transports that ClientOptions do not know. Its limits on
  // message sizes are the caller's; options.credentials is not used.
  static absl::StatusOr<Client> OverChannel(
      std::shared_ptr<grpc::ChannelInterface> channel,
      const ClientOptions& options = {});

  // The keys that some query gives a score >= epsilon.
  //
  // SHAPES  keys: n x d, or H x n x d.
  // COST    2 n d^2 flops a head, in the server.
  absl::StatusOr<UniversalSets> FindUniversalSet(
      const DenseSource& keys, const UniversalSetOptions& options,
      const CallOptions& call = {}) const;

  // The same with progress and without a limit on the answer. `on_progress` may
  // be empty.
  absl::StatusOr<UniversalSets> StreamFindUniversalSet(
      const DenseSource& keys, const UniversalSetOptions& options,
      const ProgressCallback& on_progress, const CallOptions& call = {}) const;

  // For each query, every key whose score is >= epsilon, and no other.
  //
  // SHAPES  keys: n x d, or H x n x d; queries: m x d, or G x m x d, G a
  //         multiple of H. Query head g reads key head floor(g H / G).
  // COST    that of FindUniversalSet (nothing with a kept set), then
  //         d (d + |U|) flops a query.
  absl::StatusOr<HeavyScores> QueryHeavy(const DenseSource& keys,
                                         const TensorView& queries,
                                         const HeavyOptions& options,
                                         const CallOptions& call = {}) const;
  absl::StatusOr<HeavyScores> QueryHeavy(const KeptSet& set,
                                         const TensorView& queries,
                                         const HeavyOptions& options,
                                         const CallOptions& call = {}) const;
  // The same in arrays.
  absl::StatusOr<PackedHeavyScores> QueryHeavyPacked(
      const DenseSource& keys, const TensorView& queries,
      const HeavyOptions& options, const CallOptions& call = {}) const;
  absl::StatusOr<PackedHeavyScores> QueryHeavyPacked(
      const KeptSet& set, const TensorView& queries,
      const HeavyOptions& options, const CallOptions& call = {}) const;

  // The same for any number of queries, without a limit on the answer: they are
  // sent in blocks of at most 1 MiB, and answered while the next are sent. When
  // the connection breaks, it goes on with the first unanswered block.
  absl::StatusOr<HeavyScores> StreamQueryHeavy(
      const DenseSource& keys, const TensorView& queries,
      const HeavyOptions& options, const CallOptions& call = {}) const;
  absl::StatusOr<HeavyScores> StreamQueryHeavy(
      const KeptSet& set, const TensorView& queries,
      const HeavyOptions& options, const CallOptions& call = {}) const;
  // The same for blocks of the caller, as they come.
  absl::Status StreamQueryHeavy(const DenseSource& keys,
                                const QueryBlocks& blocks,
                                const HeavyOptions& options,
                                const HeavyBlockCallback& on_block,
                                const CallOptions& call = {}) const;
  absl::Status StreamQueryHeavy(const KeptSet& set, const QueryBlocks& blocks,
                                const HeavyOptions& options,
                                const HeavyBlockCallback& on_block,
                                const CallOptions& call = {}) const;

  // LevAttention: attention over the universal set, sinks and local keys only.
  //
  // COST  that of FindUniversalSet (nothing with a kept set), then
  //       (d + e) (|U| + sinks + local) flops a query.
  absl::StatusOr<Attention> Attend(const AttendInputs& inputs,
                                   const AttendOptions& options,
                                   const CallOptions& call = {}) const;
  // The same for any number of queries, as StreamQueryHeavy.
  absl::StatusOr<Attention> StreamAttend(const AttendInputs& inputs,
                                         const AttendOptions& options,
                                         const CallOptions& call = {}) const;
  // The same for blocks of the caller; inputs.queries is not read.
  absl::Status StreamAttend(const AttendInputs& inputs,
                            const QueryBlocks& blocks,
                            const AttendOptions& options,
                            const AttentionBlockCallback& on_block,
                            const CallOptions& call = {}) const;

  // A new stream of keys (key_stream.h). `call`: of the whole stream, until it
  // is finished or destroyed; its deadline is DefaultDeadlines::stream_keys.
  //
  // ERRORS  AlreadyExists: the set_id is taken.
  absl::StatusOr<KeyStream> OpenKeyStream(const KeyStreamOptions& options,
                                          const CallOptions& call = {}) const;
  // Goes on with a stream that the server knows: by next_offset() it says from
  // which keys on. One that is still attached elsewhere ends there.
  //
  // ERRORS  NotFound; FailedPrecondition SET_FINISHED.
  absl::StatusOr<KeyStream> ResumeKeyStream(const std::string& name,
                                            const KeyStreamFlow& flow = {},
                                            const CallOptions& call = {}) const;
  // A new stream that goes on where a state ends (KeyStream::Checkpoint,
  // ExportState), of this server or of any other. Of `options`, set_id, ttl and
  // flow are read; the others are those of the state.
  absl::StatusOr<KeyStream> ImportKeyStream(std::string_view state,
                                            const KeyStreamOptions& options,
                                            const CallOptions& call = {}) const;

  // What the server keeps (set_registry.h). ERRORS  NotFound.
  absl::StatusOr<SetInfo> GetUniversalSet(const std::string& name,
                                          const CallOptions& call = {}) const;
  // The set itself, one a head of `heads` (ascending; empty: all). Of a stream
  // that still receives: as of the keys acknowledged.
  absl::StatusOr<UniversalSets> ReadUniversalSet(
      const std::string& name, const std::vector<std::int64_t>& heads = {},
      const CallOptions& call = {}) const;
  // All of them, by name, ascending.
  absl::StatusOr<std::vector<SetInfo>> ListUniversalSets(
      const CallOptions& call = {}) const;
  absl::Status DeleteUniversalSet(const std::string& name,
                                  const CallOptions& call = {}) const;
  // The state of a streamed set, for MergeStates and ImportKeyStream.
  absl::StatusOr<std::string> ExportState(const std::string& name,
                                          const CallOptions& call = {}) const;
  // The set of the union of shards, kept under a new name, finished. Exact,
  // whatever the order.
  absl::StatusOr<SetInfo> MergeStates(const MergeInputs& inputs,
                                      const Keeping& keep,
                                      const CallOptions& call = {}) const;

  // Stores a matrix under a name; durable when this returns. What an upload
  // that broke off has left there is not sent again, also when the connection
  // breaks under this call, and when an earlier program began it: the same
  // matrix, the same id.
  //
  // SHAPES  n x d, H x n x d; a vector of n is stored as n x 1.
  // COST    two passes over the bytes: checksum, then the upload.
  // MEMORY  a chunk. No copy of the matrix is made.
  // ERRORS  AlreadyExists: the name is another matrix's, or another upload's
  //   that is not complete: DeleteMatrix first. The same matrix, complete, is
  //   no error. InvalidArgument NOT_FINITE, with its index. ResourceExhausted
  //   DISK_FULL. Aborted TAKEN_OVER: a newer upload of it has gone on.
  absl::StatusOr<UploadedMatrix> UploadMatrix(
      const std::string& matrix_id, const TensorView& matrix,
      const UploadOptions& options = {}, const CallOptions& call = {}) const;
  absl::StatusOr<UploadedMatrix> UploadMatrix(
      const std::string& matrix_id, const CsrView& matrix,
      const UploadOptions& options = {}, const CallOptions& call = {}) const;
  absl::StatusOr<UploadedMatrix> UploadMatrix(
      const std::string& matrix_id, const MatrixFeed& feed,
      const UploadOptions& options = {}, const CallOptions& call = {}) const;

  // Of an upload, also a complete one. ERRORS  NotFound.
  absl::StatusOr<UploadStatus> GetUploadStatus(
      const std::string& name, const CallOptions& call = {}) const;
  // ERRORS  NotFound: no complete matrix of that name.
  absl::StatusOr<MatrixInfo> GetMatrix(const std::string& name,
                                       const CallOptions& call = {}) const;
  // Complete ones, by name, ascending: all of them, or one page of at most
  // page_size (0: 100; at most 1000), the first where page_token is empty.
  absl::StatusOr<std::vector<MatrixInfo>> ListMatrices(
      const CallOptions& call = {}) const;
  absl::StatusOr<MatrixPage> ListMatricesPage(
      std::int32_t page_size, const std::string& page_token,
      const CallOptions& call = {}) const;
  // Also drops an unfinished upload. Calls that run on it go on.
  absl::Status DeleteMatrix(const std::string& name,
                            const CallOptions& call = {}) const;

  // min |M x - b|.
  //
  // SHAPES  a: n x d; b: rows(M), or rows(M) x k.
  absl::StatusOr<Solution> Solve(const MatrixSource& a, const DenseSource& b,
                                 const Problem& problem,
                                 const SolveOptions& options = {},
                                 const CallOptions& call = {}) const;

  // The same, with progress, and with no limit on the size of the answer.
  // `on_progress` may be empty.
  absl::StatusOr<Solution> StreamSolve(const MatrixSource& a,
                                       const DenseSource& b,
                                       const Problem& problem,
                                       const SolveOptions& options,
                                       const ProgressCallback& on_progress,
                                       const CallOptions& call = {}) const;

  // The values of a kernel regression at new rows (prediction.h). When the
  // connection breaks, it goes on with the first row that has not come; stored
  // queries are computed anew, and only the rows that are missing kept.
  // `on_progress` may be empty.
  //
  // SHAPES  a: n x d; x: n, or n x k; queries: m x d.
  // COST    2 m n (d + k) flops and m n exponentials, in the server.
  absl::StatusOr<Prediction> Predict(const PredictInputs& inputs,
                                     const PredictOptions& options = {},
                                     const ProgressCallback& on_progress = {},
                                     const CallOptions& call = {}) const;
  // The same row by row, without a limit on m k.
  absl::Status StreamPredict(const PredictInputs& inputs,
                             const PredictOptions& options,
                             const PredictionCallback& on_rows,
                             const CallOptions& call = {}) const;

  // Answered at once, also by a busy server.
  absl::StatusOr<ServerInfo> GetServerInfo(const CallOptions& call = {}) const;

  // Health of the whole server, or of one service
  // ("steelyard.v1.RegressionService").
  //
  // ERRORS  NotFound: no such service.
  absl::StatusOr<ServingStatus> Check(const std::string& service = "",
                                      const CallOptions& call = {}) const;

 private:
  explicit Client(std::shared_ptr<const Connection> connection);

  // Of a matrix or of each head; 0: it is none.
  absl::StatusOr<std::int64_t> RowsOf(const DenseSource& source,
                                      const CallOptions& call) const;

  std::shared_ptr<const Connection> connection_;
};

}  // namespace steelyard::client
