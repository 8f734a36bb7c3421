#include "server/convert/csr_input.h"

#include <cstring>
#include <limits>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/status.h"
#include "tests/server/convert/fake_stored_matrix.h"
#include "tests/server/convert/sparse_requests.h"

namespace steelyard::server {
namespace {

const Limits kLimits;

v1::CsrMatrix ValidCsr() {
  v1::CsrMatrix csr;
  test::SetSparse(test::SparseNumbers(), &csr);
  return csr;
}

// The entries that a view sees are those of `numbers`.
void ExpectSame(const AnyCsrView& any, const test::SparseNumbers& numbers) {
  const auto& view = std::get<CsrView<double>>(any);
  ASSERT_EQ(view.rows(), 10);
  ASSERT_EQ(view.cols(), 3);
  ASSERT_EQ(view.nonzeros(), 16);
  for (std::size_t i = 0; i < numbers.row_offsets.size(); ++i) {
    EXPECT_EQ(view.row_offsets()[i], numbers.row_offsets[i]);
  }
  for (std::size_t i = 0; i < numbers.values.size(); ++i) {
    EXPECT_EQ(view.column_indices()[i], numbers.column_indices[i]);
    EXPECT_EQ(view.values()[i], numbers.values[i]);
  }
}

TEST(CsrInputTest, ArraysAreReadWhereTheMessageHoldsThem) {
  const v1::CsrMatrix csr = ValidCsr();
  const auto input = CsrFromProto(csr, "a.csr", kLimits);
  ASSERT_TRUE(input.ok()) << input.status();
  EXPECT_EQ(input->Description(), "10x3 CSR of 16 FLOAT64");
  EXPECT_EQ(input->PathOfNumber(), "a.csr.values");
  EXPECT_EQ(input->copy_bytes(), 0);
  const CsrArrays arrays(*input);
  ExpectSame(arrays.view(), test::SparseNumbers());
  EXPECT_EQ(static_cast<const void*>(
                std::get<CsrView<double>>(arrays.view()).values()),
            static_cast<const void*>(csr.values().data()));
}

// protobuf keeps short strings inside their object, where they are aligned to 8
// at best; a type of 2 bytes is aligned everywhere.
TEST(CsrInputTest, EveryTypeIsSeenAsItself) {
  const test::SparseNumbers numbers;
  v1::CsrMatrix csr = ValidCsr();
  csr.set_dtype(v1::DTYPE_FLOAT32);
  csr.set_values(test::BytesOf(
      std::vector<float>(numbers.values.begin(), numbers.values.end())));
  const auto single = CsrFromProto(csr, "a.csr", kLimits);
  ASSERT_TRUE(single.ok()) << single.status();
  const CsrArrays arrays(*single);
  EXPECT_EQ(std::get<CsrView<float>>(arrays.view()).values()[3],
            static_cast<float>(numbers.values[3]));
  csr.set_values(std::string(2 * numbers.values.size(), '\0'));
  for (const auto& [dtype, index] :
       {std::pair(v1::DTYPE_FLOAT16, 2u), std::pair(v1::DTYPE_BFLOAT16, 3u)}) {
    csr.set_dtype(dtype);
    const auto half = CsrFromProto(csr, "a.csr", kLimits);
    ASSERT_TRUE(half.ok()) << half.status();
    EXPECT_EQ(CsrArrays(*half).view().index(), index);
  }
}

TEST(CsrInputTest, AStoredMatrixIsHeldAndReadInPlace) {
  const test::SparseNumbers numbers;
  test::FakeMatrices matrices;
  matrices.Add("sparse", test::SparseLayout(numbers),
               test::SparseBytes(numbers));
  const auto held =
      HeldMatrix(matrices.lookup(), "matrices/sparse", "a.matrix");
  ASSERT_TRUE(held.ok()) << held.status();
  const CsrInput input = CsrInput::FromStored(*held, "a.matrix");
  matrices.Delete("sparse");
  EXPECT_EQ(input.copy_bytes(), 0);
  EXPECT_EQ(input.PathOfNumber(), "a.matrix");
  EXPECT_EQ(input.Description(), "matrices/sparse 10x3 CSR of 16 FLOAT64");
  const CsrArrays arrays(input);
  ExpectSame(arrays.view(), numbers);
}

TEST(CsrInputTest, AMatrixWithoutEntriesIsOne) {
  v1::CsrMatrix csr = ValidCsr();
  csr.set_row_offsets(std::string(11 * 8, '\0'));
  csr.clear_column_indices();
  csr.clear_values();
  const auto input = CsrFromProto(csr, "a.csr", kLimits);
  ASSERT_TRUE(input.ok()) << input.status();
  EXPECT_EQ(input->nonzeros(), 0);
  EXPECT_EQ(Nonzeros(CsrArrays(*input).view()), 0);
}

TEST(CsrInputTest, EveryWrongHeaderIsRefusedAtItsField) {
  struct Case {
    std::function<void(v1::CsrMatrix&)> break_it;
    std::string reason;
    std::string field;
  };
  const std::vector<Case> cases = {
      {[](auto& csr) { csr.set_rows(0); }, "WRONG_SHAPE", "a.csr.rows"},
      {[](auto& csr) { csr.set_rows(-1); }, "WRONG_SHAPE", "a.csr.rows"},
      {[](auto& csr) {
         csr.set_rows(std::numeric_limits<std::int64_t>::max());
       },
       "SHAPE_OVERFLOW", "a.csr.rows"},
      {[](auto& csr) { csr.set_rows(std::int64_t{1} << 61); }, "SHAPE_OVERFLOW",
       "a.csr.rows"},
      {[](auto& csr) { csr.set_columns(0); }, "WRONG_SHAPE", "a.csr.columns"},
      {[](auto& csr) { csr.set_columns(8193); }, "LIMIT_EXCEEDED",
       "a.csr.columns"},
      {[](auto& csr) { csr.clear_dtype(); }, "FIELD_REQUIRED", "a.csr.dtype"},
      {[](auto& csr) { csr.set_dtype(v1::DTYPE_INT64); }, "WRONG_DTYPE",
       "a.csr.dtype"},
      {[](auto& csr) { csr.set_dtype(v1::DType(77)); }, "UNKNOWN_ENUM",
       "a.csr.dtype"},
      {[](auto& csr) { csr.set_rows(9); }, "WRONG_SIZE", "a.csr.row_offsets"},
      {[](auto& csr) { csr.mutable_row_offsets()->pop_back(); }, "WRONG_SIZE",
       "a.csr.row_offsets"},
      {[](auto& csr) { csr.mutable_column_indices()->pop_back(); },
       "WRONG_SIZE", "a.csr.column_indices"},
      {[](auto& csr) { csr.mutable_values()->pop_back(); }, "WRONG_SIZE",
       "a.csr.values"},
      {[](auto& csr) { csr.set_dtype(v1::DTYPE_FLOAT32); }, "WRONG_SIZE",
       "a.csr.values"},
  };
  for (const Case& each : cases) {
    v1::CsrMatrix csr = ValidCsr();
    each.break_it(csr);
    const absl::Status status = CsrFromProto(csr, "a.csr", kLimits).status();
    EXPECT_EQ(DetailOf(status).value_or(ErrorDetail{}).reason, each.reason)
        << status;
    EXPECT_EQ(DetailOf(status).value_or(ErrorDetail{}).field, each.field);
  }
}

}  // namespace
}  // namespace steelyard::server
