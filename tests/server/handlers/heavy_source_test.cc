#include "server/handlers/heavy_source.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "gtest/gtest.h"
#include "steelyard/status.h"
#include "tests/server/convert/valid_requests.h"
#include "tests/server/handlers/kept_set.h"

namespace steelyard::server {
namespace {

const Limits kLimits;

class HeavySourceTest : public testing::Test {
 protected:
  HeavyTerms Terms(const SetFacts* set = nullptr) {
    auto terms = HeavyOpenFromProto(*open_, set, kLimits);
    EXPECT_TRUE(terms.ok()) << terms.status();
    return *std::move(terms);
  }

  HeavyProblem Block(const HeavyTerms& terms) {
    auto problem = HeavyBlockFromProto(block_, terms, kLimits);
    EXPECT_TRUE(problem.ok()) << problem.status();
    return *std::move(problem);
  }

  HeavySourceTest() {
    test::SetPlainTensor({2, 60, 3}, open_->mutable_keys()->mutable_dense());
    open_->set_epsilon(0.05);
    test::SetPlainTensor({4, 5, 3}, block_.mutable_queries());
  }

  const Workers workers_{2};
  const ComputeContext compute_{.workers = workers_};
  std::shared_ptr<v1::QueryHeavyRequest> open_ =
      std::make_shared<v1::QueryHeavyRequest>();
  v1::QueryBlock block_;
};

// Whatever the keys were made into, no score is missed, and the memory that was
// reserved for it is enough.
TEST_F(HeavySourceTest, EverySourceFindsWhatTheKeysThemselvesSay) {
  std::vector<v1::ScoreFunction> functions(4);
  functions[0].mutable_power()->set_p(2.0);
  functions[1].mutable_power()->set_p(3.0);
  functions[2].mutable_softmax()->set_mode(v1::SOFTMAX_MODE_CERTIFIED);
  functions[3].mutable_power()->set_p(2.0);
  for (std::size_t f = 0; f < functions.size(); ++f) {
    SCOPED_TRACE(f);
    *open_->mutable_function() = functions[f];
    if (f == 3) {
      open_->set_causal(true);
      for (const std::int64_t at : {0, 59, 7, 30, 31}) block_.add_positions(at);
    }
    const HeavyTerms terms = Terms();
    EXPECT_EQ(NeedsPages(terms), f == 2);
    EXPECT_EQ(NeedsPlainKeys(terms), f == 3);
    const auto source = HeavySource::Prepare(open_, terms, {}, compute_);
    ASSERT_TRUE(source.ok()) << source.status();
    EXPECT_GT((*source)->bytes(), 0.0);
    EXPECT_GE(CostOfSource(terms, 2).bytes, (*source)->bytes());
    const HeavyProblem problem = Block(terms);
    EXPECT_GT((*source)->CostOf(problem, kLimits, 2).bytes, 0.0);
    const auto rows = (*source)->Find(problem, compute_);
    ASSERT_TRUE(rows.ok()) << rows.status();

    const TensorMatrices keys(*terms.keys());
    const TensorMatrices queries(problem.rows().queries);
    const auto expected = FindHeavyScores(keys.heads(), queries.heads(),
                                          problem.options(), compute_);
    ASSERT_TRUE(expected.ok()) << expected.status();
    ASSERT_EQ(rows->size(), expected->size());
    for (std::size_t r = 0; r < rows->size(); ++r) {
      EXPECT_TRUE(std::includes(
          (*rows)[r].indices.begin(), (*rows)[r].indices.end(),
          (*expected)[r].indices.begin(), (*expected)[r].indices.end()))
          << r;
    }
  }
}

// The keys of a causal stream live as long as the source does.
TEST_F(HeavySourceTest, AKeptMessageIsOwned) {
  open_->set_causal(true);
  for (int i = 0; i < 5; ++i) block_.add_positions(59);
  const HeavyTerms terms = Terms();
  const HeavyProblem problem = Block(terms);
  const std::weak_ptr<const void> message = open_;
  auto source = HeavySource::Prepare(open_, terms, {}, compute_);
  ASSERT_TRUE(source.ok()) << source.status();
  open_.reset();
  EXPECT_FALSE(message.expired());
  EXPECT_TRUE((*source)->Find(problem, compute_).ok());
  *source = nullptr;
  EXPECT_TRUE(message.expired());
}

TEST_F(HeavySourceTest, ASetIsReadOnceAndRefusesASmallerEpsilonAtOnce) {
  SetRegistry registry(1 << 20);
  test::KeepSet(registry, "a", {.n = 60, .d = 3, .heads = 2});
  const auto used = UseSet(registry, "a");
  ASSERT_TRUE(used.ok() && used->has_value());
  open_->mutable_universal_set();
  const HeavyTerms terms = Terms(FactsOf(*used));
  const auto source = HeavySource::Prepare(nullptr, terms, *used, compute_);
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_TRUE((*source)->Find(Block(terms), compute_).ok());

  open_->set_epsilon(1e-6);
  const auto below =
      HeavySource::Prepare(nullptr, Terms(FactsOf(*used)), *used, compute_);
  EXPECT_EQ(below.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(DetailOf(below.status())->reason, "EPSILON_BELOW_SET");
  EXPECT_EQ(DetailOf(below.status())->field, "epsilon");
}

TEST_F(HeavySourceTest, ErrorsOfCoreComeBack) {
  open_->mutable_keys()->mutable_dense()->mutable_data()->replace(0, 8, 8,
                                                                  '\xff');
  for (const bool certified : {false, true}) {
    if (certified) {
      open_->mutable_function()->mutable_softmax()->set_mode(
          v1::SOFTMAX_MODE_CERTIFIED);
    }
    const auto source = HeavySource::Prepare(open_, Terms(), {}, compute_);
    EXPECT_EQ(DetailOf(source.status())->reason, "NOT_FINITE");
  }
}

}  // namespace
}  // namespace steelyard::server
