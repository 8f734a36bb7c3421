#include "score_function_codec.h"

namespace steelyard::client {
namespace {

struct Writer {
  v1::ScoreFunction* wire;

  void operator()(const Power& power) const {
    wire->mutable_power()->set_p(power.p);
  }
  void operator()(const PowerSum& sum) const {
    v1::PowerSum* terms = wire->mutable_power_sum();
    for (const PowerTerm& term : sum.terms) {
      v1::PowerTerm* out = terms->add_terms();
      out->set_coefficient(term.coefficient);
      out->set_p(term.p);
    }
  }
  void operator()(const Softmax& softmax) const {
    v1::Softmax* out = wire->mutable_softmax();
    out->set_mode(softmax.mode == SoftmaxMode::kHeuristic
                      ? v1::SOFTMAX_MODE_HEURISTIC
                      : v1::SOFTMAX_MODE_CERTIFIED);
    if (softmax.scale.has_value()) out->set_scale(*softmax.scale);
  }
};

}  // namespace

void ToProto(const ScoreFunction& function, v1::ScoreFunction* wire) {
  std::visit(Writer{wire}, function);
}

std::optional<ScoreFunction> FromProto(const v1::ScoreFunction& wire) {
  switch (wire.function_case()) {
    case v1::ScoreFunction::kPower:
      return Power{wire.power().p()};
    case v1::ScoreFunction::kPowerSum: {
      PowerSum sum;
      for (const v1::PowerTerm& term : wire.power_sum().terms()) {
        sum.terms.push_back({term.coefficient(), term.p()});
      }
      return sum;
    }
    case v1::ScoreFunction::kSoftmax: {
      Softmax softmax;
      if (wire.softmax().mode() == v1::SOFTMAX_MODE_HEURISTIC) {
        softmax.mode = SoftmaxMode::kHeuristic;
      }
      if (wire.softmax().has_scale()) softmax.scale = wire.softmax().scale();
      return softmax;
    }
    case v1::ScoreFunction::FUNCTION_NOT_SET:
      break;
  }
  return std::nullopt;
}

}  // namespace steelyard::client
