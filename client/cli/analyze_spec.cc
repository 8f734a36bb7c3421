#include "client/cli/analyze_spec.h"

#include <utility>

#include "client/cli/common_flags.h"

namespace steelyard::cli {
namespace {

std::vector<FlagSpec> WhichKeys() {
  return {
      {.name = "top",
       .kind = FlagKind::kInteger,
       .value = "N",
       .help = "keys of largest score, another choice a query. In\n"
               "[1, 1000000]. Default: 32",
       .least = 1,
       .most = 1e6},
      {.name = "important",
       .kind = FlagKind::kInteger,
       .value = "N",
       .help = "keys of largest leverage, the same for every query. In\n"
               "[0, 1000000]. Default: 32",
       .least = 0,
       .most = 1e6},
      {.name = "epsilon",
       .kind = FlagKind::kReal,
       .value = "X",
       .help = "instead of --important: the keys whose leverage reaches\n"
               "X, the universal set of X. In (0, 1]",
       .least = 0.0,
       .most = 1.0,
       .least_is_open = true},
      {.name = "window",
       .kind = FlagKind::kInteger,
       .value = "N",
       .help = "a key is nearby within N positions. In [0, 1000000].\n"
               "Default: 12",
       .least = 0,
       .most = 1e6},
      {.name = "grid",
       .kind = FlagKind::kText,
       .value = "HxW",
       .help = "instead of --window: tokens are patches of H rows and\n"
               "W columns, nearby by Manhattan distance"},
      {.name = "radius",
       .kind = FlagKind::kInteger,
       .value = "N",
       .help = "that distance. In [0, 100000]. Default: 3 (24\n"
               "neighbours)",
       .least = 0,
       .most = 1e5},
      {.name = "grid-first",
       .kind = FlagKind::kInteger,
       .value = "N",
       .help = "tokens before the grid, as a class token. >= 0.\n"
               "Default: 0",
       .least = 0,
       .most = 1e9},
  };
}

std::vector<FlagSpec> WhatIsComputed() {
  return {
      {.name = "layers",
       .kind = FlagKind::kText,
       .value = "A,B,...",
       .help = "analyze one pair of tensors for each name: {} in KEYS\n"
               "and QUERIES stands for the name"},
      {.name = "causal",
       .help = "query i sees keys up to its own position, n - m + i"},
      {.name = "power",
       .kind = FlagKind::kReal,
       .value = "P",
       .help = "scores by |<q,k>|^P instead of softmax. In [1, 64]",
       .least = 1,
       .most = 64},
      {.name = "scale",
       .kind = FlagKind::kReal,
       .value = "S",
       .help = "of softmax, exp(S <q,k>). Default: 1 / sqrt(d)",
       .least = -1e300,
       .most = 1e300},
      {.name = "queries-max",
       .kind = FlagKind::kInteger,
       .value = "N",
       .help = "look at no more than N queries a head, evenly spaced.\n"
               ">= 1. Default: 2048",
       .least = 1,
       .most = 1e9},
      {.name = "html",
       .kind = FlagKind::kText,
       .value = "FILE",
       .help = "write one page with all plots; it opens without a\n"
               "network"},
  };
}

}  // namespace

CommandSpec AnalyzeSpec() {
  std::vector<FlagSpec> own = WhichKeys();
  for (FlagSpec& flag : WhatIsComputed()) own.push_back(std::move(flag));
  return {
      .name = "analyze",
      .arguments = "KEYS QUERIES",
      .argument_count = 2,
      .summary = "where attention goes, a picture a layer and head",
      .text =
          "KEYS is n x d, or H x n x d; QUERIES m x d, or G x m x d with G a\n"
          "multiple of H. The server finds the leverage of every key: the\n"
          "largest <q,k>^2 score that any query can give it. The tool scores\n"
          "every key for every query and shows, a head: histograms of the\n"
          "attention mass of the top keys of a query, of the keys nearby, and\n"
          "of the important and nearby keys together; the size of the\n"
          "universal set against epsilon; leverage against position.",
      .flags = Joined(std::move(own)),
      .examples =
          "  steelyard analyze \"m.safetensors:layer{}.keys\" \\\n"
          "      \"m.safetensors:layer{}.queries\" --layers=0,3,5 \\\n"
          "      --html=attention.html\n"
          "  steelyard analyze vit.safetensors:k vit.safetensors:q \\\n"
          "      --grid=14x14 --grid-first=1 --radius=3 --json\n"
          "  steelyard analyze keys.npy queries.npy --causal --epsilon=0.1\n",
  };
}

}  // namespace steelyard::cli
