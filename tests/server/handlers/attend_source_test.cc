#include "server/handlers/attend_source.h"

#include <memory>
#include <vector>

#include "gtest/gtest.h"
#include "steelyard/status.h"
#include "tests/server/convert/valid_requests.h"
#include "tests/server/handlers/kept_set.h"

namespace steelyard::server {
namespace {

const Limits kLimits;

class AttendSourceTest : public testing::Test {
 protected:
  AttendTerms Terms(const SetFacts* set = nullptr) {
    auto terms = AttendOpenFromProto(*open_, set, kLimits);
    EXPECT_TRUE(terms.ok()) << terms.status();
    return *std::move(terms);
  }

  AttendProblem Block(const AttendTerms& terms) {
    auto problem = AttendBlockFromProto(block_, terms, kLimits);
    EXPECT_TRUE(problem.ok()) << problem.status();
    return *std::move(problem);
  }

  AttendSourceTest() {
    test::SetPlainTensor({2, 60, 3}, open_->mutable_keys()->mutable_dense());
    test::SetPlainTensor({2, 60, 5}, open_->mutable_values()->mutable_dense());
    open_->set_epsilon(0.05);
    test::SetPlainTensor({4, 5, 3}, block_.mutable_queries());
  }

  const Workers workers_{2};
  const ComputeContext compute_{.workers = workers_};
  std::shared_ptr<v1::AttendRequest> open_ =
      std::make_shared<v1::AttendRequest>();
  v1::QueryBlock block_;
};

TEST_F(AttendSourceTest, AnswersAsCoreDoesAndReservesEnough) {
  for (const bool local : {false, true}) {
    if (local) open_->set_window(4);
    const AttendTerms terms = Terms();
    const auto source = AttendSource::Prepare(open_, terms, {}, compute_);
    ASSERT_TRUE(source.ok()) << source.status();
    EXPECT_EQ((*source)->keeps_message(), local);
    EXPECT_GT((*source)->bytes(), local ? 2.0 * 60 * 8 * 8 : 0.0);
    EXPECT_GE(CostOfSource(terms, 2).bytes, (*source)->bytes());
    const AttendProblem problem = Block(terms);
    EXPECT_GT((*source)->CostOf(problem, kLimits, 2).bytes, 0.0);
    const auto heads = (*source)->Find(problem, compute_);
    ASSERT_TRUE(heads.ok()) << heads.status();

    const TensorMatrices keys(*terms.keys());
    const TensorMatrices values(terms.values());
    const TensorMatrices queries(problem.rows().queries);
    const auto expected = Attend(keys.heads(), {}, values.heads(),
                                 queries.heads(), problem.options(), compute_);
    ASSERT_TRUE(expected.ok()) << expected.status();
    for (std::size_t g = 0; g < 4; ++g) {
      EXPECT_EQ((*heads)[g].attended, (*expected)[g].attended);
      for (Index i = 0; i < 5 * 5; ++i) {
        EXPECT_EQ((*heads)[g].output.data()[i],
                  (*expected)[g].output.data()[i]);
      }
    }
  }
}

// Keys and values near a query are read with every block; members and sinks
// are not.
TEST_F(AttendSourceTest, AMessageIsOwnedWhereItIsReadAndGivenBackWhereNot) {
  for (const bool local : {false, true}) {
    if (local) open_->set_window(4);
    const auto message = std::make_shared<v1::AttendRequest>(*open_);
    auto kept = message;
    const auto terms = AttendOpenFromProto(*kept, nullptr, kLimits);
    ASSERT_TRUE(terms.ok());
    const AttendProblem problem = Block(*terms);
    const std::weak_ptr<const void> watched = message;
    auto source = AttendSource::Prepare(kept, *terms, {}, compute_);
    ASSERT_TRUE(source.ok()) << source.status();
    EXPECT_EQ(watched.use_count(), local ? 3 : 2);
    EXPECT_TRUE((*source)->Find(problem, compute_).ok());
    *source = nullptr;
    EXPECT_EQ(watched.use_count(), 2);
  }
}

TEST_F(AttendSourceTest, ASetBringsItsKeys) {
  SetRegistry registry(1 << 20);
  test::KeepSet(registry, "a", {.n = 60, .d = 3, .heads = 2});
  const auto used = UseSet(registry, "a");
  ASSERT_TRUE(used.ok() && used->has_value());
  open_->mutable_universal_set();
  open_->clear_keys();
  open_->clear_epsilon();
  const AttendTerms terms = Terms(FactsOf(*used));
  const auto source = AttendSource::Prepare(open_, terms, *used, compute_);
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_FALSE((*source)->keeps_message());
  const auto heads = (*source)->Find(Block(terms), compute_);
  ASSERT_TRUE(heads.ok()) << heads.status();
  EXPECT_EQ(heads->size(), 4u);

  // Of other keys than the values are.
  test::SetPlainTensor({2, 59, 5}, open_->mutable_values()->mutable_dense());
  const AttendTerms fewer = Terms(FactsOf(*used));
  const auto wrong = AttendSource::Prepare(open_, fewer, *used, compute_);
  const absl::Status at = AtProtoPath(wrong.status(), fewer);
  EXPECT_EQ(DetailOf(at)->reason, "WRONG_SHAPE");
  EXPECT_EQ(DetailOf(at)->field, "values.dense.shape[1]");
}

TEST_F(AttendSourceTest, ErrorsOfCoreComeBack) {
  open_->mutable_values()->mutable_dense()->mutable_data()->replace(0, 8, 8,
                                                                    '\xff');
  const auto source = AttendSource::Prepare(open_, Terms(), {}, compute_);
  EXPECT_EQ(DetailOf(source.status())->reason, "NOT_FINITE");
}

}  // namespace
}  // namespace steelyard::server
