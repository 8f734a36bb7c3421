// Sessions of StreamKeys that a test can break: they keep the keys they were
// sent, byte for byte, and follow the state machine of the contract.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "tests/client/support/fake_server.h"

namespace steelyard::client::test {

// Copies share their sessions: a handler keeps one, since a server may answer
// for longer than a test runs.
class FakeKeySessions {
 public:
  using Stream = FakeStream<v1::StreamKeysRequest, v1::StreamKeysResponse>;

  struct Session {
    std::vector<std::string> keys;  // Bytes of each head.
    std::vector<std::int64_t> next;
    std::int64_t key_bytes = 0;
    bool finished = false;
    v1::OpenKeys open;
  };

  // How one attachment ends early; each is used once, in order.
  struct Break {
    int chunks = 0;          // After so many chunks of the attachment; with 0,
                             // instead of `opened`.
    bool ack = true;         // The chunks before it are acknowledged.
    FakeReply reply = {};    // The status.
    bool keeps = true;       // The chunks before it are in the session.
    bool at_finish = false;  // When the finish is done, before it is answered.
    // Opened, but the answer is lost.
    bool after_open = false;
  };

  explicit FakeKeySessions(std::vector<Break> breaks = {},
                           std::int64_t chunk_bytes_max = 1 << 20)
      : chunk_bytes_max_(chunk_bytes_max) {
    shared_->breaks = std::move(breaks);
  }

  // The handler of FakeHandlers::stream_keys.
  FakeReply operator()(const FakeCall& call, const Stream& stream);

  // Waits until no stream is attached.
  Session session(const std::string& id) const;
  int attachments() const;

 private:
  FakeReply Serve(const Stream& stream, Session* session, const Break& end);
  bool Take(const v1::KeyChunk& chunk, Session* session,
            std::vector<std::int64_t>* next) const;
  static void Answer(const Stream& stream, const Session& session);

  struct Shared {
    // The server's threads have ended, which a thread sanitizer does not see:
    // gRPC is not instrumented.
    ~Shared() { const std::lock_guard lock(mutex); }

    std::mutex mutex;
    std::vector<Break> breaks;
    std::size_t attachments = 0;
    std::map<std::string, Session> sessions;
  };

  const std::int64_t chunk_bytes_max_;
  std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
};

}  // namespace steelyard::client::test
