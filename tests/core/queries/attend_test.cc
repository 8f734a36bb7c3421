#include "steelyard/attend.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "gmock/gmock.h"
#include "steelyard/status.h"
#include "tests/core/queries/score_oracle.h"
#include "tests/support/allocation_peak.h"
#include "tests/support/bounds.h"
#include "tests/support/long_double_householder.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

using Views = std::vector<AnyMatrixView>;

const Workers& TwoWorkers() {
  static const Workers workers(2);
  return workers;
}

struct OracleRow {
  std::vector<long double> output;
  long double captured = 0.0L;
  Index attended = 0;
};

bool IsNear(const AttendOptions& options, Index position, Index key) {
  if (options.window.has_value()) {
    return std::abs(position - key) <= *options.window;
  }
  if (!options.grid.has_value()) return false;
  const LocalGrid& grid = *options.grid;
  const Index a = position - grid.first, b = key - grid.first;
  const Index cells = grid.height * grid.width;
  return a >= 0 && b >= 0 && a < cells && b < cells &&
         std::abs(a / grid.width - b / grid.width) +
                 std::abs(a % grid.width - b % grid.width) <=
             grid.radius;
}

// One query by brute force: every key once, in long double.
OracleRow Oracle(const Matrix<long double>& queries, Index i,
                 const Matrix<long double>& keys,
                 const Matrix<long double>& values,
                 const std::vector<Index>& members, Index position,
                 const AttendOptions& options) {
  const Index n = keys.rows();
  const auto* softmax = std::get_if<Softmax>(&options.function);
  std::vector<long double> logits(static_cast<std::size_t>(n));
  for (Index j = 0; j < n; ++j) {
    for (Index c = 0; c < keys.cols(); ++c) {
      logits[static_cast<std::size_t>(j)] += queries(i, c) * keys(j, c);
    }
  }
  const long double largest = *std::max_element(logits.begin(), logits.end());
  OracleRow row;
  row.output.resize(static_cast<std::size_t>(values.cols()));
  long double all = 0.0L, part = 0.0L;
  for (Index j = 0; j < n; ++j) {
    if (options.causal && j > position) continue;
    const long double t = logits[static_cast<std::size_t>(j)];
    const long double f = softmax != nullptr
                              ? std::exp(softmax->scale * (t - largest))
                              : test::ValueOf(options.function, t);
    all += f;
    const bool member = std::binary_search(members.begin(), members.end(), j);
    if (!member && j >= options.sinks && !IsNear(options, position, j)) {
      continue;
    }
    ++row.attended;
    part += f;
    for (Index c = 0; c < values.cols(); ++c) {
      row.output[static_cast<std::size_t>(c)] += f * values(j, c);
    }
  }
  row.captured = all > 0.0L ? part / all : 0.0L;
  const bool of_all = options.normalization == AttendNormalization::kAllKeys;
  for (long double& x : row.output) {
    x /= part > 0.0L ? (of_all ? all : part) : 1.0L;
  }
  return row;
}

// p roundings of products of length d, sums of n terms; Z by R within 1e-9 at
// these condition numbers (GramBound).
double Slack(Index n, Index d, double p) {
  return test::Gamma(static_cast<Index>(p + 2.0) * (8 * d + n + 512)) +
         test::GramBound(256, d, 30.0);
}

struct Case {
  Index n = 0;
  Index m = 0;
  AttendOptions options;
};

