#include "tests/support/planted_model.h"

#include <algorithm>
#include <cmath>

#include "tests/support/matrices.h"

namespace steelyard::test {

double PlantedThreshold(const PlantedModel& model) {
  const double nu = static_cast<double>(model.n) * model.sigma * model.sigma /
                    static_cast<double>(model.d);
  return std::sqrt(model.epsilon * nu / (1.0 - model.epsilon));
}

PlantedKeys MakePlantedKeys(const PlantedModel& model) {
  PlantedKeys result{NormalMatrix(model.n, model.d, Seed{model.seed}),
                     {},
                     model.ratio * PlantedThreshold(model)};
  const double scale = model.sigma / std::sqrt(static_cast<double>(model.d));
  for (Index i = 0; i < result.keys.size(); ++i) {
    result.keys.data()[i] *= scale;
  }
  const Matrix<double> directions =
      RandomOrthogonal(model.d, model.d, Seed{model.seed + 1});
  for (Index s = 0; s < model.planted; ++s) {
    const Index position = (2 * s + 1) * model.n / (2 * model.planted);
    result.positions.push_back(position);
    for (Index c = 0; c < model.d; ++c) {
      result.keys(position, c) = result.rho * directions(s, c);
    }
  }
  return result;
}

PlantedRecovery RecoveryOf(const PlantedKeys& planted,
                           const std::vector<Index>& members) {
  const auto hits =
      std::count_if(members.begin(), members.end(), [&](Index member) {
        return std::binary_search(planted.positions.begin(),
                                  planted.positions.end(), member);
      });
  return {
      static_cast<double>(hits) / static_cast<double>(planted.positions.size()),
      static_cast<Index>(members.size()) - static_cast<Index>(hits)};
}

}  // namespace steelyard::test
