// The house rules hold in this checkout, and each rule notices when it is
// broken.
#include "tests/architecture/source_tree.h"

#include "gmock/gmock.h"

namespace steelyard::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using testing::StartsWith;

constexpr std::size_t kFileLinesMax = 600;
constexpr std::size_t kFunctionLinesMax = 60;

// Sources whose test has another name, because the noun is tested where it is
// seen.
const std::vector<std::pair<std::string, std::string>> kTestedElsewhere = {
    {"client/cli/analyze_command.cc", "tests/end_to_end/analyze_test.cc"},
    {"client/cli/analyze_spec.cc", "tests/client/cli/command_specs_test.cc"},
    {"client/examples/attention_kernel.cc",
     "tests/end_to_end/examples_test.cc"},
    {"client/examples/find_universal_set.cc",
     "tests/end_to_end/examples_test.cc"},
    {"client/examples/solve_power_regression.cc",
     "tests/end_to_end/examples_test.cc"},
    {"core/src/parallel/tbb_arena.cc", "tests/core/parallel/workers_test.cc"},
    {"core/src/universal_set/leverage.cc",
     "tests/core/universal_set/universal_set_test.cc"},
    {"server/admission/job.cc", "tests/server/admission/gate_test.cc"},
    {"server/admission/lane.cc", "tests/server/admission/gate_test.cc"},
    {"server/config/options.cc", "tests/server/config/command_line_test.cc"},
    {"server/handlers/export_state_handler.cc",
     "tests/end_to_end/merge_states_test.cc"},
    {"server/handlers/merge_states_handler.cc",
     "tests/end_to_end/merge_states_test.cc"},
    {"server/handlers/session_work.cc",
     "tests/end_to_end/merge_states_test.cc"},
    {"server/handlers/state_merge.cc", "tests/end_to_end/merge_states_test.cc"},
    {"server/handlers/stored_matrix_handlers.cc",
     "tests/end_to_end/matrices_test.cc"},
    {"server/handlers/stored_set_handlers.cc",
     "tests/end_to_end/stored_sets_test.cc"},
    {"server/handlers/stream_keys_handler.cc",
     "tests/end_to_end/stream_keys_test.cc"},
    {"server/handlers/upload_matrix_handler.cc",
     "tests/end_to_end/matrices_test.cc"},
    {"server/handlers/upload_stream.cc", "tests/end_to_end/matrices_test.cc"},
    {"server/handlers/universal_set_work.cc",
     "tests/end_to_end/stored_sets_test.cc"},
    {"server/handlers/find_universal_set_handler.cc",
     "tests/end_to_end/universal_set_service_test.cc"},
    {"server/handlers/get_server_info_handler.cc",
     "tests/end_to_end/server_start_test.cc"},
    {"server/handlers/query_heavy_handler.cc",
     "tests/end_to_end/query_heavy_sets_test.cc"},
    {"server/handlers/stream_attend_handler.cc",
     "tests/end_to_end/attend_streams_test.cc"},
    {"server/handlers/stream_query_heavy_handler.cc",
     "tests/end_to_end/query_streams_test.cc"},
    {"server/handlers/stream_solve_handler.cc",
     "tests/end_to_end/regression_service_test.cc"},
    {"server/storage/store_state.cc",
     "tests/server/storage/matrix_store_test.cc"},
    {"server/main.cc", "tests/end_to_end/server_lifecycle_test.cc"},
    {"server/transport/services.cc",
     "tests/end_to_end/regression_service_test.cc"},
    {"server/transport/steelyard_server.cc",
     "tests/end_to_end/server_start_test.cc"},
    {"client/cli/main.cc", "tests/end_to_end/cli_test.cc"},
    {"client/cli/attend_command.cc", "tests/end_to_end/sets_cli_test.cc"},
    {"client/cli/set_report.cc", "tests/end_to_end/sets_cli_test.cc"},
    {"client/cli/set_specs.cc", "tests/client/cli/command_specs_test.cc"},
    {"client/cli/sets_command.cc", "tests/end_to_end/sets_cli_test.cc"},
    {"client/cli/state_file.cc", "tests/end_to_end/sets_cli_test.cc"},
    {"client/cli/stream_command.cc", "tests/end_to_end/sets_cli_test.cc"},
    {"client/examples/attention_regression.cc",
     "tests/end_to_end/examples_test.cc"},
    {"client/examples/kernel_preconditioners.cc",
     "tests/end_to_end/examples_test.cc"},
    {"client/examples/levattention.cc", "tests/end_to_end/examples_test.cc"},
    {"client/examples/stored_matrix.cc", "tests/end_to_end/examples_test.cc"},
    {"client/examples/stream_keys.cc", "tests/end_to_end/examples_test.cc"},
    {"client/cli/connect.cc", "tests/end_to_end/cli_test.cc"},
    {"client/cli/heavy_command.cc", "tests/end_to_end/cli_test.cc"},
    {"client/cli/input_tensors.cc", "tests/end_to_end/cli_test.cc"},
    {"client/cli/server_commands.cc", "tests/end_to_end/cli_test.cc"},
    {"client/cli/key_inputs.cc",
     "tests/end_to_end/stored_matrices_cli_test.cc"},
    {"client/cli/stored_name.cc",
     "tests/end_to_end/stored_matrices_cli_test.cc"},
    {"client/cli/matrices_command.cc",
     "tests/end_to_end/stored_matrices_cli_test.cc"},
    {"client/cli/matrix_file.cc",
     "tests/end_to_end/stored_matrices_cli_test.cc"},
    {"client/cli/predict_inputs.cc",
     "tests/client/cli/predict_command_test.cc"},
    {"client/cli/predict_spec.cc", "tests/client/cli/command_specs_test.cc"},
    {"client/cli/solve_inputs.cc", "tests/end_to_end/matrices_cli_test.cc"},
    {"client/cli/solve_specs.cc", "tests/client/cli/command_specs_test.cc"},
    {"client/cli/solve_report.cc", "tests/end_to_end/cli_test.cc"},
    {"client/cli/tool.cc", "tests/end_to_end/cli_test.cc"},
    {"client/cli/universal_set_command.cc", "tests/end_to_end/cli_test.cc"},
    {"client/cli/verdict_report.cc", "tests/end_to_end/cli_test.cc"},
    {"client/examples/demo/main.cc", "tests/end_to_end/demo_test.cc"},
    {"client/examples/demo/section.cc", "tests/end_to_end/demo_test.cc"},
    {"client/examples/demo/real_keys.cc", "tests/end_to_end/demo_test.cc"},
    {"client/examples/demo/regressions.cc", "tests/end_to_end/demo_test.cc"},
    {"client/examples/demo/streamed_keys.cc", "tests/end_to_end/demo_test.cc"},
};

