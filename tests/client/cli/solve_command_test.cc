// What `steelyard solve` asks and tells of kernels, against a server that
// answers what a test says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>

#include "tests/client/cli/run_tool.h"

namespace steelyard::cli {
namespace {

using client::test::FakeCall;
using client::test::FakeReply;
using client::test::FakeServer;
using test::NpyFile;
using test::Outcome;
using test::RunOn;
using ::testing::HasSubstr;
using ::testing::Not;

namespace v1 = steelyard::v1;

class SolveCommandTest : public testing::Test {
 protected:
  // Answers x = b, with two trials.
  FakeReply Solve(const v1::SolveRequest& request,
                  const std::function<bool(const v1::SolveEvent&)>& write) {
    const std::lock_guard lock(mutex_);
    asked_ = request;
    v1::SolveEvent event;
    v1::SolveResponse* result = event.mutable_result();
    *result->mutable_x() = request.b();
    for (const std::int32_t exponent : exponents_) {
      result->add_x_exponents(exponent);
    }
    v1::SolveReport* report = result->mutable_report();
    report->set_termination(v1::TERMINATION_CONVERGED);
    report->set_method("conjugate gradients, rank 40");
    report->add_converged(true);
    report->add_relative_residual(1e-9);
    v1::PreconditionerTrial* trial = report->add_trials();
    trial->set_preconditioner(v1::PRECONDITIONER_JACOBI);
    trial->set_iterations(5);
    trial->set_contraction(1.25);
    trial = report->add_trials();
    trial->set_preconditioner(v1::PRECONDITIONER_RPCHOLESKY);
    trial->set_rank(40);
    trial->set_iterations(5);
    trial->set_contraction(0.1);
    trial->mutable_build_time()->set_seconds(2);
    write(event);
    return {};
  }
  v1::SolveRequest asked() {
    const std::lock_guard lock(mutex_);
    return asked_;
  }

  const NpyFile a_{{1, 2, 3, 4, 5, 6}, {3, 2}};
  const NpyFile b_{{1, 2, 3}, {3}};
  const NpyFile row_ridge_{{0.5, 0.0, 2.0}, {3}};
  // Handlers touch what follows; TSan does not see into gRPC.
  std::mutex mutex_;
  std::vector<std::int32_t> exponents_;
  v1::SolveRequest asked_;
  const FakeServer server_{
      {.stream_solve = [this](const FakeCall&, const auto& request,
                              const auto& write) {
        return Solve(request, write);
      }}};
};

TEST_F(SolveCommandTest, TheKernelIsAskedAsTheFlagsSay) {
  const Outcome outcome = RunOn(
      server_, {"solve", a_.path(), b_.path(), "--problem=attention-kernel",
                "--scale=0.5", "--normalization=unit-diagonal", "--ridge=0.25",
                "--row-ridge=" + row_ridge_.path(), "--method=block-coordinate",
                "--preconditioner=rpcholesky", "--preconditioner-rank=2"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  const v1::SolveRequest request = asked();
  EXPECT_EQ(request.method(), v1::METHOD_BLOCK_COORDINATE);
  EXPECT_EQ(request.ridge(), 0.25);
  const v1::AttentionKernel& kernel = request.attention_kernel();
  EXPECT_EQ(kernel.scale(), 0.5);
  EXPECT_EQ(kernel.normalization(), v1::KERNEL_NORMALIZATION_UNIT_DIAGONAL);
  EXPECT_EQ(kernel.preconditioner(), v1::PRECONDITIONER_RPCHOLESKY);
  EXPECT_EQ(kernel.preconditioner_rank(), 2);
  EXPECT_THAT(kernel.row_ridge().shape(), testing::ElementsAre(3));
}

TEST_F(SolveCommandTest, TrialsAreToldAsATable) {
  const std::vector<std::string> words = {"solve", a_.path(), b_.path(),
                                          "--problem=attention-kernel"};
  const Outcome text = RunOn(server_, words);
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("Preconditioners tried"));
  EXPECT_THAT(text.out, HasSubstr("rpcholesky"));
  EXPECT_THAT(text.out, HasSubstr("x 0.1 "));  // One step, one digit.
  EXPECT_THAT(text.out, HasSubstr("rank 40"));
  std::vector<std::string> with_json = words;
  with_json.push_back("--json");
  const auto trials = RunOn(server_, with_json).json()["trials"];
  ASSERT_EQ(trials.size(), 2U);
  EXPECT_EQ(trials[0]["preconditioner"], "jacobi");
  EXPECT_EQ(trials[0]["contraction"], 1.25);
  EXPECT_EQ(trials[1]["rank"], 40);
  EXPECT_EQ(trials[1]["build_seconds"], 2.0);
}

TEST_F(SolveCommandTest, AnXThatNpyCannotHoldIsKeptBeside) {
  {
    const std::lock_guard lock(mutex_);
    exponents_ = {0, 3000, -3000};
  }
  const steelyard::test::ScratchFile output(".npy");
  const Outcome outcome = RunOn(
      server_, {"solve", a_.path(), b_.path(), "--problem=attention-kernel",
                "--json", "--output=" + output.path()});
  EXPECT_EQ(outcome.code, 3);
  EXPECT_EQ(outcome.json()["x_exponents"][1], 3000);
  const std::string beside = output.path() + ".safetensors";
  EXPECT_THAT(outcome.err, HasSubstr("written to " + beside));
  EXPECT_EQ(std::remove(beside.c_str()), 0);
}

TEST_F(SolveCommandTest, AnOutputThatCannotBeWrittenIsToldBeforeTheSolve) {
  const Outcome outcome =
      RunOn(server_, {"solve", a_.path(), b_.path(), "--problem=gram-power",
                      "--output=/no/such/folder/x.npy"});
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.err, HasSubstr("/no/such/folder/x.npy: cannot write"));
  EXPECT_EQ(server_.calls(), 0);
}

TEST_F(SolveCommandTest, KernelFlagsThatMakeNoSenseAreOneLine) {
  const std::string a = a_.path();
  const std::string b = b_.path();
  const std::string kernel = "--problem=attention-kernel";
  const struct {
    std::vector<std::string> words;
    int code;
    const char* part;
  } rows[] = {
      {{"--problem=gram-power", "--row-ridge=" + b}, 2, "--row-ridge goes"},
      {{"--problem=gram-power", "--preconditioner=none"}, 2, "attention-ker"},
      {{kernel, "--preconditioner=magic"}, 2, "one of automatic, none"},
      {{kernel, "--preconditioner-rank=9"}, 2, "rpcholesky or"},
      {{kernel, "--preconditioner=jacobi", "--method=cholesky"}, 2, "iterat"},
      {{kernel, "--row-ridge=none.npy"}, 3, "none.npy"},
      {{kernel, "--row-ridge=" + a}, 3, "takes a vector"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(testing::PrintToString(row.words));
    std::vector<std::string> words = {"solve", a, b};
    words.insert(words.end(), row.words.begin(), row.words.end());
    const Outcome outcome = RunOn(server_, words);
    EXPECT_EQ(outcome.code, row.code);
    EXPECT_THAT(outcome.err, HasSubstr(row.part));
    EXPECT_EQ(outcome.err.find('\n'), outcome.err.size() - 1) << outcome.err;
  }
  EXPECT_EQ(server_.calls(), 0);
}

}  // namespace
}  // namespace steelyard::cli
