#include "steelyard/one_pass.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "one_pass/pass.h"
#include "steelyard/status.h"

namespace steelyard {
namespace {

absl::Status BadOption(absl::string_view field, absl::string_view message) {
  const std::string name(field);
  const std::string text(message);
  return ErrorWithDetail(absl::StatusCode::kInvalidArgument, text,
                         {.reason = "FIELD_OUT_OF_RANGE", .field = name});
}

absl::Status CheckOptions(const OnePassOptions& options) {
  if (options.columns < 1) {
    return BadOption("columns", absl::StrCat("columns is ", options.columns,
                                             "; it must be at least 1"));
  }
  if (!(options.epsilon > 0.0 && options.epsilon <= 1.0)) {
    return BadOption("epsilon", absl::StrCat("epsilon is ", options.epsilon,
                                             "; it must be in (0, 1]"));
  }
  if (options.top_m.has_value() && *options.top_m < 1) {
    return BadOption("top_m", absl::StrCat("top_m is ", *options.top_m,
                                           "; it must be at least 1"));
  }
  if (options.first_index < 0) {
    return BadOption("first_index",
                     absl::StrCat("first_index is ", options.first_index,
                                  "; it must be at least 0"));
  }
  if (std::holds_alternative<Softmax>(options.function)) {
    return BadOption("function",
                     absl::StrCat("one pass has no bounded state for ",
                                  DescriptionOf(options.function)));
  }
  return absl::OkStatus();
}

absl::Status CheckBlock(const OnePassOptions& options, Index next_index,
                        const AnyMatrixView& keys) {
  if (Cols(keys) != options.columns) {
    return ErrorWithDetail(
        absl::StatusCode::kInvalidArgument,
        absl::StrCat("keys have ", Cols(keys), " columns; the pass has ",
                     options.columns),
        {.reason = "WRONG_SHAPE", .field = "keys"});
  }
  if (StorageOf(keys) != options.storage) {
    return ErrorWithDetail(absl::StatusCode::kInvalidArgument,
                           "keys are not stored as those of the pass",
                           {.reason = "WRONG_DTYPE", .field = "keys"});
  }
  if (Rows(keys) > std::numeric_limits<Index>::max() - next_index) {
    return ErrorWithDetail(absl::StatusCode::kInvalidArgument,
                           "indices of keys leave the range of int64",
                           {.reason = "FIELD_OUT_OF_RANGE", .field = "keys"});
  }
  return absl::OkStatus();
}

}  // namespace

OnePassUniversalSet::OnePassUniversalSet(std::unique_ptr<Pass> pass)
    : pass_(std::move(pass)) {}
OnePassUniversalSet::OnePassUniversalSet(OnePassUniversalSet&&) noexcept =
    default;
OnePassUniversalSet& OnePassUniversalSet::operator=(
    OnePassUniversalSet&&) noexcept = default;
OnePassUniversalSet::~OnePassUniversalSet() = default;

absl::StatusOr<OnePassUniversalSet> OnePassUniversalSet::Create(
    const OnePassOptions& options) {
  if (absl::Status s = CheckOptions(options); !s.ok()) return s;
  return OnePassUniversalSet(std::make_unique<Pass>(options));
}

absl::Status OnePassUniversalSet::Add(const AnyMatrixView& keys,
                                      const ComputeContext& context) {
  if (absl::Status s = CheckBlock(pass_->options, pass_->next_index(), keys);
      !s.ok()) {
    return s;
  }
  return pass_->Add(keys, context);
}

const OnePassOptions& OnePassUniversalSet::options() const {
  return pass_->options;
}

Index OnePassUniversalSet::keys() const {
  return pass_->state.keys() + pass_->pending.rows;
}

std::vector<KeyRange> OnePassUniversalSet::ranges() const {
  std::vector<KeyRange> ranges = pass_->state.ranges();
  if (pass_->pending.rows == 0) return ranges;
  if (ranges.empty()) ranges.push_back({pass_->state.next_index(), 0});
  ranges.back().count += pass_->pending.rows;
  return ranges;
}

double OnePassUniversalSet::bytes() const {
  return static_cast<double>(sizeof(Pass)) + pass_->state.bytes() +
         static_cast<double>(pass_->pending.bytes.capacity());
}

}  // namespace steelyard
