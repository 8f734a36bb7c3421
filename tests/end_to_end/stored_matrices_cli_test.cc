// The commands of the tool that store matrices and solve on them, against a
// server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "client/tensor_files/tensor_output.h"
#include "tests/client/tensor_files/npz_file.h"
#include "tests/client/tensor_files/scratch_file.h"
#include "tests/end_to_end/run_steelyard.h"

namespace steelyard {
namespace {

using test::ExpectOneLine;
using test::Outcome;
using ::testing::HasSubstr;
using ::testing::Not;

// A folder that lives as long as the suite.
class ScratchFolder {
 public:
  ScratchFolder()
      : path_(std::filesystem::temp_directory_path() /
              ("steelyard-matrices-" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(path_);
  }
  ~ScratchFolder() { std::filesystem::remove_all(path_); }
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

class StoredMatricesCliTest : public test::ToolTest {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<ScratchFolder>();
    server::ServerConfig config = test::TestConfig();
    config.matrix_directory = folder_->path();
    Start(config);
  }
  static void TearDownTestSuite() {
    ToolTest::TearDownTestSuite();
    folder_.reset();
  }

  StoredMatricesCliTest() {
    test::NpzFile::Csr(6, 3, {0, 2, 3, 5, 6, 8, 9}, {0, 2, 1, 0, 1, 2, 0, 2, 1},
                       {4, 1, -2, 1, 3, 5, 2, -1, 1})
        .Write(sparse_.path());
    Write(dense_.path(),
          {4, 0, 1, 0, -2, 0, 1, 3, 0, 0, 0, 5, 2, 0, -1, 0, 1, 0}, {6, 3});
    Write(b_.path(), {1, 2, 3, 4, 5, 6}, {6});
  }
  ~StoredMatricesCliTest() override {
    const nlohmann::json listed = Json({"matrices", "list"});
    for (const auto& info : listed.at("matrices")) {
      EXPECT_EQ(Run({"matrices", "delete", info["name"]}).code, 0);
    }
  }

  static void Write(const std::string& path, std::vector<double> numbers,
                    std::vector<int64_t> shape) {
    ASSERT_TRUE(tensor_files::WriteArrays(
                    path, {tensor_files::NamedArray::Doubles(
                              "a", std::move(numbers), std::move(shape))})
                    .ok());
  }

  const test::ScratchFile sparse_{".npz"};
  const test::ScratchFile dense_{".npy"};
  const test::ScratchFile b_{".npy"};
  static inline std::unique_ptr<ScratchFolder> folder_;
};

TEST_F(StoredMatricesCliTest, AMatrixIsUploadedShownAndDeleted) {
  const auto uploaded = Json({"matrices", "upload", "dense", dense_.path()});
  EXPECT_EQ(uploaded["name"], "matrices/dense");
  EXPECT_EQ(uploaded["layout"], "dense");
  EXPECT_EQ(uploaded["dtype"], "float64");
  EXPECT_EQ(uploaded["shape"], (std::vector<int>{6, 3}));
  EXPECT_EQ(uploaded["size_bytes"], 144);
  EXPECT_EQ(uploaded["bytes_sent"], 144);
  const auto again = Json({"matrices", "upload", "dense", dense_.path()});
  EXPECT_EQ(again["bytes_sent"], 0);
  EXPECT_THAT(Run({"matrices", "upload", "dense", dense_.path()}).out,
              HasSubstr("nothing was sent"));
  const auto shown = Json({"matrices", "show", "matrices/dense"});
  EXPECT_EQ(shown["crc32c"], uploaded["crc32c"]);
  EXPECT_EQ(Json({"matrices", "status", "dense"})["complete"], true);
  EXPECT_THAT(Run({"matrices", "status", "dense"}).out, HasSubstr("complete"));
  const auto sparse = Json({"matrices", "upload", "sparse", sparse_.path()});
  EXPECT_EQ(sparse["layout"], "csr");
  EXPECT_EQ(sparse["nonzeros"], 9);
  EXPECT_EQ(Json({"matrices", "upload", "b", b_.path()})["shape"],
            (std::vector<int>{6, 1}));
  EXPECT_EQ(Json({"matrices", "list"})["matrices"].size(), 3U);
  EXPECT_THAT(Run({"matrices", "list"}).out,
              HasSubstr("float64 CSR [6, 3], 9 entries"));
  EXPECT_EQ(Json({"matrices", "delete", "b"})["deleted"].size(), 1U);
  ExpectOneLine(Run({"matrices", "show", "b"}), 4);
}

TEST_F(StoredMatricesCliTest, EveryWayToNameAMatrixGivesOneAnswer) {
  Json({"matrices", "upload", "dense", dense_.path()});
  Json({"matrices", "upload", "sparse", sparse_.path()});
  Json({"matrices", "upload", "b", b_.path()});
  for (const char* exponent : {"0", "1"}) {
    const auto solve = [&](std::vector<std::string> words) {
      words.insert(words.begin(), "solve");
      words.push_back("--problem=left-gram-power");
      words.push_back(std::string("--exponent=") + exponent);
      const auto json = Json(words);
      EXPECT_EQ(json["termination"], "CONVERGED");
      return json["x"].get<std::vector<double>>();
    };
    const auto expected = solve({dense_.path(), b_.path()});
    const std::vector<std::vector<std::string>> others = {
        {sparse_.path(), b_.path()},
        {b_.path(), "--matrix=dense"},
        {b_.path(), "--matrix=matrices/sparse"},
        {dense_.path(), "--b-matrix=b"},
        {"--matrix=sparse", "--b-matrix=b"},
        {dense_.path(), b_.path(), "--matrix=dense", "--verify"},
        {sparse_.path(), b_.path(), "--matrix=sparse", "--b-matrix=b",
         "--verify"},
        {sparse_.path(), b_.path(), "--verify"},
    };
    for (const auto& words : others) {
      SCOPED_TRACE(testing::PrintToString(words));
      const auto x = solve(words);
      ASSERT_EQ(x.size(), expected.size());
      for (std::size_t i = 0; i < x.size(); ++i) {
        // kappa is below 3; u kappa^3 and some steps.
        EXPECT_NEAR(x[i], expected[i], 1e-13);
      }
    }
  }
}

TEST_F(StoredMatricesCliTest, TheSecondSolveFindsTheFactor) {
  // Of numbers that no other test has uploaded: factors go by content.
  Json({"matrices", "upload", "keys", Tensor("layer5.keys[1]")});
  const std::vector<std::string> words = {
      "solve", Tensor("layer5.values[1,:,0]"), "--matrix=keys",
      "--problem=left-gram-power"};
  EXPECT_EQ(Json(words)["factor_cache_hit"], false);
  EXPECT_EQ(Json(words)["factor_cache_hit"], true);
  EXPECT_THAT(Run(words).out, HasSubstr("found ready"));
  EXPECT_THAT(
      Run({"solve", dense_.path(), b_.path(), "--problem=left-gram-power"}).out,
      Not(HasSubstr("factor ")));
}

TEST_F(StoredMatricesCliTest, MethodsOfTheSketchAreNamedInTheReport) {
  for (const char* kind : {"gaussian", "count-sketch", "sparse-sign"}) {
    const auto json =
        Json({"solve", Tensor("layer3.keys[0]"), Tensor("layer3.values[0,:,0]"),
              "--problem=left-gram-power", "--method=sketch",
              std::string("--sketch=") + kind, "--sketch-rows=200", "--seed=7",
              "--verify"});
    EXPECT_THAT(json["method"].get<std::string>(), HasSubstr("200"));
    EXPECT_EQ(json["seed"], 7);
    EXPECT_TRUE(json["verification"]["held"]);
  }
}

TEST_F(StoredMatricesCliTest, SetsAndScoresOfStoredKeysAreThoseOfTheFile) {
  const std::string keys = Tensor("layer3.keys");
  const std::string queries = Tensor("layer3.queries");
  Json({"matrices", "upload", "keys", keys});
  const auto sets = Json({"universal-set", keys, "--epsilon=0.1"})["sets"];
  EXPECT_EQ(sets.size(), 12U);
  EXPECT_EQ(Json({"universal-set", "--matrix=keys", "--epsilon=0.1"})["sets"],
            sets);
  const auto verified = Json({"universal-set", keys, "--matrix=matrices/keys",
                              "--epsilon=0.1", "--verify"});
  EXPECT_EQ(verified["sets"], sets);
  EXPECT_TRUE(verified["verification"]["held"]);
  for (const char* causal : {"--epsilon=0.1", "--causal"}) {
    const auto rows = Json({"heavy", keys, queries, causal})["rows"];
    EXPECT_EQ(Json({"heavy", queries, "--matrix=keys", causal})["rows"], rows);
    const auto checked =
        Json({"heavy", keys, queries, "--matrix=keys", "--verify", causal});
    EXPECT_EQ(checked["rows"], rows);
    EXPECT_TRUE(checked["verification"]["held"]);
  }
  EXPECT_EQ(Json({"heavy", queries, "--matrix=keys", "--stream"})["rows"],
            Json({"heavy", keys, queries})["rows"]);
}

TEST_F(StoredMatricesCliTest, NonsenseIsOneLineAndTheRightCode) {
  Json({"matrices", "upload", "dense", dense_.path()});
  const std::string a = dense_.path();
  const std::string b = b_.path();
  const std::string left = "--problem=left-gram-power";
  const struct {
    std::vector<std::string> words;
    int code;
    const char* part;
  } rows[] = {
      {{"matrices", "uplod", "x", a}, 2, "did you mean 'upload'"},
      {{"matrices", "upload", "x"}, 2, "takes NAME FILE"},
      {{"matrices", "upload", "X", a}, 2, "no name of a matrix"},
      {{"matrices", "upload", "x", "none.npy"}, 3, "none.npy"},
      {{"matrices", "upload", "x", "none.npz"}, 3, "none.npz"},
      {{"matrices", "upload", "dense", b}, 4, "matrices delete dense"},
      {{"matrices", "list", "x"}, 2, "takes no name"},
      {{"matrices", "show", "nobody"}, 4, "NOT_FOUND"},
      {{"matrices", "status", "nobody"}, 4, "NOT_FOUND"},
      {{"matrices", "delete", "nobody"}, 4, "NOT_FOUND"},
      {{"solve", "--matrix=nobody", b, left}, 4, "NOT_FOUND"},
      {{"solve", "--matrix=A", b, left}, 2, "--matrix is 'A'"},
      {{"solve", a, left}, 2, "takes A and B"},
      {{"solve", a, b, "--matrix=dense", left}, 2, "--verify only"},
      {{"solve", b, "--matrix=dense", "--verify", left}, 2, "both files"},
      {{"solve", b, b, "--matrix=dense", "--verify", left}, 3, "is not what"},
      {{"solve", a, b, left, "--terms=3"}, 2, "--method=series"},
      {{"solve", a, b, left, "--method=qr", "--sketch=srht"}, 2, "--sketch"},
      {{"solve", a, b, "--problem=attention-kernel", "--sketch-rows=9"},
       2,
       "--sketch-rows"},
      {{"universal-set", "--epsilon=0.5"}, 2, "or --matrix=NAME"},
      {{"universal-set", "--matrix=A", "--epsilon=0.5"}, 2, "--matrix is 'A'"},
      {{"universal-set", "--matrix=nobody", "--epsilon=0.5"}, 4, "NOT_FOUND"},
      {{"universal-set", a, "--matrix=dense", "--epsilon=0.5"},
       2,
       "--verify only"},
      {{"universal-set", "--matrix=dense", "--epsilon=0.5", "--verify"},
       2,
       "--verify only"},
      {{"universal-set", b, "--matrix=dense", "--epsilon=0.5", "--verify"},
       3,
       "is not what"},
      {{"heavy", a}, 2, "takes KEYS QUERIES, or QUERIES with --matrix"},
      {{"heavy", a, "--matrix=dense", "--verify"}, 2, "--verify only"},
      {{"heavy", a, a, "--matrix=dense"}, 2, "--verify only"},
      {{"heavy", a, "--matrix=dense", "--set=x"}, 2, "--set and --matrix"},
      {{"heavy", a, "--matrix=nobody"}, 4, "NOT_FOUND"},
      {{"solve", sparse_.path(), b, "--problem=attention-kernel"},
       4,
       "INVALID_ARGUMENT"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(testing::PrintToString(row.words));
    const Outcome outcome = Run(row.words);
    ExpectOneLine(outcome, row.code);
    EXPECT_THAT(outcome.err, HasSubstr(row.part));
  }
}

TEST_F(StoredMatricesCliTest, AServerWithoutADirectorySaysSo) {
  const test::RunningServer bare;
  const Outcome outcome = test::RunSteelyard(
      bare.address(), {"matrices", "upload", "x", dense_.path()});
  ExpectOneLine(outcome, 4);
  EXPECT_THAT(outcome.err, HasSubstr("--matrix-directory"));
}

}  // namespace
}  // namespace steelyard
