// Matrices that the server stores: named, immutable, uploaded once, used by any
// number of calls (StoredMatrix, matrix_source.h). The calls are in client.h.
//
// A name is "matrices/{id}"; every call takes the id alone too.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "steelyard/client/csr_view.h"
#include "steelyard/client/options.h"
#include "steelyard/client/tensor_view.h"

namespace steelyard::client {

// Bytes: row-major, little-endian, no padding.
struct DenseLayout {
  ScalarType type = ScalarType::kFloat64;
  std::vector<std::int64_t> shape;  // 2 extents, or 3: heads first. Each >= 1.
};

// Bytes: row_offsets ((rows + 1) int64), column_indices (nonzeros int32),
// values (nonzeros numbers), each padded with zero bytes to a multiple of 64.
struct CsrLayout {
  ScalarType type = ScalarType::kFloat64;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t nonzeros = 0;
};

using MatrixLayout = std::variant<DenseLayout, CsrLayout>;

struct MatrixInfo {
  std::string name;  // "matrices/{id}"
  MatrixLayout layout;
  std::int64_t size_bytes = 0;
  std::uint32_t crc32c = 0;  // Castagnoli, of all bytes.
  // When the upload was complete.
  std::chrono::system_clock::time_point create_time;
};

struct UploadStatus {
  std::int64_t committed_size = 0;  // Bytes that need not be sent again.
  std::int64_t total_size = 0;
  bool complete = false;  // The matrix can be used.
};

// A matrix that does not lie in memory: of a file, say.
struct MatrixFeed {
  MatrixLayout layout;

  // Fills `out` with the bytes from `offset` on. Asked for in order, twice: for
  // the checksum, then to send them; and again from an earlier offset when a
  // connection broke. An error ends the upload with it. On the thread that made
  // the call.
  std::function<absl::Status(std::int64_t offset, std::span<char> out)> read;
};

// Where an upload stands.
struct UploadProgress {
  // "checksum": of all bytes, before the first is sent. "upload".
  std::string phase;
  std::int64_t bytes_done = 0;  // Of the phase, those found there included.
  std::int64_t bytes_total = 0;
  Seconds elapsed{0.0};  // Since the call.
  int attempt = 1;       // Greater once the connection broke.
};

// On the thread that made the call, after every chunk.
using UploadProgressCallback = std::function<void(const UploadProgress&)>;

struct UploadOptions {
  // Of one message, in [64, 1 MiB], a multiple of 64.
  std::int64_t chunk_bytes = std::int64_t{1} << 20;

  UploadProgressCallback on_progress = {};
};

struct UploadedMatrix {
  MatrixInfo info;
  // Bytes that an earlier upload had left there, so that they were not sent;
  // all of them where the matrix was there already.
  std::int64_t resumed_at = 0;
  std::int64_t bytes_sent = 0;
  int reconnects = 0;
};

struct MatrixPage {
  std::vector<MatrixInfo> matrices;
  // For the page after; empty: this is the last one.
  std::string next_page_token;
};

// As MatrixInfo::crc32c of the matrix that UploadMatrix would store.
// ERRORS  as UploadMatrix, of a matrix that is no matrix.
absl::StatusOr<std::uint32_t> ChecksumOf(const TensorView& matrix);
absl::StatusOr<std::uint32_t> ChecksumOf(const CsrView& matrix);

}  // namespace steelyard::client
