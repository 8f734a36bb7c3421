#include "client/src/heavy_codec.h"

#include <cstring>
#include <sstream>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/client/error_detail.h"
#include "tests/client/support/filled_message.h"

namespace steelyard::client {
namespace {

const ClientOptions kLimits{.request_bytes_max = 1000,
                            .response_bytes_max = 777};

template <typename T>
void Print(const std::vector<T>& numbers, std::ostream& out) {
  out << "[";
  for (const T& number : numbers) out << number << " ";
  out << "] ";
}

// Every member of the struct; what a converter forgets does not show here.
std::string Describe(const HeavyScores& scores) {
  std::ostringstream out;
  out.precision(17);  // All digits of a double.
  out << scores.queue_time.count() << " " << scores.compute_time.count() << " ";
  for (const HeavyRow& row : scores.rows) {
    Print(row.indices, out);
    Print(row.scores, out);
    Print(row.scores_upper, out);
    out << row.normalizer << " " << row.normalizer_exponent << " "
        << row.captured_mass << " " << row.undefined << " " << row.keys_scored
        << " ";
  }
  return out.str();
}

template <typename T>
void Fill(const std::vector<T>& numbers, v1::DType dtype, v1::Tensor* tensor) {
  tensor->set_dtype(dtype);
  tensor->add_shape(static_cast<std::int64_t>(numbers.size()));
  tensor->set_data(numbers.data(), numbers.size() * sizeof(T));
}

v1::QueryHeavyResponse PackedAnswer() {
  v1::QueryHeavyResponse response;
  v1::PackedRows* packed = response.mutable_packed();
  Fill<std::int64_t>({0, 2, 2}, v1::DTYPE_INT64, packed->mutable_row_offsets());
  Fill<std::int64_t>({3, 9}, v1::DTYPE_INT64, packed->mutable_indices());
  Fill<double>({0.25, 0.5}, v1::DTYPE_FLOAT64, packed->mutable_scores());
  Fill<double>({0.75, 0}, v1::DTYPE_FLOAT64, packed->mutable_captured_mass());
  response.mutable_compute_time()->set_seconds(3);
  return response;
}

TEST(HeavyCodecTest, EveryFieldOfTheAnswerIsRead) {
  v1::QueryHeavyResponse rows;
  test::FillEveryField(&rows);
  rows.clear_packed();
  EXPECT_THAT(test::UnreadFields(
                  rows,
                  [](const google::protobuf::Message& message) {
                    return Describe(FromProto(
                        dynamic_cast<const v1::QueryHeavyResponse&>(message)));
                  }),
              testing::IsEmpty());
}

TEST(HeavyCodecTest, EveryFieldOfARequestIsSet) {
  const Eigen::MatrixXf keys = Eigen::MatrixXf::Ones(2, 3);
  v1::QueryHeavyRequest request;
  ASSERT_TRUE(ToProto(TensorView(keys),
                      {.epsilon = 0.125,
                       .function = Power{4.0},
                       .causal = true,
                       .positions = {1, 0},
                       .lengths = {2}},
                      kLimits, &request)
                  .ok());
  // The queries are the caller's to add, and whether they come packed.
  EXPECT_THAT(test::UnsetFields(request),
              testing::ElementsAre("QueryHeavyRequest.keys.dense.values",
                                   "QueryHeavyRequest.queries",
                                   "QueryHeavyRequest.packed"));
  EXPECT_EQ(request.epsilon(), 0.125);
  EXPECT_EQ(request.function().power().p(), 4.0);
  EXPECT_THAT(request.positions(), testing::ElementsAre(1, 0));
  EXPECT_THAT(request.lengths(), testing::ElementsAre(2));
  EXPECT_EQ(request.keys().dense().dtype(), v1::DTYPE_FLOAT32);
  EXPECT_EQ(request.max_response_bytes(), 777);
}

TEST(HeavyCodecTest, AKeptSetGoesByItsName) {
  v1::QueryHeavyRequest request;
  ASSERT_TRUE(ToProto(KeptSet("layer-3"), {}, kLimits, &request).ok());
  EXPECT_EQ(request.universal_set().name(), "universalSets/layer-3");
  EXPECT_FALSE(request.has_function());
  EXPECT_EQ(SetName("universalSets/a"), "universalSets/a");
}

TEST(HeavyCodecTest, WrongTensorsAreNamedByTheirPath) {
  const Eigen::MatrixXd empty(0, 3);
  v1::QueryHeavyRequest request;
  EXPECT_EQ(DetailOf(ToProto(TensorView(empty), {}, kLimits, &request))->field,
            "keys.dense.shape[0]");
}

TEST(HeavyCodecTest, PackedRowsAreArrays) {
  const auto packed = PackedFromProto(PackedAnswer());
  ASSERT_TRUE(packed.ok()) << packed.status();
  EXPECT_THAT(packed->row_offsets, testing::ElementsAre(0, 2, 2));
  EXPECT_THAT(packed->indices, testing::ElementsAre(3, 9));
  EXPECT_THAT(packed->scores, testing::ElementsAre(0.25, 0.5));
  EXPECT_THAT(packed->captured_mass, testing::ElementsAre(0.75, 0.0));
  EXPECT_THAT(packed->scores_upper, testing::IsEmpty());
  EXPECT_EQ(packed->compute_time, Seconds(3.0));

  v1::QueryHeavyResponse intervals = PackedAnswer();
  Fill<double>({0.3, 0.6}, v1::DTYPE_FLOAT64,
               intervals.mutable_packed()->mutable_scores_upper());
  EXPECT_THAT(PackedFromProto(intervals)->scores_upper,
              testing::ElementsAre(0.3, 0.6));
}

TEST(HeavyCodecTest, ArraysThatDoNotFitTogetherBreakTheContract) {
  const auto broken = [](auto change) {
    v1::QueryHeavyResponse response = PackedAnswer();
    change(response.mutable_packed());
    return absl::IsInternal(PackedFromProto(response).status());
  };
  EXPECT_FALSE(broken([](v1::PackedRows*) {}));
  EXPECT_TRUE(broken([](v1::PackedRows* packed) { packed->clear_scores(); }));
  EXPECT_TRUE(broken([](v1::PackedRows* packed) {
    packed->mutable_indices()->set_dtype(v1::DTYPE_FLOAT64);
  }));
  EXPECT_TRUE(broken([](v1::PackedRows* packed) {
    packed->mutable_indices()->set_shape(0, 3);
  }));
  EXPECT_TRUE(broken([](v1::PackedRows* packed) {
    packed->clear_row_offsets();
    Fill<std::int64_t>({0, 1, 3}, v1::DTYPE_INT64,
                       packed->mutable_row_offsets());
  }));
  EXPECT_TRUE(broken([](v1::PackedRows* packed) {
    packed->clear_captured_mass();
    Fill<double>({1}, v1::DTYPE_FLOAT64, packed->mutable_captured_mass());
  }));
}

}  // namespace
}  // namespace steelyard::client
