#include "server/convert/key_heads.h"

#include <map>
#include <optional>
#include <utility>
#include <variant>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/errors/errors.h"
#include "steelyard/status.h"

namespace steelyard::server {
namespace {

// Of an entry that core counts through the valid rows of all heads.
Index IndexInTensor(Index index, const TensorInput& tensor,
                    const Lengths& lengths) {
  Index row = index / tensor.cols();
  const Index col = index % tensor.cols();
  Index head = 0;
  for (const Index length : lengths) {
    if (row < length) break;
    row -= length;
    ++head;
  }
  return (head * tensor.rows() + row) * tensor.cols() + col;
}

}  // namespace

absl::StatusOr<TensorInput> KeysFromProto(bool given,
                                          const v1::MatrixInput& keys,
                                          const Limits& limits) {
  if (!given) return FieldRequiredError("keys", "it holds the keys");
  return TensorFromProto(keys, "keys", {.cols_max = limits.columns_max},
                         limits);
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
  std::optional<ErrorDetail> detail = DetailOf(status);
  if (!detail.has_value() || detail->field != argument) return status;
  const auto found = detail->metadata.find("index");
  std::string message(status.message());
  std::int64_t counted = 0;
  if (found != detail->metadata.end() && !lengths.empty() &&
      absl::SimpleAtoi(found->second, &counted)) {
    const Index index = IndexInTensor(counted, tensor, lengths);
    found->second = absl::StrCat(index);
    // "keys[row,col] is nan": the row of the tensor, too.
    const std::size_t bracket = message.find(']');
    if (bracket != std::string::npos) {
      message = absl::StrCat(argument, "[", index / tensor.cols(), ",",
                             index % tensor.cols(), message.substr(bracket));
    }
  }
  detail->field =
      tensor.PathOfNumber(found == detail->metadata.end() ? "" : found->second);
  return ErrorWithDetail(status.code(), message, *detail);
}

}  // namespace steelyard::server