template <typename T>
void ExpectAsOracle(const Case& problem) {
  const auto& [n, m, options] = problem;
  const Index d = 6, e = 4;
  Matrix<double> normal = test::NormalMatrix(n, d, Seed{1});
  for (Index j = 0; j < n; j += 17) {
    for (Index c = 0; c < d; ++c) normal(j, c) *= 3.0;
  }
  const auto keys = test::Stored<T>(normal);
  const auto values = test::Stored<T>(test::NormalMatrix(n, e, Seed{2}));
  const auto queries = test::Stored<T>(test::NormalMatrix(m, d, Seed{3}));
  const Views key_views({keys.view()});
  const ComputeContext context{TwoWorkers()};
  std::vector<Index> members;
  if (options.epsilon.has_value() || options.top_m.has_value()) {
    UniversalSetOptions set{.epsilon = options.epsilon,
                            .top_m = options.top_m,
                            .function = options.function,
                            .causal = options.causal};
    if (auto* softmax = std::get_if<Softmax>(&set.function)) {
      softmax->mode = SoftmaxMode::kHeuristic;
      set.causal = false;
    }
    const auto found = FindUniversalSets(key_views, set, context);
    ASSERT_TRUE(found.ok()) << found.status();
    members = found->front().indices;
    ASSERT_FALSE(members.empty());
    if (n > 100 && !options.causal) {
      ASSERT_LT(members.size(), static_cast<std::size_t>(n) / 2);
    }
  }
  const auto heads = Attend(key_views, {}, Views{values.view()},
                            Views{queries.view()}, options, context);
  ASSERT_TRUE(heads.ok()) << heads.status();
  ASSERT_EQ(heads->size(), 1u);
  const AttendedHead& head = heads->front();
  const bool wants_z = options.normalization == AttendNormalization::kAllKeys;
  const bool by_r =
      IsSquare(options.function) && !options.causal && !members.empty();
  const double slack = Slack(n, d, 8.0);
  for (Index i = 0; i < m; ++i) {
    const Index position = options.positions.empty()
                               ? n - m + i
                               : options.positions[static_cast<size_t>(i)];
    const OracleRow truth =
        Oracle(test::Widened(queries.view()), i, test::Widened(keys.view()),
               test::Widened(values.view()), members, position, options);
    const auto at = static_cast<std::size_t>(i);
    EXPECT_EQ(head.attended[at], truth.attended) << i;
    // Z of a causal |x|^2 query at the last key is known, too.
    if (wants_z || by_r) {
      EXPECT_NEAR(head.captured_mass[at], static_cast<double>(truth.captured),
                  slack)
          << i;
    } else {
      EXPECT_TRUE(std::isnan(head.captured_mass[at])) << i;
    }
    for (Index c = 0; c < e; ++c) {
      EXPECT_NEAR(
          head.output(i, c),
          static_cast<double>(truth.output[static_cast<std::size_t>(c)]),
          10.0 * slack)
          << i << "," << c;
    }
  }
}

std::vector<AttendOptions> Shapes() {
  return {
      {.epsilon = 0.1},
      {.epsilon = 0.1, .sinks = 5},
      {.top_m = 11, .sinks = 3, .window = 6},
      {.epsilon = 0.1,
       .sinks = 4,
       .grid = LocalGrid{.height = 12, .width = 15, .radius = 3, .first = 7}},
      {.sinks = 2, .window = 0},
      {.window = 1000},
  };
}

template <typename T>
class AttendTest : public testing::Test {};
using StorageTypes = testing::Types<Half, BFloat16, float, double>;
TYPED_TEST_SUITE(AttendTest, StorageTypes);

TYPED_TEST(AttendTest, EqualsBruteForce) {
  for (AttendOptions options : Shapes()) {
    for (const auto normalization :
         {AttendNormalization::kAttended, AttendNormalization::kAllKeys}) {
      options.normalization = normalization;
      ExpectAsOracle<TypeParam>({.n = 300, .m = 70, .options = options});
    }
  }
}

TEST(AttendFunctionTest, EqualsBruteForceForEveryFunction) {
  for (const ScoreFunction& function : std::vector<ScoreFunction>{
           Power{1.0}, Power{3.5}, PowerSum{{{1.0, 2.0}, {0.1, 4.0}}},
           Softmax{SoftmaxMode::kHeuristic, 0.4},
           Softmax{SoftmaxMode::kCertified, 0.4}}) {
    for (AttendOptions options : Shapes()) {
      options.function = function;
      for (const auto normalization :
           {AttendNormalization::kAttended, AttendNormalization::kAllKeys}) {
        // Sets of p != 2 may be large: sinks and local keys alone say enough.
        if (!std::holds_alternative<Softmax>(function)) {
          options.epsilon.reset();
          options.top_m.reset();
        }
        options.normalization = normalization;
        ExpectAsOracle<float>({.n = 200, .m = 66, .options = options});
      }
    }
  }
}

TEST(AttendCausalTest, EqualsBruteForceOverTheKeysThatAreSeen) {
  for (const ScoreFunction& function : std::vector<ScoreFunction>{
           Power{2.0}, Power{3.0}, Softmax{SoftmaxMode::kHeuristic, 0.4}}) {
    for (AttendOptions options : Shapes()) {
      options.function = function;
      options.causal = true;
      // p = 2: causal sets, with all that top_m drops; p != 2: who is seen.
      if (IsSquare(function) && options.epsilon.has_value()) {
        options.epsilon = 0.3;
      }
      if (!IsSquare(function) && !std::holds_alternative<Softmax>(function)) {
        options.epsilon.reset();
        options.top_m.reset();
      }
      for (const auto normalization :
           {AttendNormalization::kAttended, AttendNormalization::kAllKeys}) {
        options.normalization = normalization;
        options.positions.clear();
        ExpectAsOracle<float>({.n = 200, .m = 66, .options = options});
        // More queries than keys: the first ones see nothing.
        ExpectAsOracle<float>({.n = 40, .m = 66, .options = options});
        for (Index i = 0; i < 66; ++i) {
          options.positions.push_back(i * 37 % 250);
        }
        ExpectAsOracle<float>({.n = 200, .m = 66, .options = options});
      }
    }
  }
}

