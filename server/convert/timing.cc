#include "server/convert/timing.h"

#include <cstdint>

namespace steelyard::server {

void ToProto(std::chrono::nanoseconds time, google::protobuf::Duration* proto) {
  constexpr std::int64_t kNanosPerSecond = 1'000'000'000;
  proto->set_seconds(time.count() / kNanosPerSecond);
  proto->set_nanos(static_cast<std::int32_t>(time.count() % kNanosPerSecond));
}

}  // namespace steelyard::server
