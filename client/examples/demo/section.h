// What the parts of the demo share: the server, the real tensors, and whether
// everything held so far.
#pragma once

#include <ostream>
#include <string>

#include "absl/status/statusor.h"
#include "client/tensor_files/stored_tensor.h"
#include "client/verify/verdict.h"
#include "steelyard/client/client.h"

namespace steelyard::demo {

struct Stage {
  client::Client client;
  std::string fixture;  // Path of minilm_qkv.safetensors.
  std::ostream& out;
  verify::Verdict verdict = {};  // Of everything checked so far.
};

// Tensor `name` of the fixture, with an optional slice: "layer3.keys[0]".
absl::StatusOr<tensor_files::StoredTensor> LoadFixture(const Stage& stage,
                                                       const std::string& name);

// Each prints its part and adds to stage->verdict. A failed call or an
// unreadable file ends the demo with its status.
absl::Status ShowRealKeys(Stage* stage);
absl::Status ShowPlantedKeys(Stage* stage);
absl::Status ShowStreamedKeys(Stage* stage);
absl::Status ShowRegressions(Stage* stage);

}  // namespace steelyard::demo