const std::vector<SourceFile>& Checkout() {
  static const std::vector<SourceFile> files =
      ReadSourceTree(STEELYARD_SOURCE_DIR);
  return files;
}

TEST(SourceTreeTest, TheCheckoutIsSeen) { EXPECT_GT(Checkout().size(), 50u); }

TEST(SourceTreeTest, RoomsIncludeOnlyWhatTheyMay) {
  EXPECT_THAT(ForbiddenIncludes(Checkout()), IsEmpty());
  EXPECT_THAT(MisplacedIncludes(Checkout()), IsEmpty());
}

TEST(SourceTreeTest, FilesAndFunctionsStaySmall) {
  EXPECT_THAT(LongFiles(Checkout(), kFileLinesMax), IsEmpty());
  EXPECT_THAT(LongFunctions(Checkout(), kFunctionLinesMax), IsEmpty());
}

TEST(SourceTreeTest, EverySourceHasItsTest) {
  EXPECT_THAT(UntestedSources(Checkout(), kTestedElsewhere), IsEmpty());
}

TEST(SourceTreeTest, EveryTestAssertsSomething) {
  EXPECT_THAT(TestsWithoutAssertion(Checkout()), IsEmpty());
}

TEST(SourceTreeTest, NoMachineFlagsAndNoLeftMarkers) {
  EXPECT_THAT(MachineFlags(Checkout()), IsEmpty());
  EXPECT_THAT(LeftMarkers(Checkout()), IsEmpty());
}

