// A stream of both directions without a network.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "server/request/message_stream.h"

namespace steelyard::test {

template <typename Request, typename Response>
class FakeMessageStream final
    : public server::MessageStream<Request, Response> {
 public:
  // What arrives, in order; then the end, or nothing ever again.
  std::deque<Request> requests;
  bool ends = true;
  // Writes fail from this one on.
  std::optional<std::size_t> broken_at;

  std::vector<Response> responses;

  absl::StatusOr<server::Arrival> Read(
      std::chrono::milliseconds patience,
      std::shared_ptr<Request>* message) override {
    if (requests.empty()) {
      if (ends) return server::Arrival::kEnd;
      std::this_thread::sleep_for(patience);
      return server::Arrival::kNothing;
    }
    *message = std::make_shared<Request>(std::move(requests.front()));
    requests.pop_front();
    return server::Arrival::kMessage;
  }

  bool Write(const Response& response) override {
    if (broken_at.has_value() && responses.size() >= *broken_at) return false;
    responses.push_back(response);
    return true;
  }
};

}  // namespace steelyard::test
