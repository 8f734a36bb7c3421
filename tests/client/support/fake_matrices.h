// A MatrixService that a test can break: it keeps the bytes it was sent and
// follows the contract of uploads.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "tests/client/support/fake_server.h"

namespace steelyard::client::test {

// Copies share their matrices: a handler keeps one, since a server may answer
// for longer than a test runs.
class FakeMatrices {
 public:
  struct Upload {
    v1::UploadHeader header;
    std::int64_t total = 0;
    std::string bytes;
    bool complete = false;
  };

  // How one upload stream ends early; each is used once, in order.
  struct Break {
    int chunks = 0;        // After so many chunks of the stream.
    FakeReply reply = {};  // The status.
    // More comes to be there after the client has asked how much there is.
    std::int64_t late_bytes = 0;
  };

  explicit FakeMatrices(std::vector<Break> breaks = {});

  // All handlers of MatrixService.
  FakeHandlers Handlers() const;

  Upload upload(const std::string& id) const;
  void Put(const std::string& id, Upload upload) const;
  // Of every stream, the offset of its first chunk.
  std::vector<std::int64_t> first_offsets() const;
  // Of all chunks that arrived.
  std::int64_t bytes_received() const;

 private:
  struct Shared {
    std::mutex mutex;
    std::map<std::string, Upload> uploads;
    std::vector<Break> breaks;
    std::vector<std::int64_t> first_offsets;
    std::int64_t bytes_received = 0;
  };
  using Read = std::function<bool(v1::UploadMatrixRequest*)>;

  static FakeReply Receive(const Read& read, Shared* shared,
                           v1::Matrix* answer);
  static FakeReply Open(const v1::UploadHeader& header, Shared* shared);
  static FakeReply Take(const v1::UploadChunk& chunk, Upload* upload);

  std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
};

// "matrices/{id}" of an upload, as the server answers it.
v1::Matrix MatrixOf(const std::string& id, const FakeMatrices::Upload& upload);

// A refusal with ErrorInfo.
FakeReply RefusalFor(int code, const std::string& reason);

}  // namespace steelyard::client::test
