// A message whose every field is set, and the check that a converter reads each
// of them, the ones that are added later included.
#pragma once

#include <google/protobuf/message.h>

#include <functional>
#include <string>
#include <vector>

namespace steelyard::client::test {

// Sets every field, recursively, to a value that is not its default; repeated
// fields get two entries. Of a oneof, the last alternative is left.
void FillEveryField(google::protobuf::Message* message);

// Paths of the fields whose value makes no difference to `describe`: each leaf
// of `filled` is cleared in turn, and the description must change.
std::vector<std::string> UnreadFields(
    const google::protobuf::Message& filled,
    const std::function<std::string(const google::protobuf::Message&)>&
        describe);

// Paths of the fields of `message` that are not set, outside oneofs that have
// another alternative set.
std::vector<std::string> UnsetFields(const google::protobuf::Message& message);

}  // namespace steelyard::client::test
