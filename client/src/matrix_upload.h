// One upload over as many attempts as it takes: the checksum, then from what
// the server has to the end.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "connection.h"
#include "crc32c.h"
#include "matrix_bytes.h"
#include "retry.h"
#include "steelyard/client/matrices.h"
#include "steelyard/client/options.h"

namespace steelyard::client {

class MatrixUpload {
 public:
  // All arguments outlive it.
  MatrixUpload(const Connection& connection, const std::string& matrix_id,
               const MatrixBytes& bytes, const UploadOptions& options);

  // Once. ERRORS  as Client::UploadMatrix.
  absl::StatusOr<UploadedMatrix> Run(const CallOptions& call);

 private:
  absl::Status RunAttempts();
  absl::Status TakeChecksums();
  absl::Status Attempt(int number);
  // Where to go on: asks the server.
  absl::Status AskCommitted(std::int64_t* committed);
  absl::StatusOr<bool> NextRequest(v1::UploadMatrixRequest* request);
  absl::Status CheckTime() const;
  void Show(const char* phase, std::int64_t done) const;
  std::int64_t Bytes(std::int64_t offset) const;

  const Connection& connection_;
  const std::string matrix_id_;
  const MatrixBytes& bytes_;
  const UploadOptions& options_;
  const std::chrono::steady_clock::time_point start_;
  CallOptions call_;
  const Deadline* deadline_ = nullptr;

  std::vector<std::uint32_t> checksums_;  // One a chunk, from byte 0 on.
  JoinedCrc32c checksum_;

  // Of the attempt.
  int attempt_ = 0;
  bool header_sent_ = false;
  std::int64_t position_ = 0;  // Next byte to be sent.

  std::int64_t committed_ = -1;  // As the server last said; -1: not asked yet.
  v1::Matrix answer_;
  UploadedMatrix uploaded_;
};

// ERRORS  those of the bytes.
absl::StatusOr<std::uint32_t> ChecksumOf(const MatrixBytes& bytes);

}  // namespace steelyard::client