TEST(SourceTreeTest, EveryRoomHasAReadme) {
  for (const char* room :
       {"proto", "core", "server", "client", "tests", "docker", "scripts"}) {
    EXPECT_TRUE(std::filesystem::exists(
        std::filesystem::path(STEELYARD_SOURCE_DIR) / room / "README.md"))
        << room;
  }
}

// Planted violations, one a rule.

TEST(SourceTreeRulesTest, ForbiddenIncludesAreFound) {
  const std::vector<SourceFile> planted = {
      {"core/src/a.cc", {"#include \"steelyard/v1/tensor.pb.h\""}},
      {"client/src/b.cc", {"#include \"steelyard/matrix.h\""}},
      {"client/src/c.cc", {"#include \"server/limits/limits.h\""}},
      {"server/d.cc", {"", "#include \"steelyard/client/client.h\""}},
      {"core/src/e.cc", {"#include <grpcpp/grpcpp.h>"}},
      {"client/src/fine.cc",
       {"#include \"steelyard/v1/tensor.pb.h\"",
        "#include \"steelyard/client/client.h\""}},
  };
  EXPECT_THAT(
      ForbiddenIncludes(planted),
      ElementsAre(StartsWith("core/src/a.cc:1"), StartsWith("client/src/b.cc"),
                  StartsWith("client/src/c.cc"), StartsWith("server/d.cc:2"),
                  StartsWith("core/src/e.cc")));
}

TEST(SourceTreeRulesTest, MisplacedIncludesAreFound) {
  const std::vector<SourceFile> planted = {
      {"core/src/a.cc", {"#include <tbb/parallel_for.h>"}},
      {"core/src/b.cc",
       {"#include <Eigen/Core>", "#include \"hwy/foreach_target.h\""}},
      {"tests/server/c_test.cc",
       {"#include \"steelyard/v1/server_service.grpc.pb.h\""}},
  };
  EXPECT_THAT(MisplacedIncludes(planted), SizeIs(3));
}

TEST(SourceTreeRulesTest, LongFilesAndFunctionsAreFound) {
  SourceFile file{"core/src/a.cc", {"namespace n {", "", "int F() {"}};
  for (int i = 0; i < 20; ++i) file.lines.push_back("  Call();");
  file.lines.push_back("}");
  file.lines.push_back("}  // namespace n");
  EXPECT_THAT(LongFiles({file}, 24), SizeIs(1));
  EXPECT_THAT(LongFiles({file}, 25), IsEmpty());
  EXPECT_THAT(LongFunctions({file}, 21),
              ElementsAre("core/src/a.cc:3: 22 lines"));
  EXPECT_THAT(LongFunctions({file}, 22), IsEmpty());
}

TEST(SourceTreeRulesTest, UntestedSourcesAreFound) {
  const std::vector<SourceFile> planted = {
      {"core/src/a.cc", {}},
      {"core/src/b.cc", {}},
      {"tests/core/a_test.cc", {}},
  };
  EXPECT_THAT(UntestedSources(planted, {}),
              ElementsAre("core/src/b.cc has no test"));
  EXPECT_THAT(
      UntestedSources(planted, {{"core/src/b.cc", "tests/core/a_test.cc"}}),
      IsEmpty());
  EXPECT_THAT(
      UntestedSources(planted, {{"core/src/b.cc", "tests/core/c_test.cc"}}),
      ElementsAre("tests/core/c_test.cc is gone"));
}

TEST(SourceTreeRulesTest, EmptyTestsFlagsAndMarkersAreFound) {
  EXPECT_THAT(TestsWithoutAssertion(
                  {{"tests/core/a_test.cc", {"TEST(A, B) { Call(); }"}}}),
              SizeIs(1));
  EXPECT_THAT(MachineFlags({{"core/CMakeLists.txt", {"  PROPERTIES -mavx2"}}}),
              SizeIs(1));
  const std::string marker = std::string("// TO") + "DO: later";
  EXPECT_THAT(LeftMarkers({{"core/src/a.cc", {marker}}}), SizeIs(1));
}

}  // namespace
}  // namespace steelyard::test
