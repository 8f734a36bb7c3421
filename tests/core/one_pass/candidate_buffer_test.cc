#include "one_pass/candidate_buffer.h"

#include <cstring>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace steelyard {
namespace {

using testing::ElementsAre;

// One float a row: its index.
CandidateList ListOf(const std::vector<Index>& indices) {
  CandidateList list;
  list.indices = indices;
  for (const Index i : indices) {
    const auto value = static_cast<float>(i);
    AppendBytes(reinterpret_cast<const std::byte*>(&value), sizeof value,
                list.rows);
  }
  return list;
}

std::vector<float> Values(const CandidateBuffer& buffer) {
  const CandidateList all = buffer.Joined();
  std::vector<float> values(all.indices.size());
  std::memcpy(values.data(), all.rows.data(), all.rows.size());
  return values;
}

TEST(CandidateBufferTest, JoinsShortListsAndKeepsTheOrder) {
  CandidateBuffer buffer(StorageType::kFloat32, 1);
  std::vector<float> expected;
  for (Index i = 0; i < 1000; ++i) {
    buffer.Append(ListOf({3 * i}));
    expected.push_back(static_cast<float>(3 * i));
  }
  buffer.Append({});
  EXPECT_EQ(buffer.size(), 1000);
  EXPECT_LE(buffer.lists().size(), 10u);  // log2(1000)
  EXPECT_EQ(Values(buffer), expected);
  EXPECT_GE(buffer.bytes(), 1000.0 * (4 + 8));
}

TEST(CandidateBufferTest, ACopyIsNotChangedByWhatFollows) {
  CandidateBuffer buffer(StorageType::kFloat32, 1);
  buffer.Append(ListOf({1, 2, 5}));
  const CandidateBuffer before = buffer;
  buffer.Append(ListOf({7}));
  buffer.Keep({1, 0, 0, 1});
  EXPECT_THAT(Values(buffer), ElementsAre(1, 7));
  EXPECT_THAT(Values(before), ElementsAre(1, 2, 5));
}

TEST(CandidateBufferTest, MergesByIndex) {
  CandidateBuffer a(StorageType::kFloat32, 1);
  CandidateBuffer b(StorageType::kFloat32, 1);
  a.Append(ListOf({1, 4, 9}));
  b.Append(ListOf({0, 5, 6, 12}));
  a.MergeFrom(b);
  EXPECT_THAT(Values(a), ElementsAre(0, 1, 4, 5, 6, 9, 12));
  a.MergeFrom(CandidateBuffer(StorageType::kFloat32, 1));
  EXPECT_EQ(a.size(), 7);
}

TEST(CandidateBufferTest, ScoresOfArrivalGoAlong) {
  CandidateBuffer buffer(StorageType::kFloat32, 1);
  CandidateList list = ListOf({1, 2, 3});
  list.scores = {0.1, 0.2, 0.3};
  list.errors = {0.0, 1.0, 2.0};
  buffer.Append(std::move(list));
  buffer.Keep({0, 1, 1});
  EXPECT_THAT(buffer.Joined().scores, ElementsAre(0.2, 0.3));
  EXPECT_THAT(buffer.Joined().errors, ElementsAre(1.0, 2.0));
}

TEST(StoredRowsTest, ViewsOfBytesAreTheMatricesThatTheyCameFrom) {
  Matrix<double> wide(3, 2);
  Matrix<float> narrow(3, 2);
  for (Index i = 0; i < 6; ++i) {
    wide.data()[i] = static_cast<double>(i);
    narrow.data()[i] = static_cast<float>(i);
  }
  const std::vector<Half> half(6, Half{7});
  const std::vector<BFloat16> brain(6, BFloat16{9});
  for (const AnyMatrixView& view :
       {AnyMatrixView(wide.view()), AnyMatrixView(narrow.view()),
        AnyMatrixView(MatrixView<Half>(half.data(), 3, 2)),
        AnyMatrixView(MatrixView<BFloat16>(brain.data(), 3, 2))}) {
    const StorageType storage = StorageOf(view);
    const std::size_t number = BytesPerNumber(storage);
    EXPECT_EQ(StorageOf(ViewOfBytes(storage, BytesOf(view), 3, 2)), storage);
    const AnyMatrixView rest = SubView(view, 1, 2);
    EXPECT_EQ(Rows(rest), 2);
    EXPECT_EQ(Cols(rest), 2);
    EXPECT_EQ(BytesOf(rest), BytesOf(view) + 2 * number);
  }
}

}  // namespace
}  // namespace steelyard
