// Stored matrices without a store.
#pragma once

#include <cstddef>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "server/convert/stored_input.h"
#include "server/errors/errors.h"
#include "steelyard/matrix.h"

namespace steelyard::test {

class FakeStoredMatrix final : public server::StoredMatrix {
 public:
  FakeStoredMatrix(server::MatrixInfo info, const std::string& bytes)
      : info_(std::move(info)), bytes_(bytes.size()) {
    if (!bytes.empty()) std::memcpy(bytes_.data(), bytes.data(), bytes.size());
  }

  const server::MatrixInfo& info() const override { return info_; }
  absl::Status Load(const StopToken& stop) const override {
    ++loads_;
    if (!load_.ok()) return load_;
    return StopStatus(stop);
  }
  const std::byte* data() const override { return bytes_.data(); }
  std::uint64_t serial() const override { return 1; }

  // What Load answers from now on.
  void FailLoads(absl::Status status) { load_ = std::move(status); }
  int loads() const { return loads_; }

 private:
  const server::MatrixInfo info_;
  AlignedVector<std::byte> bytes_;
  absl::Status load_;
  mutable int loads_ = 0;
};

// Names and matrices; erasing one is deleting its name.
class FakeMatrices {
 public:
  FakeStoredMatrix& Add(const std::string& id,
                        const server::MatrixLayout& layout,
                        const std::string& bytes) {
    auto matrix = std::make_shared<FakeStoredMatrix>(
        server::MatrixInfo{
            .id = id, .layout = layout, .crc32c = 0, .create_time = {}},
        bytes);
    matrices_[id] = matrix;
    return *matrix;
  }
  void Delete(const std::string& id) { matrices_.erase(id); }

  server::MatrixLookup lookup() const {
    return [this](const std::string& id)
               -> absl::StatusOr<std::shared_ptr<const server::StoredMatrix>> {
      const auto found = matrices_.find(id);
      if (found == matrices_.end()) {
        return server::MatrixNotFoundError(server::MatrixName(id));
      }
      return found->second;
    };
  }

 private:
  std::map<std::string, std::shared_ptr<FakeStoredMatrix>> matrices_;
};

}  // namespace steelyard::test
