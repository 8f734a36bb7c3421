#include <utility>

#include "client/cli/analyze_spec.h"
#include "client/cli/command_spec.h"
#include "client/cli/common_flags.h"
#include "client/cli/key_inputs.h"
#include "client/cli/predict_spec.h"
#include "client/cli/set_options.h"
#include "client/cli/set_specs.h"
#include "client/cli/solve_specs.h"

namespace steelyard::cli {
namespace {

std::vector<FlagSpec> UniversalSetFlags() {
  return Concatenated({
      {
          {.name = "epsilon",
           .kind = FlagKind::kReal,
           .value = "X",
           .help = "smallest score that must not be missed, no unit, in\n"
                   "(0, 1]. Needed unless --top-m is given",
           .least = 0.0,
           .most = 1.0,
           .least_is_open = true},
          {.name = "top-m",
           .kind = FlagKind::kInteger,
           .value = "M",
           .help = "at most M keys a head, the most sensitive. >= 1",
           .least = 1},
      },
      {StoredKeysFlag()},
      ScoreFunctionFlags(/*with_softmax=*/true),
      {
          {.name = "causal",
           .help = "query i sees keys 0..i: keys count on arrival"},
          {.name = "ridge",
           .kind = FlagKind::kReal,
           .value = "L",
           .help = "a smaller set, for queries with |K q|^2 >= R L |q|^2\n"
                   "only; |x|^2. > 0, in the units of |K|^2",
           .least = 0.0,
           .least_is_open = true},
          {.name = "ridge-ratio",
           .kind = FlagKind::kReal,
           .value = "R",
           .help = "that R. > 0. Default: 1",
           .least = 0.0,
           .least_is_open = true},
          {.name = "selection",
           .kind = FlagKind::kChoice,
           .value = "NAME",
           .help = "|x|^2: automatic, direct, fast (the same set) or jl\n"
                   "(random, with a stated failure probability)",
           .choices = {"automatic", "direct", "fast", "jl"}},
          {.name = "seed",
           .kind = FlagKind::kUnsigned,
           .value = "N",
           .help = "of --selection=jl, in [0, 2^64). Default: 0"},
          LengthsFlag(),
      },
      KeepFlags("keep the set, for 'heavy --set' and 'attend --set'"),
      {
          {.name = "verify",
           .help = "recompute every score here, by QR and SVD and by the\n"
                   "queries that attain them; exit 1 if the certificate\n"
                   "does not hold"},
          Output("write indices to FILE.npy (one head), or row_offsets,\n"
                 "indices, sensitivities to FILE.safetensors"),
          Show("members printed a head, most sensitive first."),
      },
  });
}

CommandSpec UniversalSetSpec() {
  return {
      .name = "universal-set",
      .arguments = "[KEYS]",
      .argument_count = 0,
      .argument_count_most = 1,
      .summary = "which keys can ever get an attention score >= epsilon",
      .text =
          "KEYS is n x d, or heads x n x d; or --matrix. The score of key k\n"
          "for query q is <q,k>^2 / sum over all keys of the same. The\n"
          "universal set U holds every key that some query gives a score >=\n"
          "epsilon; its size is at most rank / epsilon, whatever n is. It may\n"
          "be empty. Other scores:\n"
          "--power, --power-sum. Softmax has no such set: --softmax=heuristic\n"
          "may miss keys and says so; certified is refused, see 'heavy'.",
      .flags = Joined(UniversalSetFlags()),
      .examples =
          "  steelyard universal-set keys.npy --epsilon=0.1\n"
          "  steelyard universal-set model.safetensors:layer0.keys[3] \\\n"
          "      --epsilon=0.1 --top-m=10 --verify --json\n"
          "  steelyard universal-set model.safetensors:layer0.keys \\\n"
          "      --epsilon=0.2 --output=sets.safetensors\n"
          "  steelyard universal-set --matrix=keys --epsilon=0.1\n",
  };
}

std::vector<FlagSpec> HeavyFlags() {
  return Concatenated({
      {
          {.name = "epsilon",
           .kind = FlagKind::kReal,
           .value = "X",
           .help = "smallest score to report, no unit, in (0, 1].\n"
                   "Default: 0.01",
           .least = 0.0,
           .most = 1.0,
           .least_is_open = true},
          {.name = "set",
           .kind = FlagKind::kText,
           .value = "NAME",
           .help = "ask a set that the server keeps; --epsilon must be at\n"
                   "least its effective_epsilon"},
          StoredKeysFlag(),
      },
      ScoreFunctionFlags(/*with_softmax=*/true),
      {
          {.name = "causal", .help = "query i sees keys up to its position"},
          {.name = "positions",
           .kind = FlagKind::kText,
           .value = "N,N,...",
           .help = "of the queries of a head. Default: the last keys"},
          LengthsFlag(),
          {.name = "stream", .help = "send the queries in blocks of 1 MiB"},
          {.name = "verify",
           .help = "compute all n scores of every query here and compare;\n"
                   "exit 1 if one is missing, wrong or too many"},
          Output("write row_offsets, indices, scores, captured_mass to\n"
                 "FILE.safetensors"),
          Show("rows printed."),
      },
  });
}

CommandSpec HeavySpec() {
  return {
      .name = "heavy",
      .arguments = "[KEYS] QUERIES",
      .argument_count = 1,
      .argument_count_most = 2,
      .summary = "every attention score >= epsilon of the given queries",
      .text =
          "KEYS is n x d, or H x n x d; QUERIES m x d, or G x m x d with G a\n"
          "multiple of H (query head g reads key head floor(g H / G)). "
          "Answers\n"
          "come row by row: row g m + i is query i of head g. With --set the\n"
          "keys are those of a set that the server keeps, with --matrix those\n"
          "of a matrix that it has stored.",
      .flags = Joined(HeavyFlags()),
      .examples =
          "  steelyard heavy keys.npy queries.npy --epsilon=0.1 --verify\n"
          "  steelyard heavy model.safetensors:layer0.keys \\\n"
          "      model.safetensors:layer0.queries --epsilon=0.2 --json\n"
          "  steelyard heavy queries.npy --set=corpus --epsilon=0.1 --stream\n"
          "  steelyard heavy queries.npy --matrix=keys --epsilon=0.1\n",
  };
}

std::vector<CommandSpec> MakeCommands() {
  return {
      UniversalSetSpec(),
      HeavySpec(),
      StreamSpec(),
      AttendSpec(),
      SetsSpec(),
      AnalyzeSpec(),
      MatricesSpec(),
      SolveSpec(),
      PredictSpec(),
      {.name = "info",
       .arguments = "",
       .summary = "what the server is and which limits it has",
       .text = "Prints version, threads, processor target, BLAS, and limits.",
       .flags = CommonFlags(),
       .examples = "  steelyard info --server=10.0.0.7:50551\n"},
      {.name = "health",
       .arguments = "",
       .summary = "whether the server serves; exit 0 if so, 5 if not",
       .text = "Asks grpc.health.v1, once, unless --attempts says otherwise.",
       .flags = Joined({{.name = "service",
                         .kind = FlagKind::kText,
                         .value = "NAME",
                         .help = "one service instead of the whole server, as\n"
                                 "steelyard.v1.RegressionService"}}),
       .examples = "  steelyard health && echo ready\n"},
  };
}

}  // namespace

const std::vector<CommandSpec>& Commands() {
  static const auto* const commands =
      new std::vector<CommandSpec>(MakeCommands());
  return *commands;
}

const CommandSpec* FindCommand(const std::string& name) {
  for (const CommandSpec& command : Commands()) {
    if (command.name == name) return &command;
  }
  return nullptr;
}

}  // namespace steelyard::cli
