#include "steelyard/score_function.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace steelyard {
namespace {

std::string DescriptionOfTerm(const PowerTerm& term) {
  const std::string power = absl::StrCat("|x|^", term.p);
  return term.coefficient == 1.0 ? power
                                 : absl::StrCat(term.coefficient, power);
}

}  // namespace

bool IsSquare(const ScoreFunction& function) {
  if (const auto* power = std::get_if<Power>(&function)) {
    return power->p == 2.0;
  }
  const auto* sum = std::get_if<PowerSum>(&function);
  if (sum == nullptr) return false;
  for (const PowerTerm& term : sum->terms) {
    if (term.p != 2.0) return false;
  }
  return true;
}

std::string DescriptionOf(const ScoreFunction& function) {
  if (const auto* power = std::get_if<Power>(&function)) {
    return DescriptionOfTerm({.coefficient = 1.0, .p = power->p});
  }
  if (const auto* sum = std::get_if<PowerSum>(&function)) {
    return absl::StrJoin(sum->terms, " + ",
                         [](std::string* out, const PowerTerm& term) {
                           out->append(DescriptionOfTerm(term));
                         });
  }
  const auto& softmax = std::get<Softmax>(function);
  return softmax.mode == SoftmaxMode::kCertified ? "softmax, certified"
                                                 : "softmax, heuristic";
}

}  // namespace steelyard
