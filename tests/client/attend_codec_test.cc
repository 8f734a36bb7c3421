#include "client/src/attend_codec.h"

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

class AttendCodecTest : public testing::Test {
 protected:
  v1::AttendRequest RequestOf(const AttendOptions& options,
                              const std::string& set = "") const {
    v1::AttendRequest request;
    AttendInputs inputs{.values = values_, .queries = queries_};
    if (set.empty()) {
      inputs.keys = keys_;
    } else {
      inputs.universal_set = set;
    }
    EXPECT_TRUE(ToProto(inputs, options, kLimits, &request).ok());
    return request;
  }

  const Eigen::MatrixXf keys_ = Eigen::MatrixXf::Ones(4, 3);
  const Eigen::MatrixXf values_ = Eigen::MatrixXf::Ones(4, 2);
  const Eigen::MatrixXf queries_ = Eigen::MatrixXf::Ones(5, 3);
};

TEST_F(AttendCodecTest, EveryFieldOfARequestIsSet) {
  const v1::AttendRequest request =
      RequestOf({.function = Softmax{},
                 .epsilon = 0.25,
                 .top_m = 7,
                 .sinks = 2,
                 .local = Window{3},
                 .normalization = AttentionNormalization::kAll,
                 .causal = true,
                 .positions = {1, 2},
                 .output_type = ScalarType::kFloat64,
                 .lengths = {4}});
  EXPECT_THAT(test::UnsetFields(request),
              testing::ElementsAre("AttendRequest.keys.dense.values",
                                   "AttendRequest.universal_set",
                                   "AttendRequest.values.dense.values",
                                   "AttendRequest.queries",
                                   "AttendRequest.function.softmax.scale"));
  EXPECT_EQ(request.epsilon(), 0.25);
  EXPECT_EQ(request.top_m(), 7);
  EXPECT_EQ(request.sinks(), 2);
  EXPECT_EQ(request.window(), 3);
  EXPECT_EQ(request.normalization(), v1::NORMALIZATION_ALL);
  EXPECT_EQ(request.output_dtype(), v1::DTYPE_FLOAT64);
  EXPECT_THAT(request.positions(), testing::ElementsAre(1, 2));
  EXPECT_THAT(request.lengths(), testing::ElementsAre(4));
}

TEST_F(AttendCodecTest, AGridAndAKeptSet) {
  const v1::AttendRequest request = RequestOf(
      {.local = Grid{.height = 6, .width = 7, .radius = 2, .first = 1}}, "u");
  EXPECT_EQ(request.grid().height(), 6);
  EXPECT_EQ(request.grid().width(), 7);
  EXPECT_EQ(request.grid().radius(), 2);
  EXPECT_EQ(request.grid().first(), 1);
  EXPECT_EQ(request.universal_set().name(), "universalSets/u");
  EXPECT_FALSE(request.has_keys());
  EXPECT_EQ(request.normalization(), v1::NORMALIZATION_ATTENDED);
  EXPECT_EQ(request.output_dtype(), v1::DTYPE_UNSPECIFIED);
}

TEST_F(AttendCodecTest, WrongTensorsAreNamedByTheirPath) {
  const Eigen::MatrixXf empty(0, 3);
  v1::AttendRequest request;
  EXPECT_EQ(
      DetailOf(ToProto({.keys = empty, .values = values_, .queries = queries_},
                       {}, kLimits, &request))
          ->field,
      "keys.dense.shape[0]");
  EXPECT_EQ(DetailOf(ToProto({.values = empty, .queries = queries_}, {},
                             kLimits, &request))
                ->field,
            "values.dense.shape[0]");
}

v1::AttendResponse AnswerOf(v1::DType dtype, const std::string& bytes) {
  v1::AttendResponse response;
  response.mutable_output()->set_dtype(dtype);
  response.mutable_output()->add_shape(2);
  response.mutable_output()->add_shape(1);
  response.mutable_output()->set_data(bytes);
  for (int row = 0; row < 2; ++row) {
    response.add_attended(row + 1);
    response.add_captured_mass(0.5 + row);
  }
  response.mutable_compute_time()->set_seconds(4);
  return response;
}

TEST_F(AttendCodecTest, TheOutputOfEveryTypeIsRead) {
  const auto expect_numbers = [](v1::DType dtype, auto numbers) {
    const std::string bytes(reinterpret_cast<const char*>(numbers.data()),
                            numbers.size() * sizeof(numbers[0]));
    const auto attention = FromProto(AnswerOf(dtype, bytes));
    ASSERT_TRUE(attention.ok()) << attention.status();
    EXPECT_EQ(attention->output(0, 0), 1.5);
    EXPECT_EQ(attention->output(1, 0), -2.0);
    EXPECT_THAT(attention->attended, testing::ElementsAre(1, 2));
    EXPECT_THAT(attention->captured_mass, testing::ElementsAre(0.5, 1.5));
    EXPECT_EQ(attention->compute_time, Seconds(4.0));
  };
  expect_numbers(v1::DTYPE_FLOAT64, std::vector<double>{1.5, -2.0});
  expect_numbers(v1::DTYPE_FLOAT32, std::vector<float>{1.5F, -2.0F});
  expect_numbers(v1::DTYPE_FLOAT16, std::vector<Eigen::half>{
                                        Eigen::half(1.5F), Eigen::half(-2.0F)});
  expect_numbers(v1::DTYPE_BFLOAT16,
                 std::vector<Eigen::bfloat16>{Eigen::bfloat16(1.5F),
                                              Eigen::bfloat16(-2.0F)});
}

TEST_F(AttendCodecTest, ArraysThatDoNotFitTogetherBreakTheContract) {
  const std::string two(16, '\0');
  EXPECT_TRUE(FromProto(AnswerOf(v1::DTYPE_FLOAT64, two)).ok());
  EXPECT_TRUE(
      absl::IsInternal(FromProto(AnswerOf(v1::DTYPE_INT64, two)).status()));
  EXPECT_TRUE(
      absl::IsInternal(FromProto(AnswerOf(v1::DTYPE_FLOAT32, two)).status()));
  v1::AttendResponse response = AnswerOf(v1::DTYPE_FLOAT64, two);
  response.add_attended(3);
  EXPECT_TRUE(absl::IsInternal(FromProto(response).status()));
  response = AnswerOf(v1::DTYPE_FLOAT64, two);
  response.clear_captured_mass();  // Z is not known.
  EXPECT_TRUE(FromProto(response).ok());
}

}  // namespace
}  // namespace steelyard::client
