#include "server/convert/score_function.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/errors/errors.h"

namespace steelyard::server {
namespace {

// Of p. Below 1 |x|^p is not convex; above 64 a power of a float64 tells
// nothing but the largest entry.
constexpr double kExponentMax = 64.0;
// Terms of a sum: each is a set of bounds of its own.
constexpr int kTermsMax = 16;

absl::Status CheckExponent(double p, const std::string& field) {
  if (p >= 1.0 && p <= kExponentMax) return absl::OkStatus();
  return OutOfRangeError(field, absl::StrCat(p), "it must be in [1, 64]");
}

absl::StatusOr<ScoreFunction> SumFromProto(const v1::PowerSum& proto) {
  const std::string field = "function.power_sum.terms";
  if (proto.terms_size() == 0) {
    return FieldRequiredError(field, "1 to 16 terms");
  }
  if (proto.terms_size() > kTermsMax) {
    return LimitExceededError({.field = field,
                               .what = "the size of " + field,
                               .limit = "power_sum_terms_max",
                               .value = double(proto.terms_size()),
                               .max = double(kTermsMax)});
  }
  PowerSum sum;
  for (int i = 0; i < proto.terms_size(); ++i) {
    const v1::PowerTerm& term = proto.terms(i);
    const std::string at = absl::StrCat(field, "[", i, "]");
    if (!(term.coefficient() > 0.0 && std::isfinite(term.coefficient()))) {
      return OutOfRangeError(at + ".coefficient",
                             absl::StrCat(term.coefficient()),
                             "it must be > 0 and finite");
    }
    const absl::Status p = CheckExponent(term.p(), at + ".p");
    if (!p.ok()) return p;
    sum.terms.push_back({.coefficient = term.coefficient(), .p = term.p()});
  }
  return sum;
}

absl::StatusOr<ScoreFunction> SoftmaxFromProto(const v1::Softmax& proto,
                                               Index columns) {
  Softmax softmax;
  switch (proto.mode()) {
    case v1::SOFTMAX_MODE_HEURISTIC:
      softmax.mode = SoftmaxMode::kHeuristic;
      break;
    case v1::SOFTMAX_MODE_CERTIFIED:
      softmax.mode = SoftmaxMode::kCertified;
      break;
    case v1::SOFTMAX_MODE_UNSPECIFIED:
      return FieldRequiredError(
          "function.softmax.mode",
          "no set of keys of a size independent of n holds every large score; "
          "choose SOFTMAX_MODE_HEURISTIC (some may be missed) or "
          "SOFTMAX_MODE_CERTIFIED (none is, and the keys are needed)");
    default:
      return UnknownEnumError("function.softmax.mode", proto.mode(),
                              "SoftmaxMode");
  }
  softmax.scale = 1.0 / std::sqrt(static_cast<double>(columns));
  if (proto.has_scale()) {
    if (!std::isfinite(proto.scale()) || proto.scale() == 0.0) {
      return OutOfRangeError("function.softmax.scale",
                             absl::StrCat(proto.scale()),
                             "it must be finite and not 0");
    }
    softmax.scale = proto.scale();
  }
  return softmax;
}

// As terms, those of equal exponent added up, by exponent.
PowerSum TermsOf(const ScoreFunction& function) {
  if (const auto* const power = std::get_if<Power>(&function)) {
    return {.terms = {{.coefficient = 1.0, .p = power->p}}};
  }
  std::vector<PowerTerm> terms = std::get<PowerSum>(function).terms;
  std::sort(terms.begin(), terms.end(),
            [](const PowerTerm& a, const PowerTerm& b) { return a.p < b.p; });
  PowerSum sum;
  for (const PowerTerm& term : terms) {
    if (!sum.terms.empty() && sum.terms.back().p == term.p) {
      sum.terms.back().coefficient += term.coefficient;
    } else {
      sum.terms.push_back(term);
    }
  }
  return sum;
}

}  // namespace

absl::StatusOr<ScoreFunction> ScoreFunctionFromProto(
    bool given, const v1::ScoreFunction& proto, Index columns) {
  if (!given) return Power{2.0};
  switch (proto.function_case()) {
    case v1::ScoreFunction::kPower: {
      const double p = proto.power().p();
      const absl::Status checked = CheckExponent(p, "function.power.p");
      if (!checked.ok()) return checked;
      return Power{p};
    }
    case v1::ScoreFunction::kPowerSum:
      return SumFromProto(proto.power_sum());
    case v1::ScoreFunction::kSoftmax:
      return SoftmaxFromProto(proto.softmax(), columns);
    case v1::ScoreFunction::FUNCTION_NOT_SET:
      break;
  }
  // Also a function of a later version, which must not pass as |x|^2.
  return FieldRequiredError(
      "function.power",
      "one of power, power_sum and softmax must be set where function is");
}

void ToProto(const ScoreFunction& function, v1::ScoreFunction* proto) {
  if (const auto* const power = std::get_if<Power>(&function)) {
    proto->mutable_power()->set_p(power->p);
  } else if (const auto* const sum = std::get_if<PowerSum>(&function)) {
    for (const PowerTerm& term : sum->terms) {
      v1::PowerTerm* const added = proto->mutable_power_sum()->add_terms();
      added->set_coefficient(term.coefficient);
      added->set_p(term.p);
    }
  } else {
    const auto& softmax = std::get<Softmax>(function);
    proto->mutable_softmax()->set_mode(softmax.mode == SoftmaxMode::kCertified
                                           ? v1::SOFTMAX_MODE_CERTIFIED
                                           : v1::SOFTMAX_MODE_HEURISTIC);
    proto->mutable_softmax()->set_scale(softmax.scale);
  }
}

bool GiveTheSameScores(const ScoreFunction& a, const ScoreFunction& b) {
  const auto* const softmax_a = std::get_if<Softmax>(&a);
  const auto* const softmax_b = std::get_if<Softmax>(&b);
  if (softmax_a != nullptr || softmax_b != nullptr) {
    return softmax_a != nullptr && softmax_b != nullptr &&
           softmax_a->scale == softmax_b->scale;
  }
  const PowerSum sum_a = TermsOf(a);
  const PowerSum sum_b = TermsOf(b);
  if (sum_a.terms.size() != sum_b.terms.size()) return false;
  // A common factor of all coefficients cancels in every score.
  const double ratio =
      sum_a.terms.front().coefficient / sum_b.terms.front().coefficient;
  for (std::size_t i = 0; i < sum_a.terms.size(); ++i) {
    const PowerTerm& term_a = sum_a.terms[i];
    const PowerTerm& term_b = sum_b.terms[i];
    if (term_a.p != term_b.p ||
        term_a.coefficient != ratio * term_b.coefficient) {
      return false;
    }
  }
  return true;
}

}  // namespace steelyard::server
