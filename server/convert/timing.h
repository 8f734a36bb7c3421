// Times that answers report.
#pragma once

#include <chrono>

#include "google/protobuf/duration.pb.h"

namespace steelyard::server {

struct Timing {
  // From arrival to the start of the work.
  std::chrono::nanoseconds queue{0};
  // Of the work itself.
  std::chrono::nanoseconds compute{0};
};

void ToProto(std::chrono::nanoseconds time, google::protobuf::Duration* proto);

}  // namespace steelyard::server