TEST(AttendSetTest, SetsWithoutKeysAnswerAsTheirKeysDo) {
  const Matrix<double> first = test::NormalMatrix(400, 5, Seed{4});
  const Matrix<double> second = test::NormalMatrix(90, 5, Seed{5});
  const Matrix<double> values = test::NormalMatrix(400, 3, Seed{6});
  const Matrix<double> fewer = test::NormalMatrix(90, 3, Seed{7});
  const Matrix<double> queries = test::NormalMatrix(9, 5, Seed{8});
  const Views keys({first.view(), second.view()});
  const Views value_views({values.view(), fewer.view()});
  const Views query_views(
      {queries.view(), queries.view(), queries.view(), queries.view()});
  const ComputeContext context{TwoWorkers()};
  for (const ScoreFunction& function : std::vector<ScoreFunction>{
           Power{2.0}, Softmax{SoftmaxMode::kHeuristic, 0.3}}) {
    AttendOptions options{.epsilon = 0.05, .function = function};
    const auto sets = FindQueryableSets(
        keys, {.epsilon = 0.05, .function = function}, context);
    ASSERT_TRUE(sets.ok()) << sets.status();
    const auto inline_keys =
        Attend(keys, {}, value_views, query_views, options, context);
    options.epsilon.reset();
    const auto without =
        Attend({}, *sets, value_views, query_views, options, context);
    const auto with =
        Attend(keys, *sets, value_views, query_views, options, context);
    ASSERT_TRUE(inline_keys.ok() && without.ok() && with.ok())
        << without.status();
    for (std::size_t g = 0; g < 4; ++g) {
      EXPECT_EQ((*without)[g].attended[0],
                static_cast<Index>((*sets)[g / 2].set().indices.size()));
      for (Index i = 0; i < 9 * 3; ++i) {
        const double x = (*with)[g].output.data()[i];
        EXPECT_EQ((*without)[g].output.data()[i], x);
        EXPECT_NEAR((*inline_keys)[g].output.data()[i], x, Slack(400, 5, 2.0));
      }
    }
  }
}

// Blocks of a stream: prepared once, each block as if it came alone.
TEST(AttendKeysTest, AnswerAsAttendDoesAndSayWhatTheyRead) {
  const Matrix<double> keys = test::NormalMatrix(300, 5, Seed{31});
  const Matrix<double> values = test::NormalMatrix(300, 3, Seed{32});
  const Matrix<double> queries = test::NormalMatrix(20, 5, Seed{33});
  const ComputeContext context{TwoWorkers()};
  const Views query_views({queries.view(), queries.view()});
  struct Prepared {
    AttendOptions options;
    bool reads_inputs;
  };
  const auto all = AttendNormalization::kAllKeys;
  for (const Prepared& each : std::vector<Prepared>{
           {{.epsilon = 0.05, .sinks = 3}, false},
           {{.epsilon = 0.05, .normalization = all}, false},
           {{.epsilon = 0.05, .window = 4}, true},
           {{.top_m = 9, .function = Power{3.0}}, false},
           {{.top_m = 9, .function = Power{3.0}, .normalization = all}, true},
           {{.epsilon = 0.05, .causal = true}, false},
           {{.epsilon = 0.05, .normalization = all, .causal = true}, true},
           {{.epsilon = 0.05,
           .function = Softmax{SoftmaxMode::kHeuristic, 0.4}},
            false}}) {
    Matrix<double> key_copy = keys, value_copy = values;
    const auto ready =
        PrepareAttend(Views{key_copy.view()}, {}, Views{value_copy.view()},
                      each.options, context);
    ASSERT_TRUE(ready.ok()) << ready.status();
    EXPECT_EQ(ready->reads_inputs(), each.reads_inputs);
    if (!each.reads_inputs) {
      // Nobody looks any more.
      std::fill_n(key_copy.data(), key_copy.size(), std::nan(""));
      std::fill_n(value_copy.data(), value_copy.size(), std::nan(""));
    }
    AttendOptions options = each.options;
    for (const bool placed : {false, true}) {
      options.positions.assign(placed ? 20 : 0, 150);
      const auto block =
          Attend(*ready, query_views, options.positions, context);
      const auto alone = Attend(Views{keys.view()}, {}, Views{values.view()},
                                query_views, options, context);
      ASSERT_TRUE(block.ok() && alone.ok()) << block.status();
      for (Index i = 0; i < 20 * 3; ++i) {
        EXPECT_EQ((*block)[1].output.data()[i], (*alone)[1].output.data()[i]);
      }
      EXPECT_EQ((*block)[1].attended, (*alone)[1].attended);
    }
  }
}

