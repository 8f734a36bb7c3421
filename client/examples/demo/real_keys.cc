// Universal sets of the keys of a real transformer, and every large score of
// its queries, held against brute force.
#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/input_tensors.h"
#include "client/cli/text_table.h"
#include "client/examples/demo/section.h"
#include "client/tensor_files/tensor_file.h"
#include "client/verify/heavy_check.h"
#include "client/verify/universal_set_check.h"

namespace steelyard::demo {
namespace {

using cli::Brief;
using tensor_files::StoredTensor;

constexpr double kEpsilons[] = {0.1, 0.2, 0.4};
constexpr int kLayers[] = {0, 3, 5};

// One layer: what is sent, and what it is held against.
struct Layer {
  int number = 0;
  StoredTensor keys;
  StoredTensor queries;
  StoredTensor attaining;  // Row j of a head gives key j its largest score.
  std::vector<verify::LeverageReference> references;
};

absl::StatusOr<Layer> LoadLayer(const Stage& stage, int number) {
  Layer layer;
  layer.number = number;
  auto keys = LoadFixture(stage, absl::StrCat("layer", number, ".keys"));
  if (!keys.ok()) return keys.status();
  auto queries = LoadFixture(stage, absl::StrCat("layer", number, ".queries"));
  if (!queries.ok()) return queries.status();
  layer.keys = *std::move(keys);
  layer.queries = *std::move(queries);
  std::vector<double> attaining;
  for (const verify::Rows& head : verify::HeadsOf(layer.keys)) {
    layer.references.emplace_back(head);
    const verify::RowMatrix rows =
        layer.references.back().AttainingQueries(head.All());
    attaining.insert(attaining.end(), rows.data(), rows.data() + rows.size());
  }
  layer.attaining = StoredTensor::Of(attaining, layer.keys.shape());
  return layer;
}

// "3 of 3"; on which side of epsilon an undecided score lies, rounding hides.
std::string FoundOf(const verify::HeavyCheck& check) {
  return absl::StrCat(check.returned, " of ", check.expected,
                      check.undecided > 0
                          ? absl::StrCat(" (", check.undecided, " undecided)")
                          : "");
}

struct Answers {
  client::UniversalSets sets;
  client::HeavyScores real;
  client::HeavyScores attained;
};

absl::StatusOr<Answers> Ask(const Stage& stage, const Layer& layer,
                            double epsilon) {
  const client::TensorView keys = cli::ViewOf(layer.keys);
  auto sets = stage.client.FindUniversalSet(keys, {.epsilon = epsilon});
  if (!sets.ok()) return sets.status();
  auto real = stage.client.QueryHeavy(keys, cli::ViewOf(layer.queries),
                                      {.epsilon = epsilon});
  if (!real.ok()) return real.status();
  auto attained = stage.client.QueryHeavy(keys, cli::ViewOf(layer.attaining),
                                          {.epsilon = epsilon});
  if (!attained.ok()) return attained.status();
  return Answers{.sets = *std::move(sets),
                 .real = *std::move(real),
                 .attained = *std::move(attained)};
}

void CheckLayer(const Layer& layer, double epsilon, const Answers& answers,
                cli::TextTable* table, verify::Verdict* verdict) {
  const auto keys = verify::HeadsOf(layer.keys);
  const auto queries = verify::HeadsOf(layer.queries);
  const auto attaining = verify::HeadsOf(layer.attaining);
  for (std::size_t h = 0; h < keys.size(); ++h) {
    const client::UniversalSet& set = answers.sets.heads[h];
    const verify::LeverageReference& reference = layer.references[h];
    const auto check = verify::CheckUniversalSet(keys[h], reference,
                                                 {.epsilon = epsilon}, set);
    const auto rows = static_cast<std::size_t>(keys[h].rows());
    const auto part = [&](const client::HeavyScores& scores) {
      return absl::MakeSpan(scores.rows).subspan(h * rows, rows);
    };
    const auto real = verify::CheckHeavyRows(keys[h], reference, queries[h],
                                             epsilon, part(answers.real));
    const auto attained = verify::CheckHeavyRows(
        keys[h], reference, attaining[h], epsilon, part(answers.attained));
    verify::Verdict head = check.verdict;
    head.Append(real.verdict);
    head.Append(attained.verdict);
    verdict->Append(head);
    table->AddRow(
        {absl::StrCat(layer.number), absl::StrCat(h), absl::StrCat(set.keys),
         absl::StrCat(keys[h].columns()), absl::StrCat(set.rank),
         absl::StrCat(set.indices.size()), Brief(set.size_bound),
         absl::StrFormat("%.6f", check.largest_excluded), FoundOf(real),
         FoundOf(attained), head.held() ? "held" : "BROKEN"});
  }
}

// Why U may well be empty.
void PrintLargest(const std::vector<Layer>& layers, std::ostream& out) {
  double largest = 0.0;
  for (const Layer& layer : layers) {
    for (const verify::LeverageReference& reference : layer.references) {
      largest = std::max(largest, reference.scores().maxCoeff());
    }
  }
  out << "\nThe largest score that any query can give any of these keys is "
      << Brief(largest)
      << ".\nWhere epsilon is above that, U is empty, and "
         "that is certified too.\n";
}

// Far below the epsilons of the tables, where real queries do concentrate.
absl::Status ShowRealQueries(const std::vector<Layer>& layers, Stage* stage) {
  constexpr double kEpsilon = 0.02;
  stage->out << "\nepsilon = " << Brief(kEpsilon)
             << ", the real queries of all heads\n";
  cli::TextTable table(
      {"layer", "queries", "scores >= epsilon", "found", "checked"});
  for (const Layer& layer : layers) {
    const auto scores = stage->client.QueryHeavy(cli::ViewOf(layer.keys),
                                                 cli::ViewOf(layer.queries),
                                                 {.epsilon = kEpsilon});
    if (!scores.ok()) return scores.status();
    const auto keys = verify::HeadsOf(layer.keys);
    const auto queries = verify::HeadsOf(layer.queries);
    int64_t found = 0;
    int64_t expected = 0;
    verify::Verdict all;
    for (std::size_t h = 0; h < keys.size(); ++h) {
      const auto rows = static_cast<std::size_t>(queries[h].rows());
      const auto check = verify::CheckHeavyRows(
          keys[h], layer.references[h], queries[h], kEpsilon,
          absl::MakeSpan(scores->rows).subspan(h * rows, rows));
      found += check.returned;
      expected += check.expected;
      all.Append(check.verdict);
    }
    stage->verdict.Append(all);
    table.AddRow({absl::StrCat(layer.number), absl::StrCat(scores->rows.size()),
                  absl::StrCat(expected), absl::StrCat(found),
                  all.held() ? "held" : "BROKEN"});
  }
  table.Print(stage->out);
  return absl::OkStatus();
}

}  // namespace

absl::Status ShowRealKeys(Stage* stage) {
  stage->out
      << "1. Which keys can ever matter? all-MiniLM-L6-v2, three layers of 12\n"
         "   heads, 512 tokens of the Declaration of Independence.\n\n"
         "   |U|      keys that some query gives a score >= epsilon\n"
         "   bound    rank / epsilon, whatever n is\n"
         "   outside  largest score of a key outside U, over all queries;\n"
         "            must be < epsilon\n"
         "   real     scores >= epsilon of the 512 real queries: found by the\n"
         "            server, of those that brute force finds\n"
         "   attain   the same for the 512 queries that give each key its\n"
         "            largest score; no query is worse\n"
         "   checked  every score recomputed here, by another route\n";
  std::vector<Layer> layers;
  for (const int number : kLayers) {
    auto layer = LoadLayer(*stage, number);
    if (!layer.ok()) return layer.status();
    layers.push_back(*std::move(layer));
  }
  for (const double epsilon : kEpsilons) {
    stage->out << "\nepsilon = " << Brief(epsilon) << "\n";
    cli::TextTable table({"layer", "head", "n", "d", "rank", "|U|", "bound",
                          "outside", "real", "attain", "checked"});
    for (const Layer& layer : layers) {
      const auto answers = Ask(*stage, layer, epsilon);
      if (!answers.ok()) return answers.status();
      CheckLayer(layer, epsilon, *answers, &table, &stage->verdict);
    }
    table.Print(stage->out);
  }
  PrintLargest(layers, stage->out);
  return ShowRealQueries(layers, stage);
}

}  // namespace steelyard::demo
