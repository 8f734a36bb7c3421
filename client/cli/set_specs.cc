#include "client/cli/set_specs.h"

#include <utility>

#include "client/cli/common_flags.h"
#include "client/cli/set_options.h"

namespace steelyard::cli {
namespace {

constexpr std::size_t kManyArguments = 1000;

FlagSpec Epsilon(const char* help) {
  return {.name = "epsilon",
          .kind = FlagKind::kReal,
          .value = "X",
          .help = help,
          .least = 0.0,
          .most = 1.0,
          .least_is_open = true};
}

FlagSpec TopM() {
  return {.name = "top-m",
          .kind = FlagKind::kInteger,
          .value = "M",
          .help = "at most M keys a head, the most sensitive. >= 1",
          .least = 1};
}

FlagSpec Count(const char* name, const char* help) {
  return {.name = name,
          .kind = FlagKind::kInteger,
          .value = "N",
          .help = help,
          .least = 1};
}

FlagSpec Text(const char* name, const char* value, const char* help) {
  return {.name = name, .kind = FlagKind::kText, .value = value, .help = help};
}

std::vector<FlagSpec> StreamFlags() {
  return Concatenated(
      {{Epsilon("smallest score that must not be missed, no unit, in\n"
                "(0, 1]. Needed unless --resume or --import is given"),
        TopM()},
       ScoreFunctionFlags(/*with_softmax=*/false),
       {{.name = "causal",
         .help = "query i sees keys 0..i: keys count on arrival"},
        {.name = "first-index",
         .kind = FlagKind::kInteger,
         .value = "N",
         .help = "global index of the first key, for shards. Default: 0",
         .least = 0}},
       KeepFlags("name of the stream and its set. Default: made up"),
       {Text("resume", "NAME",
             "go on with this stream, from the key that the server\n"
             "says; the same files, from their beginning"),
        Text("import", "FILE",
             "go on where the state in FILE ends; the same files,\n"
             "from their beginning"),
        Text("checkpoint", "FILE",
             "write the state after the last key, for --import and\n"
             "'sets merge', on any server"),
        Count("checkpoint-every", "and after every N keys. >= 1"),
        Count("snapshot-every",
              "print the size of the set after every N keys. >= 1"),
        {.name = "no-finish",
         .help = "leave the stream open, for --resume; the set printed\n"
                 "is that of the keys so far"},
        Output("write indices to FILE.npy (one head), or row_offsets,\n"
               "indices, sensitivities to FILE.safetensors"),
        Show("members printed of one head, most sensitive first.")}});
}

std::vector<FlagSpec> AttendFlags() {
  return Concatenated(
      {{Epsilon("attend to the universal set of X. In (0, 1]"), TopM(),
        Text("set", "NAME", "attend to a set that the server keeps")},
       ScoreFunctionFlags(/*with_softmax=*/true),
       {{.name = "sinks",
         .kind = FlagKind::kInteger,
         .value = "N",
         .help = "also the first N keys. >= 0. Default: 0",
         .least = 0},
        {.name = "window",
         .kind = FlagKind::kInteger,
         .value = "N",
         .help = "also the keys within N positions. >= 0",
         .least = 0},
        Text("grid", "HxW",
             "also the keys near on a grid of H rows, W columns"),
        {.name = "radius",
         .kind = FlagKind::kInteger,
         .value = "N",
         .help = "of --grid: Manhattan distance. >= 0. Default: 3",
         .least = 0},
        {.name = "grid-first",
         .kind = FlagKind::kInteger,
         .value = "N",
         .help = "of --grid: keys before the grid. >= 0. Default: 0",
         .least = 0},
        {.name = "normalization",
         .kind = FlagKind::kChoice,
         .value = "NAME",
         .help = "attended: weights sum to 1; all: to the captured mass.\n"
                 "Default: attended",
         .choices = {"attended", "all"}},
        {.name = "causal", .help = "query i sees keys up to its position"},
        Text("positions", "N,N,...",
             "of the queries of a head. Default: the last keys"),
        LengthsFlag(),
        {.name = "stream", .help = "send the queries in blocks of 1 MiB"},
        {.name = "verify",
         .help = "compute every output here and compare; prints also\n"
                 "the error against full attention; exit 1 if wrong"},
        Output("write the output to FILE.npy or FILE.safetensors,\n"
               "float64, in the shape of the queries")}});
}

}  // namespace

CommandSpec StreamSpec() {
  return {
      .name = "stream",
      .arguments = "KEYS...",
      .argument_count = 1,
      .argument_count_most = kManyArguments,
      .summary = "universal set of files of any size, in one pass",
      .text =
          "KEYS are n x d, or heads x n x d, one after the other. They are "
          "read\n"
          "and sent block by block; neither this tool nor the server holds "
          "them.\n"
          "A broken connection is mended from the last acknowledged key on.\n"
          "The set is exact: that of 'universal-set' for |x|^2.",
      .flags = Joined(StreamFlags()),
      .examples =
          "  steelyard stream keys.npy --epsilon=0.05 --keep=corpus\n"
          "  steelyard stream keys.npy --resume=corpus\n"
          "  steelyard stream part0.npy part1.npy --epsilon=0.05 \\\n"
          "      --checkpoint=corpus.state --checkpoint-every=1000000\n"
          "  steelyard stream part0.npy part1.npy --import=corpus.state\n"
          "  steelyard stream shard1.npy --epsilon=0.05 --keep=shard1 \\\n"
          "      --first-index=500000\n",
  };
}

CommandSpec AttendSpec() {
  return {
      .name = "attend",
      .arguments = "KEYS VALUES QUERIES",
      .argument_count = 3,
      .summary = "attention over the universal set, sinks and local keys",
      .text =
          "KEYS are n x d, or H x n x d; VALUES n x e, or H x n x e; QUERIES\n"
          "m x d, or G x m x d with G a multiple of H. Each query attends to\n"
          "the universal set, the sinks and its local keys, each key once.",
      .flags = Joined(AttendFlags()),
      .examples =
          "  steelyard attend k.npy v.npy q.npy --epsilon=0.05 --sinks=4 \\\n"
          "      --window=32 --causal --output=attention.npy\n"
          "  steelyard attend k.npy v.npy q.npy --softmax=heuristic \\\n"
          "      --top-m=32 --grid=14x14 --grid-first=1 --verify\n"
          "  steelyard attend k.npy v.npy q.npy --set=layer-0 --stream\n",
  };
}

CommandSpec SetsSpec() {
  return {
      .name = "sets",
      .arguments = "ACTION [NAME...]",
      .argument_count = 1,
      .argument_count_most = kManyArguments,
      .summary = "the sets that the server keeps",
      .text =
          "  list              all of them\n"
          "  show NAME         what is known of one\n"
          "  read NAME         the set itself\n"
          "  delete NAME...    away with them\n"
          "  export NAME       the state of a streamed set, to --output\n"
          "  merge NEW SHARD...\n"
          "                    the set of the union of shards, kept as NEW.\n"
          "                    SHARD: a streamed set, or a file with its "
          "state\n"
          "                    (a word that is no name of a set; ./a is a "
          "file)",
      .flags = Joined({
          Text("heads", "N,N,...",
               "read: these heads, ascending. Default: all"),
          {.name = "ttl",
           .kind = FlagKind::kDuration,
           .value = "30m",
           .help = "merge: kept so long after its last use. In (0, 24h].\n"
                   "Default: 10m",
           .least = 0.0,
           .most = 86400.0,
           .least_is_open = true},
          Output("export: the state. read: indices to FILE.npy (one head),\n"
                 "or row_offsets, indices, sensitivities to\n"
                 "FILE.safetensors"),
          Show("read: members printed of one head."),
      }),
      .examples =
          "  steelyard sets list\n"
          "  steelyard sets read corpus --output=u.npy\n"
          "  steelyard sets export shard1 --output=shard1.state\n"
          "  steelyard sets merge corpus shard0 ./shard1.state\n"
          "  steelyard sets delete shard0 corpus\n",
  };
}

}  // namespace steelyard::cli
