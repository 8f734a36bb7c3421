#include "server/convert/key_heads.h"

#include <optional>
#include <type_traits>
#include <variant>

#include "absl/strings/str_cat.h"
#include "server/errors/errors.h"
#include "steelyard/status.h"

namespace steelyard::server {
namespace {

// Of a row that core counts through the valid rows of all heads.
Index RowInTensor(Index row, const TensorInput& tensor,
                  const Lengths& lengths) {
  Index head = 0;
  for (const Index length : lengths) {
    if (row < length) break;
    row -= length;
    ++head;
  }
  return head * tensor.rows() + row;
}

}  // namespace

absl::StatusOr<TensorInput> KeysFromProto(bool given,
                                          const v1::MatrixInput& keys,
                                          const Limits& limits,
                                          const MatrixLookup& matrices) {
  if (!given) return FieldRequiredError("keys", "it holds the keys");
  return TensorFromProto(keys, "keys", {.cols_max = limits.columns_max}, limits,
                         matrices);
}

absl::StatusOr<Lengths> LengthsFromProto(
    const google::protobuf::RepeatedField<std::int64_t>& lengths,
    const TensorInput& keys) {
  if (lengths.empty()) return Lengths{};
  if (lengths.size() != keys.heads()) {
    return WrongShapeError(
        "lengths", absl::StrCat("has ", lengths.size(), " numbers"),
        absl::StrCat("keys have ", keys.heads(),
                     " heads, and each head has one length"));
  }
  for (int h = 0; h < lengths.size(); ++h) {
    if (lengths[h] < 1 || lengths[h] > keys.rows()) {
      return OutOfRangeError(
          absl::StrCat("lengths[", h, "]"), absl::StrCat(lengths[h]),
          absl::StrCat("it must be in [1, ", keys.rows(), "]"));
    }
  }
  return Lengths(lengths.begin(), lengths.end());
}

std::vector<AnyMatrixView> ValidRows(const TensorMatrices& matrices,
                                     const Lengths& lengths) {
  std::vector<AnyMatrixView> heads(matrices.heads().begin(),
                                   matrices.heads().end());
  for (std::size_t h = 0; h < lengths.size(); ++h) {
    heads[h] = std::visit(
        [&](const auto& view) -> AnyMatrixView {
          return std::decay_t<decltype(view)>(view.data(), lengths[h],
                                              view.cols());
        },
        heads[h]);
  }
  return heads;
}

absl::Status AtTensor(const absl::Status& status, const std::string& argument,
                      const TensorInput& tensor, const Lengths& lengths) {
  const std::optional<ErrorDetail> core = DetailOf(status);
  if (!core.has_value() || core->field != argument) return status;
  const absl::Status moved = WithRow(status, tensor.cols(), [&](Index row) {
    return RowInTensor(row, tensor, lengths);
  });
  const ErrorDetail detail = *DetailOf(moved);
  const auto index = detail.metadata.find("index");
  return WithField(
      moved,
      tensor.PathOfNumber(index == detail.metadata.end() ? "" : index->second));
}

}  // namespace steelyard::server
