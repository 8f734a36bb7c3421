#include "client/examples/demo/section.h"

#include "client/tensor_files/tensor_file.h"

namespace steelyard::demo {

absl::StatusOr<tensor_files::StoredTensor> LoadFixture(
    const Stage& stage, const std::string& name) {
  const auto spec = tensor_files::ParseTensorSpec(stage.fixture + ":" + name);
  if (!spec.ok()) return spec.status();
  return tensor_files::Load(*spec);
}

}  // namespace steelyard::demo
