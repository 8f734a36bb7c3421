#include "server/convert/query_blocks.h"

#include "server/errors/errors.h"

namespace steelyard::server {

absl::Status CheckOrder(bool is_open, bool is_block, bool opened) {
  if (is_open) {
    if (!opened) return absl::OkStatus();
    return OutOfOrderError("open", "has come before",
                           "a stream is opened once, by its first message");
  }
  if (is_block) {
    if (opened) return absl::OkStatus();
    return OutOfOrderError("block", "comes before open",
                           "the first message of a stream is open");
  }
  return FieldRequiredError(opened ? "block" : "open",
                            "a message of a stream holds open or block");
}

absl::Status NeverOpenedError() {
  return OutOfOrderError("open", "has not come",
                         "the first message of a stream is open");
}

}  // namespace steelyard::server
