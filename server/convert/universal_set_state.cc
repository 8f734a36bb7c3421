#include "server/convert/universal_set_state.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "server/convert/score_function.h"
#include "server/convert/tensor_input.h"
#include "server/errors/errors.h"

namespace steelyard::server {
namespace {

v1::DType DTypeOf(StorageType storage) {
  switch (storage) {
    case StorageType::kFloat64:
      return v1::DTYPE_FLOAT64;
    case StorageType::kFloat32:
      return v1::DTYPE_FLOAT32;
    case StorageType::kFloat16:
      return v1::DTYPE_FLOAT16;
    case StorageType::kBFloat16:
      return v1::DTYPE_BFLOAT16;
  }
  return v1::DTYPE_UNSPECIFIED;
}

template <typename List, typename T>
void Fill(const std::vector<T>& numbers, List* list) {
  list->Add(numbers.begin(), numbers.end());
}

void SetShape(Index rows, Index cols, v1::Tensor* tensor) {
  tensor->add_shape(rows);
  tensor->add_shape(cols);
}

void HeadToProto(const OnePassState& head, Index first_index,
                 StorageType storage, v1::HeadState* proto) {
  for (const KeyRange& range : head.ranges) {
    v1::IndexRange* const added = proto->add_ranges();
    added->set_first(range.first);
    added->set_count(range.count);
  }
  // Where its first key will be, which no range tells yet.
  if (head.ranges.empty()) proto->add_ranges()->set_first(first_index);
  v1::Tensor* const factor = proto->mutable_factor();
  factor->set_dtype(v1::DTYPE_FLOAT64);
  SetShape(head.factor.rows(), head.factor.cols(), factor);
  factor->set_data(
      reinterpret_cast<const char*>(head.factor.data()),
      static_cast<std::size_t>(head.factor.size()) * sizeof(double));
  Fill(head.column_exponents, proto->mutable_column_exponents());
  Fill(head.indices, proto->mutable_indices());
  if (!head.indices.empty()) {
    v1::Tensor* const candidates = proto->mutable_candidates();
    candidates->set_dtype(DTypeOf(storage));
    SetShape(static_cast<Index>(head.indices.size()), head.factor.cols(),
             candidates);
    candidates->set_data(reinterpret_cast<const char*>(head.candidates.data()),
                         head.candidates.size());
  }
  Fill(head.arrival_scores, proto->mutable_arrival_scores());
  Fill(head.arrival_errors, proto->mutable_arrival_errors());
  proto->set_arrival_total(head.arrival_total);
  proto->set_arrival_bound(head.arrival_bound);
  proto->set_coreset(head.coreset);
  proto->set_factor_error(head.factor_error);
  proto->set_householder_error(head.householder_error);
}

absl::Status CheckTensor(const v1::Tensor& tensor, const std::string& path,
                         v1::DType dtype, Index rows, Index cols,
                         std::int64_t number_bytes) {
  if (tensor.dtype() != dtype) {
    return StateCorruptError(path + ".dtype",
                             "is " + std::to_string(tensor.dtype()),
                             "it must be " + v1::DType_Name(dtype));
  }
  if (tensor.shape_size() != 2 || tensor.shape(0) != rows ||
      tensor.shape(1) != cols) {
    return StateCorruptError(path + ".shape", "is another",
                             absl::StrCat("it must be ", rows, " x ", cols));
  }
  // rows <= the number of indices, which have been parsed; cols <= columns_max.
  const std::int64_t bytes = rows * cols * number_bytes;
  if (static_cast<std::int64_t>(tensor.data().size()) != bytes) {
    return StateCorruptError(
        path + ".data", absl::StrCat("has ", tensor.data().size(), " bytes"),
        absl::StrCat("it must have ", bytes));
  }
  return absl::OkStatus();
}

absl::Status CheckCounts(const v1::HeadState& proto, const std::string& path,
                         bool causal) {
  const int arrivals = causal ? proto.indices_size() : 0;
  if (proto.arrival_scores_size() != arrivals) {
    return StateCorruptError(
        path + ".arrival_scores",
        absl::StrCat("has ", proto.arrival_scores_size(), " numbers"),
        absl::StrCat("it must have ", arrivals));
  }
  if (proto.arrival_errors_size() != arrivals) {
    return StateCorruptError(
        path + ".arrival_errors",
        absl::StrCat("has ", proto.arrival_errors_size(), " numbers"),
        absl::StrCat("it must have ", arrivals));
  }
  if (proto.ranges_size() == 0) {
    return StateCorruptError(path + ".ranges", "is empty",
                             "without keys it tells the first index");
  }
  return absl::OkStatus();
}

absl::StatusOr<OnePassState> HeadFromProto(const v1::HeadState& proto,
                                           const std::string& path,
                                           const SessionState& session) {
  const Index d = session.description.columns;
  absl::Status checked = CheckCounts(proto, path, session.description.causal);
  if (!checked.ok()) return checked;
  checked = CheckTensor(proto.factor(), path + ".factor", v1::DTYPE_FLOAT64, d,
                        d, sizeof(double));
  if (!checked.ok()) return checked;
  OnePassState head;
  if (proto.indices_size() > 0) {
    checked = CheckTensor(proto.candidates(), path + ".candidates",
                          DTypeOf(session.storage), proto.indices_size(), d,
                          SizeOf(session.storage));
    if (!checked.ok()) return checked;
    const std::string& bytes = proto.candidates().data();
    head.candidates.resize(bytes.size());
    std::memcpy(head.candidates.data(), bytes.data(), bytes.size());
  }
  for (const v1::IndexRange& range : proto.ranges()) {
    head.ranges.push_back({.first = range.first(), .count = range.count()});
  }
  if (head.ranges.size() == 1 && head.ranges.front().count == 0) {
    head.ranges.clear();
  }
  head.factor = Matrix<double>::Unset(d, d);
  std::memcpy(head.factor.data(), proto.factor().data().data(),
              proto.factor().data().size());
  head.column_exponents.assign(proto.column_exponents().begin(),
                               proto.column_exponents().end());
  head.factor_error = proto.factor_error();
  head.householder_error = proto.householder_error();
  head.indices.assign(proto.indices().begin(), proto.indices().end());
  head.arrival_scores.assign(proto.arrival_scores().begin(),
                             proto.arrival_scores().end());
  head.arrival_errors.assign(proto.arrival_errors().begin(),
                             proto.arrival_errors().end());
  head.arrival_total = proto.arrival_total();
  head.arrival_bound = proto.arrival_bound();
  head.coreset = proto.coreset();
  return head;
}

absl::StatusOr<StorageType> StorageOf(v1::DType dtype) {
  for (const StorageType storage :
       {StorageType::kFloat64, StorageType::kFloat32, StorageType::kFloat16,
        StorageType::kBFloat16}) {
    if (DTypeOf(storage) == dtype) return storage;
  }
  return StateCorruptError("state.dtype", "is " + std::to_string(dtype),
                           "it must be a floating-point type");
}

absl::Status CheckLimit(const char* field, Index given, Index max,
                        const char* limit) {
  if (given < 1) {
    return StateCorruptError(field, absl::StrCat("is ", given),
                             "it must be >= 1");
  }
  if (given <= max) return absl::OkStatus();
  return LimitExceededError({.field = field,
                             .what = field,
                             .limit = limit,
                             .value = double(given),
                             .max = double(max)});
}

absl::StatusOr<SetDescription> DescriptionFromProto(
    const v1::UniversalSetState& proto, const Limits& limits) {
  SetDescription description;
  description.heads = proto.heads_size();
  description.columns = proto.columns();
  absl::Status bound = CheckLimit("state.heads", description.heads,
                                  limits.heads_max, "heads_max");
  if (!bound.ok()) return bound;
  bound = CheckLimit("state.columns", description.columns, limits.columns_max,
                     "columns_max");
  if (!bound.ok()) return bound;
  if (!(proto.epsilon() > 0.0 && proto.epsilon() <= 1.0)) {
    return StateCorruptError("state.epsilon",
                             absl::StrCat("is ", proto.epsilon()),
                             "it must be in (0, 1]");
  }
  description.epsilon = proto.epsilon();
  if (proto.has_top_m()) {
    if (proto.top_m() < 1) {
      return StateCorruptError(
          "state.top_m", absl::StrCat("is ", proto.top_m()), "it must be >= 1");
    }
    description.top_m = proto.top_m();
  }
  absl::StatusOr<ScoreFunction> function = ScoreFunctionFromProto(
      proto.has_function(), proto.function(), description.columns);
  if (!function.ok() || std::holds_alternative<Softmax>(*function)) {
    return StateCorruptError("state.function", "is not one of a pass",
                             "it must be a power or a sum of powers");
  }
  description.function = *std::move(function);
  description.causal = proto.causal();
  return description;
}

}  // namespace

absl::StatusOr<std::string> SerializedState(const SessionState& state) {
  v1::UniversalSetState proto;
  proto.set_format(kStateFormat);
  proto.set_dtype(DTypeOf(state.storage));
  proto.set_columns(state.description.columns);
  proto.set_epsilon(state.description.epsilon.value_or(1.0));
  ToProto(state.description.function, proto.mutable_function());
  if (state.description.top_m.has_value()) {
    proto.set_top_m(*state.description.top_m);
  }
  proto.set_causal(state.description.causal);
  for (std::size_t head = 0; head < state.heads.size(); ++head) {
    HeadToProto(state.heads[head], state.first_index[head], state.storage,
                proto.add_heads());
  }
  const double bytes = static_cast<double>(proto.ByteSizeLong());
  if (bytes > static_cast<double>(kMessageBytesHardMax)) {
    return LimitExceededError(
        {.field = "",
         .what = "the size of the state in bytes",
         .limit = "message_bytes_max",
         .value = bytes,
         .max = static_cast<double>(kMessageBytesHardMax)});
  }
  return proto.SerializeAsString();
}

absl::StatusOr<SessionState> ParsedState(const std::string& bytes,
                                         const Limits& limits) {
  v1::UniversalSetState proto;
  if (!proto.ParseFromString(bytes)) {
    return StateCorruptError("state", "is not a UniversalSetState",
                             "its bytes must be those that were exported");
  }
  if (proto.format() > kStateFormat) {
    return StateFormatError(
        "state.format", absl::StrCat("is ", proto.format()),
        absl::StrCat("this version reads formats up to ", kStateFormat));
  }
  if (proto.format() == 0) {
    return StateCorruptError("state.format", "is 0", "formats begin with 1");
  }
  SessionState state;
  const absl::StatusOr<StorageType> storage = StorageOf(proto.dtype());
  if (!storage.ok()) return storage.status();
  state.storage = *storage;
  absl::StatusOr<SetDescription> description =
      DescriptionFromProto(proto, limits);
  if (!description.ok()) return description.status();
  state.description = *std::move(description);
  for (int head = 0; head < proto.heads_size(); ++head) {
    absl::StatusOr<OnePassState> parsed = HeadFromProto(
        proto.heads(head), absl::StrCat("state.heads[", head, "]"), state);
    if (!parsed.ok()) return parsed.status();
    state.heads.push_back(*std::move(parsed));
    const Index first = proto.heads(head).ranges(0).first();
    if (first < 0) {
      return StateCorruptError(absl::StrCat("state.heads[", head, "].ranges"),
                               absl::StrCat("begins at ", first),
                               "indices are >= 0");
    }
    state.first_index.push_back(first);
  }
  return state;
}

absl::Status AtHeadState(const absl::Status& status, Index head) {
  const std::optional<ErrorDetail> detail = DetailOf(status);
  if (!detail.has_value()) return status;
  return WithField(status,
                   absl::StrCat("state.heads[", head, "].", detail->field));
}

}  // namespace steelyard::server