TEST(AttendKeysTest, ABlockThatNeedsTheKeysOfASetSaysSo) {
  const Matrix<double> keys = test::NormalMatrix(60, 3, Seed{34});
  const Matrix<double> queries = test::NormalMatrix(2, 3, Seed{35});
  const ComputeContext context{TwoWorkers()};
  const auto sets = FindQueryableSets(
      Views{keys.view()}, {.epsilon = 0.1, .causal = true}, context);
  ASSERT_TRUE(sets.ok()) << sets.status();
  const auto ready = PrepareAttend(
      {}, *sets, Views{keys.view()},
      {.normalization = AttendNormalization::kAllKeys, .causal = true},
      context);
  ASSERT_TRUE(ready.ok()) << ready.status();
  EXPECT_TRUE(Attend(*ready, Views{queries.view()}, {59, 59}, context).ok());
  const auto early = Attend(*ready, Views{queries.view()}, {58, 59}, context);
  EXPECT_EQ(DetailOf(early.status())->reason, "FIELD_REQUIRED");
  EXPECT_EQ(DetailOf(early.status())->field, "keys");
}

TEST(AttendEdgeTest, NoAttendedKeyIsAZeroRow) {
  const Matrix<double> keys = test::NormalMatrix(20, 3, Seed{9});
  const Matrix<double> values = test::NormalMatrix(20, 2, Seed{10});
  Matrix<double> queries = test::NormalMatrix(3, 3, Seed{11});
  for (Index c = 0; c < 3; ++c) queries(1, c) = 0.0;
  for (const auto normalization :
       {AttendNormalization::kAttended, AttendNormalization::kAllKeys}) {
    const auto heads = Attend(Views{keys.view()}, {}, Views{values.view()},
                              Views{queries.view()},
                              {.window = 1,
                               .normalization = normalization,
                               .positions = {50, 10, 10}},
                              ComputeContext{TwoWorkers()});
    ASSERT_TRUE(heads.ok()) << heads.status();
    const AttendedHead& head = heads->front();
    EXPECT_THAT(head.attended, testing::ElementsAre(0, 3, 3));
    for (Index c = 0; c < 2; ++c) {
      EXPECT_EQ(head.output(0, c), 0.0);
      EXPECT_EQ(head.output(1, c), 0.0);  // a query of zeros
      EXPECT_NE(head.output(2, c), 0.0);
    }
    if (normalization == AttendNormalization::kAllKeys) {
      EXPECT_EQ(head.captured_mass[0], 0.0);
      EXPECT_EQ(head.captured_mass[1], 0.0);
      EXPECT_GT(head.captured_mass[2], 0.0);
    }
  }
}

TEST(AttendErrorTest, NamesWhatIsWrong) {
  Matrix<double> keys = test::NormalMatrix(20, 3, Seed{12});
  Matrix<double> values = test::NormalMatrix(20, 2, Seed{13});
  const Matrix<double> queries = test::NormalMatrix(3, 3, Seed{14});
  const ComputeContext context{TwoWorkers()};
  const auto sets =
      FindQueryableSets(Views{keys.view()}, {.epsilon = 0.1}, context);
  ASSERT_TRUE(sets.ok());
  const Views value_views({values.view()}), query_views({queries.view()});
  for (const AttendOptions& options :
       {AttendOptions{.sinks = 1}, AttendOptions{.window = 1},
        AttendOptions{.normalization = AttendNormalization::kAllKeys,
        .causal = true,
        .positions = {1, 2, 3}}}) {
    const auto heads =
        Attend({}, *sets, value_views, query_views, options, context);
    EXPECT_EQ(DetailOf(heads.status())->reason, "FIELD_REQUIRED");
    EXPECT_EQ(DetailOf(heads.status())->field, "keys");
  }
  const Matrix<double> longer = test::NormalMatrix(21, 2, Seed{15});
  EXPECT_EQ(
      DetailOf(Attend({}, *sets, Views{longer.view()}, query_views, {}, context)
                   .status())
          ->field,
      "values");
  values(19, 1) = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(
      DetailOf(
          Attend({}, *sets, value_views, query_views, {}, context).status())
          ->metadata.at("index"),
      "39");
  values(19, 1) = 0.0;
  keys(2, 2) = std::numeric_limits<double>::infinity();
  EXPECT_EQ(DetailOf(Attend(Views{keys.view()}, {}, value_views, query_views,
                            {.window = 1}, context)
                         .status())
                ->field,
            "keys");
}

