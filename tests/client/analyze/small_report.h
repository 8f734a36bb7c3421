// A report by hand: two layers, the second with an awkward name.
#pragma once

#include "client/analyze/report.h"

namespace steelyard::test {

inline analyze::Report SmallReport() {
  analyze::HeadReport head;
  head.keys = 4;
  head.queries = 2;
  head.columns = 3;
  head.rank = 2;
  head.exact = true;
  head.sensitivities = {1.0, 0.5, 0.5, 0.0};
  head.important = {0, 1};
  head.set_sizes =
      analyze::SetSizes(head.sensitivities, 2.0, analyze::kLeastEpsilon,
                        analyze::kThresholdsPerDecade);
  head.masses.top = {0.9, 1.0};
  head.masses.near = {0.25, 0.5};
  head.masses.important = {0.5, 0.75};
  head.masses.important_and_near = {0.75, 0.8};
  head.masses.keys_kept = 3.5;
  analyze::Report report;
  report.version = "1.2.3";
  report.layers.push_back({.name = "layer 0",
                           .keys = "k.npy",
                           .queries = "q.npy",
                           .scale = 0.5,
                           .heads = {head}});
  head.head = 1;
  report.layers.push_back({.name = "<b>&\"'",
                           .keys = "k.npy",
                           .queries = "q.npy",
                           .scale = 0.5,
                           .heads = {head}});
  return report;
}

}  // namespace steelyard::test
