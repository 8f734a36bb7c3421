// `steelyard predict` against a server that computes as the contract says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "client/tensor_files/tensor_file.h"
#include "tests/client/cli/run_tool.h"

namespace steelyard::cli {
namespace {

using client::test::FakeCall;
using client::test::FakeReply;
using client::test::FakeServer;
using tensor_files::NamedArray;
using test::NpyFile;
using test::Outcome;
using test::RunOn;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

namespace v1 = steelyard::v1;

std::vector<double> Doubles(const v1::Tensor& tensor) {
  std::vector<double> numbers(tensor.data().size() / 8);
  std::memcpy(numbers.data(), tensor.data().data(), tensor.data().size());
  return numbers;
}

// Rows of one number: y = exp(s q a') x.
FakeReply Predict(
    const FakeCall&, const v1::PredictRequest& request,
    const std::function<bool(const v1::PredictResponse&)>& write) {
  const std::vector<double> a = Doubles(request.a().dense());
  const std::vector<double> x = Doubles(request.x());
  const std::vector<double> q = Doubles(request.queries().dense());
  const std::size_t k = x.size() / a.size();
  v1::PredictResponse response;
  response.mutable_y()->set_dtype(v1::DTYPE_FLOAT64);
  response.mutable_y()->add_shape(static_cast<std::int64_t>(q.size()));
  response.mutable_y()->add_shape(static_cast<std::int64_t>(k));
  for (const double query : q) {
    for (std::size_t c = 0; c < k; ++c) {
      double sum = 0.0;
      for (std::size_t j = 0; j < a.size(); ++j) {
        sum += std::exp(request.scale() * query * a[j]) * x[k * j + c];
      }
      response.mutable_y()->mutable_data()->append(
          reinterpret_cast<const char*>(&sum), sizeof(sum));
    }
  }
  write(response);
  return {};
}

class PredictCommandTest : public testing::Test {
 protected:
  const FakeServer server_{{.predict = Predict}};
  const NpyFile a_{{0.5, -1.0, 0.25}, {3, 1}};
  const NpyFile x_{{1.0, -2.0, 3.0}, {3}};
  const NpyFile queries_{{0.0, 1.0}, {2, 1}};
};

TEST_F(PredictCommandTest, ValuesAreToldWrittenAndVerified) {
  const steelyard::test::ScratchFile output(".npy");
  const std::vector<std::string> words = {
      "predict",       a_.path(),     x_.path(),
      queries_.path(), "--scale=0.5", "--output=" + output.path(),
      "--verify"};
  const Outcome text = RunOn(server_, words);
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("2 rows of 1 predicted"));
  EXPECT_THAT(text.out, HasSubstr("certificate held"));
  std::vector<std::string> with_json = words;
  with_json.push_back("--json");
  const auto json = RunOn(server_, with_json).json();
  EXPECT_EQ(json["y_shape"], (std::vector<int>{2, 1}));
  EXPECT_EQ(json["y"][0], 2.0);  // exp(0) (1 - 2 + 3)
  EXPECT_TRUE(json["verification"]["held"]);
  const auto written =
      tensor_files::Load(*tensor_files::ParseTensorSpec(output.path()));
  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_EQ(written->Doubles(), json["y"].get<std::vector<double>>());
  EXPECT_THAT(written->shape(), ElementsAre(2, 1));
}

TEST_F(PredictCommandTest, AWrongServerIsFoundOut) {
  const FakeServer liar(
      {.predict = [](const FakeCall& call, v1::PredictRequest request,
                     const auto& write) {
        request.set_scale(1.001 * request.scale());
        return Predict(call, request, write);
      }});
  const Outcome outcome = RunOn(
      liar, {"predict", a_.path(), x_.path(), queries_.path(), "--verify"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.out, HasSubstr("DID NOT HOLD"));
}

// As 'solve' writes them: x = (2^-1500, 2^1400, 1), scaled.
TEST_F(PredictCommandTest, ExponentsBesideXAreRead) {
  const steelyard::test::ScratchFile fit(".safetensors");
  ASSERT_TRUE(
      tensor_files::WriteArrays(
          fit.path(),
          {NamedArray::Doubles("x", {0.5, 0.5, 0.5}, {3, 1}),
           NamedArray::Integers("x_exponents", {-1499, 1401, 1}, {3, 1})})
          .ok());
  const steelyard::test::ScratchFile output(".npy");
  const std::vector<std::string> words = {"predict",         a_.path(),
                                          fit.path() + ":x", queries_.path(),
                                          "--verify",        "--json"};
  const Outcome outcome = RunOn(server_, words);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  const auto json = outcome.json();
  EXPECT_TRUE(json["verification"]["held"]);
  EXPECT_EQ(json["y"][0], 0.5);
  EXPECT_EQ(json["y_exponents"][0], 1401);
  // One array was foreseen: both are kept, beside it.
  std::vector<std::string> to_npy = words;
  to_npy.push_back("--output=" + output.path());
  const Outcome beside = RunOn(server_, to_npy);
  EXPECT_EQ(beside.code, 3);
  const std::string other = output.path() + ".safetensors";
  EXPECT_THAT(beside.err, HasSubstr(other));
  EXPECT_TRUE(std::filesystem::remove(other));
  // A slice of x has lost its exponents.
  const Outcome sliced = RunOn(
      server_, {"predict", a_.path(), fit.path() + ":x[0:3]", queries_.path()});
  EXPECT_EQ(sliced.code, 3);
  EXPECT_THAT(sliced.err, HasSubstr("without a slice"));
}

TEST_F(PredictCommandTest, AnOutputThatCannotBeWrittenIsToldBeforeAnything) {
  for (const std::string& output :
       {std::string("/no/such/folder/y.npy"),
        std::filesystem::temp_directory_path().string()}) {
    const Outcome outcome =
        RunOn(server_, {"predict", a_.path(), x_.path(), queries_.path(),
                        "--output=" + output});
    EXPECT_EQ(outcome.code, 3);
    EXPECT_THAT(outcome.err, HasSubstr(output + ": cannot write"));
    EXPECT_THAT(outcome.out, IsEmpty());
  }
  EXPECT_EQ(server_.calls(), 0);
}

TEST_F(PredictCommandTest, NonsenseIsOneLineAndTheRightCode) {
  const std::string a = a_.path();
  const NpyFile bad({1.0, std::nan(""), 0.0}, {3});
  const struct {
    std::vector<std::string> words;
    int code;
    const char* part;
  } rows[] = {
      {{"predict"}, 2, "3 files, but 0 were given"},
      {{"predict", a, a}, 2, "3 files, but 2 were given"},
      {{"predict", a, a, a, "--matrix=keys"}, 2, "2 files, but 3"},
      {{"predict", a, a, "--matrix=Keys"}, 2, "--matrix is 'Keys'"},
      {{"predict", a, a, "--matrix=keys", "--verify"}, 2, "as files"},
      {{"predict", a, a, a, "--scale=0"}, 2, "> 0"},
      {{"predict", a, a, a, "--normalization=rows"}, 2, "one of none"},
      {{"predict", a, a, a, "--ridge=1"}, 2, "--ridge"},
      {{"predict", a, a, a, "--output=y.csv"}, 2, ".safetensors"},
      {{"predict", a, a, "none.npy"}, 3, "none.npy"},
      {{"predict", a, a, "x.txt"}, 3, ".safetensors"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(testing::PrintToString(row.words));
    const Outcome outcome = RunOn(server_, row.words);
    EXPECT_EQ(outcome.code, row.code) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(row.part));
    EXPECT_EQ(outcome.err.find('\n'), outcome.err.size() - 1) << outcome.err;
  }
}

}  // namespace
}  // namespace steelyard::cli