TEST(AttendStopTest, AStopEndsTheWork) {
  const Matrix<double> keys = test::NormalMatrix(3000, 6, Seed{16});
  const Matrix<double> queries = test::NormalMatrix(200, 6, Seed{17});
  const auto attend = [&](const StopToken& stop) {
    return Attend(Views{keys.view()}, {}, Views{keys.view()},
                  Views{queries.view()},
                  {.epsilon = 0.02,
                   .window = 50,
                   .normalization = AttendNormalization::kAllKeys,
                   .causal = false},
                  {TwoWorkers(), stop});
  };
  StopSource counting;
  ASSERT_TRUE(attend(counting.token()).ok());
  for (std::int64_t look = 1; look < counting.token().looks(); look += 10) {
    StopSource source;
    source.StopAtLook(look);
    EXPECT_EQ(attend(source.token()).status().code(),
              absl::StatusCode::kCancelled);
  }
}

TEST(AttendBitsTest, DoNotDependOnTheNumberOfWorkers) {
  const Matrix<double> keys = test::NormalMatrix(2000, 6, Seed{18});
  const Matrix<double> queries = test::NormalMatrix(300, 6, Seed{19});
  std::vector<Matrix<double>> outputs;
  for (const int count : {1, 3}) {
    const Workers workers(count);
    auto heads = Attend(
        Views{keys.view()}, {}, Views{keys.view()}, Views{queries.view()},
        {.epsilon = 0.02, .sinks = 4, .window = 20}, ComputeContext{workers});
    ASSERT_TRUE(heads.ok());
    outputs.push_back(std::move(heads->front().output));
  }
  for (Index i = 0; i < outputs[0].size(); ++i) {
    ASSERT_EQ(outputs[0].data()[i], outputs[1].data()[i]);
  }
}

TEST(AttendCostTest, BoundsWhatIsAllocated) {
  const Index n = 3000, d = 6, m = 300;
  const Matrix<double> keys = test::NormalMatrix(n, d, Seed{20});
  const Matrix<double> queries = test::NormalMatrix(m, d, Seed{21});
  const Views key_views({keys.view()}), query_views({queries.view()});
  for (const AttendOptions& options :
       {AttendOptions{.epsilon = 0.004}, AttendOptions{.window = 2000},
        AttendOptions{.epsilon = 0.01,
        .sinks = 20,
        .grid = LocalGrid{.height = 50, .width = 60, .radius = 20},
        .normalization = AttendNormalization::kAllKeys,
        .causal = true}}) {
    const test::AllocationPeak peak;
    {
      const auto heads = Attend(key_views, {}, key_views, query_views, options,
                                ComputeContext{TwoWorkers()});
      ASSERT_TRUE(heads.ok());
    }
    const Cost cost = CostOfAttend(1, n, d, d, 1, m, options, 2);
    EXPECT_LE(static_cast<double>(peak.bytes()), cost.bytes);
    EXPECT_GT(cost.flops, 0.0);

    const test::AllocationPeak of_keys;
    const auto ready = PrepareAttend(key_views, {}, key_views, options,
                                     ComputeContext{TwoWorkers()});
    ASSERT_TRUE(ready.ok());
    const Cost prepared = CostOfAttendKeys(1, n, d, d, options, 2);
    EXPECT_LE(static_cast<double>(of_keys.bytes()), prepared.bytes);
    EXPECT_LE(ready->bytes(), prepared.bytes);
    const test::AllocationPeak of_block;
    ASSERT_TRUE(
        Attend(*ready, query_views, {}, ComputeContext{TwoWorkers()}).ok());
    EXPECT_LE(static_cast<double>(of_block.bytes()),
              CostOfAttend(*ready, 1, m, 2).bytes);
  }
}

}  // namespace
}  // namespace steelyard
