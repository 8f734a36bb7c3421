// What accompanies one request from the transport to the last loop of core.
//
// Belongs to the transport thread of the call. Work on other threads gets
// copies of the stop token, never this.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "server/convert/timing.h"
#include "steelyard/stop_token.h"

namespace steelyard::server {

class RequestContext {
 public:
  using Clock = StopToken::Clock;

  // What the transport knows about a call.
  struct Call {
    std::string method;      // "/steelyard.v1.RegressionService/Solve"
    std::string request_id;  // x-request-id, the caller's or ours
    std::optional<Clock::time_point> deadline;
    // True once the caller has cancelled or is gone. Empty: never.
    std::function<bool()> cancelled;
  };

  explicit RequestContext(Call call) : call_(std::move(call)) {
    if (call_.deadline.has_value()) {
      stop_.StopAt(*call_.deadline, StopReason::kDeadline);
    }
  }
  RequestContext(const RequestContext&) = delete;
  RequestContext& operator=(const RequestContext&) = delete;

  // Of one message of a stream: the same caller and deadline, an arrival of its
  // own.
  Call MessageCall() const { return call_; }

  const std::string& method() const { return call_.method; }
  const std::string& request_id() const { return call_.request_id; }
  Clock::time_point arrival() const { return arrival_; }
  const std::optional<Clock::time_point>& deadline() const {
    return call_.deadline;
  }
  bool cancelled() const { return call_.cancelled && call_.cancelled(); }

  const StopSource& stop() const { return stop_; }

  // Of the work, from its start: then the best answer so far is wanted.
  const std::optional<std::chrono::nanoseconds>& time_limit() const {
    return time_limit_;
  }
  void set_time_limit(std::optional<std::chrono::nanoseconds> limit) {
    time_limit_ = limit;
  }

  // For the log: what was asked, in shapes.
  const std::string& shape() const { return shape_; }
  void set_shape(std::string shape) { shape_ = std::move(shape); }

  // How the mathematics ended, for the log; empty: it had no say.
  const std::string& termination() const { return termination_; }
  void set_termination(std::string name) { termination_ = std::move(name); }

  // Known once the work has ended.
  const Timing& timing() const { return timing_; }
  void set_timing(const Timing& timing) { timing_ = timing; }

 private:
  const Call call_;
  const Clock::time_point arrival_ = Clock::now();
  StopSource stop_;
  std::optional<std::chrono::nanoseconds> time_limit_;
  std::string shape_;
  std::string termination_;
  Timing timing_;
};

}  // namespace steelyard::server
