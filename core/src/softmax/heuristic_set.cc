#include "softmax/heuristic_set.h"

#include <algorithm>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "factor/factor.h"
#include "linalg/stopped.h"
#include "steelyard/status.h"

namespace steelyard {
namespace {

// Rows between two looks at the stop token: at most so many numbers.
constexpr Index kBlockNumbers = Index{1} << 18;

// Scaled columns (norms in [1, 2)) less their means: nothing overflows, and
// leverage scores do not change under scaling.
absl::StatusOr<Matrix<double>> Centred(const AnyMatrixView& keys,
                                       const ColumnScales& scales,
                                       const ComputeContext& context) {
  const Index n = Rows(keys);
  const Index d = Cols(keys);
  const Index rows = std::clamp<Index>(kBlockNumbers / d, 1, n);
  const Index blocks = (n + rows - 1) / rows;
  auto centred = Matrix<double>::Unset(n, d);
  Matrix<double> sums(blocks, d);
  const auto for_blocks = [&](auto body) {
    context.workers.ParallelFor(blocks, context.stop, [&](Index b) {
      body(b, b * rows, std::min(n, (b + 1) * rows));
    });
    return CheckStop(context.stop);
  };
  absl::Status status = for_blocks([&](Index b, Index begin, Index end) {
    LoadScaledRows(keys, begin, end - begin, scales.exponents,
                   centred.row(begin));
    for (Index i = begin; i < end; ++i) {
      for (Index c = 0; c < d; ++c) sums(b, c) += centred(i, c);
    }
  });
  if (!status.ok()) return status;
  std::vector<double> mean(static_cast<std::size_t>(d));
  for (Index c = 0; c < d; ++c) {
    double sum = 0.0;
    for (Index b = 0; b < blocks; ++b) sum += sums(b, c);
    mean[static_cast<std::size_t>(c)] = sum / static_cast<double>(n);
  }
  status = for_blocks([&](Index, Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      for (Index c = 0; c < d; ++c) {
        centred(i, c) -= mean[static_cast<std::size_t>(c)];
      }
    }
  });
  if (!status.ok()) return status;
  return centred;
}

}  // namespace

absl::StatusOr<UniversalSet> FindSoftmaxSet(const AnyMatrixView& keys,
                                            Index rows_before,
                                            const UniversalSetOptions& options,
                                            const ComputeContext& context) {
  if (std::get<Softmax>(options.function).mode == SoftmaxMode::kCertified) {
    return ErrorWithDetail(
        absl::StatusCode::kInvalidArgument,
        "function: no universal set for softmax exists that is smaller than "
        "the keys: every exposed vertex of their hull reaches score 1. "
        "Certified softmax scores come from QueryHeavy with the keys inline; "
        "mode heuristic gives a set without a promise",
        {.reason = "CONFLICTING_FIELDS", .field = "function", .metadata = {}});
  }
  const absl::StatusOr<ColumnScales> scales =
      ScanColumns(keys, "keys", context, rows_before);
  if (!scales.ok()) return scales.status();
  const absl::StatusOr<Matrix<double>> centred =
      Centred(keys, *scales, context);
  if (!centred.ok()) return centred.status();
  UniversalSetOptions square = options;
  square.function = Power{2.0};
  absl::StatusOr<UniversalSet> set =
      FindUniversalSet(centred->view(), square, context);
  if (!set.ok()) return set.status();
  set->method =
      absl::StrCat("heuristic: p = 2 of the centred keys, ", set->method);
  set->exact = false;
  set->effective_epsilon = 1.0;
  return set;
}

}  // namespace steelyard
