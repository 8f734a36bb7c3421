#include "client/analyze/report_json.h"

#include "client/analyze/histogram.h"

namespace steelyard::analyze {
namespace {

using Json = nlohmann::ordered_json;

Json MassJson(const std::vector<double>& masses) {
  return {{"tenth", Quantile(masses, 0.1)},
          {"median", Quantile(masses, 0.5)},
          {"ninetieth", Quantile(masses, 0.9)},
          {"histogram", Histogram(masses, kMassBins)}};
}

Json HeadJson(const HeadReport& head) {
  Json sizes = Json::array();
  for (const SetSize& size : head.set_sizes) {
    sizes.push_back({{"epsilon", size.epsilon},
                     {"size", size.size},
                     {"bound", size.bound}});
  }
  const Masses& masses = head.masses;
  return {{"head", head.head},
          {"key_head", head.key_head},
          {"keys", head.keys},
          {"queries", head.queries},
          {"queries_looked_at",
           static_cast<int64_t>(masses.top.size()) + masses.undefined},
          {"undefined", masses.undefined},
          {"columns", head.columns},
          {"rank", head.rank},
          {"exact", head.exact},
          {"relative_score_error", head.relative_score_error},
          {"top_mass", MassJson(masses.top)},
          {"near_mass", MassJson(masses.near)},
          {"important_mass", MassJson(masses.important)},
          {"important_and_near_mass", MassJson(masses.important_and_near)},
          {"keys_kept", masses.keys_kept},
          {"important", head.important},
          {"set_sizes", sizes},
          {"sensitivities", head.sensitivities}};
}

}  // namespace

Json ToJson(const Report& report) {
  const Settings& settings = report.settings;
  Json layers = Json::array();
  for (const LayerReport& layer : report.layers) {
    Json heads = Json::array();
    for (const HeadReport& head : layer.heads) heads.push_back(HeadJson(head));
    layers.push_back({{"name", layer.name},
                      {"keys", layer.keys},
                      {"queries", layer.queries},
                      {"function", FunctionText(settings, layer.scale)},
                      {"heads", heads}});
  }
  return {{"version", report.version},
          {"top", settings.mass.top},
          {"near", DescriptionOf(settings.mass.near)},
          {"important", ImportantText(settings)},
          {"causal", settings.mass.causal},
          {"layers", layers}};
}

}  // namespace steelyard::analyze
