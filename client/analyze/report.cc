#include "client/analyze/report.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace steelyard::analyze {
namespace {

using tensor_files::StoredTensor;
using tensor_files::TensorInfo;

int64_t HeadsOfShape(const std::vector<int64_t>& shape) {
  return shape.size() == 3 ? shape[0] : 1;
}

absl::StatusOr<std::vector<double>> SensitivitiesOf(
    const client::UniversalSet& set, int64_t keys) {
  if (set.keys != keys || static_cast<int64_t>(set.indices.size()) != keys ||
      set.sensitivities.size() != set.indices.size()) {
    return absl::InternalError(
        absl::StrCat("the server answered ", set.indices.size(),
                     " sensitivities for ", keys, " keys of head ", set.head));
  }
  return set.sensitivities;
}

}  // namespace

absl::Status CheckShapes(const TensorInfo& keys, const TensorInfo& queries,
                         bool causal) {
  const auto problem = [&](const std::string& what) {
    return absl::InvalidArgumentError(absl::StrCat(
        "keys are ", keys.text(), ", queries ", queries.text(), "; ", what));
  };
  for (const TensorInfo* tensor : {&keys, &queries}) {
    if (tensor->shape.size() != 2 && tensor->shape.size() != 3) {
      return problem("each must be rows x columns or heads x rows x columns");
    }
  }
  if (keys.shape.back() != queries.shape.back()) {
    return problem("they must have the same number of columns");
  }
  if (HeadsOfShape(queries.shape) % HeadsOfShape(keys.shape) != 0) {
    return problem("the heads of queries must be a multiple of those of keys");
  }
  if (causal && queries.shape[queries.shape.size() - 2] >
                    keys.shape[keys.shape.size() - 2]) {
    return problem("causal queries cannot outnumber the keys");
  }
  return absl::OkStatus();
}

absl::StatusOr<LayerReport> AnalyzeLayer(
    const StoredTensor& keys, const StoredTensor& queries,
    const std::vector<client::UniversalSet>& sets, const Settings& settings) {
  if (const absl::Status shapes =
          CheckShapes(keys.info(), queries.info(), settings.mass.causal);
      !shapes.ok()) {
    return shapes;
  }
  const std::vector<verify::Rows> key_heads = verify::HeadsOf(keys);
  const std::vector<verify::Rows> query_heads = verify::HeadsOf(queries);
  if (sets.size() != key_heads.size()) {
    return absl::InternalError(absl::StrCat("the server answered ", sets.size(),
                                            " sets for ", key_heads.size(),
                                            " heads"));
  }
  LayerReport layer;
  MassOptions mass = settings.mass;
  if (settings.scale_is_default) {
    mass.scale = 1.0 / std::sqrt(static_cast<double>(keys.shape().back()));
  }
  layer.scale = mass.scale;
  for (std::size_t g = 0; g < query_heads.size(); ++g) {
    const std::size_t h = g * key_heads.size() / query_heads.size();
    const client::UniversalSet& set = sets[h];
    HeadReport head{.head = static_cast<int64_t>(g),
                    .key_head = static_cast<int64_t>(h),
                    .keys = key_heads[h].rows(),
                    .queries = query_heads[g].rows(),
                    .columns = key_heads[h].columns(),
                    .rank = set.rank,
                    .exact = set.exact,
                    .relative_score_error = set.relative_score_error};
    auto sensitivities = SensitivitiesOf(set, head.keys);
    if (!sensitivities.ok()) return sensitivities.status();
    head.sensitivities = *std::move(sensitivities);
    const double total = settings.mass.causal ? set.total_sensitivity
                                              : static_cast<double>(head.rank);
    head.set_sizes = SetSizes(head.sensitivities, total, kLeastEpsilon,
                              kThresholdsPerDecade);
    head.important =
        settings.epsilon
            ? KeysAtLeast(head.sensitivities, *settings.epsilon)
            : MostSensitive(head.sensitivities, settings.important);
    auto masses = MassesOf(key_heads[h], query_heads[g], head.important, mass);
    if (!masses.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("head ", g, ", ", masses.status().message()));
    }
    head.masses = *std::move(masses);
    layer.heads.push_back(std::move(head));
  }
  return layer;
}

std::string FunctionText(const Settings& settings, double scale) {
  if (!settings.mass.power) return absl::StrFormat("exp(%.3g <q, k>)", scale);
  return absl::StrFormat("|<q, k>|^%g", *settings.mass.power);
}

std::string ImportantText(const Settings& settings) {
  if (settings.epsilon) {
    return absl::StrFormat("keys of sensitivity >= %g", *settings.epsilon);
  }
  return absl::StrCat("the ", settings.important,
                      settings.important == 1 ? " key" : " keys",
                      " of largest sensitivity");
}

}  // namespace steelyard::analyze
