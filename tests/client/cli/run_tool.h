// The tool in this process, against a server that a test can break.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "client/cli/tool.h"
#include "client/tensor_files/tensor_output.h"
#include "tests/client/support/fake_server.h"
#include "tests/client/tensor_files/scratch_file.h"

namespace steelyard::cli::test {

struct Outcome {
  int code = -1;
  std::string out;
  std::string err;

  nlohmann::json json() const {
    return nlohmann::json::parse(out, nullptr, false);
  }
};

inline Outcome RunOn(const client::test::FakeServer& server,
                     const std::vector<std::string>& words) {
  std::ostringstream out;
  std::ostringstream err;
  const int code =
      RunTool(words, {.out = out,
                      .err = err,
                      .err_is_terminal = false,
                      .server_from_environment = server.address()});
  return {code, out.str(), err.str()};
}

// A .npy file of float64.
class NpyFile : public steelyard::test::ScratchFile {
 public:
  NpyFile(std::vector<double> numbers, std::vector<int64_t> shape)
      : ScratchFile(".npy") {
    EXPECT_TRUE(tensor_files::WriteArrays(
                    path(), {tensor_files::NamedArray::Doubles(
                                "a", std::move(numbers), std::move(shape))})
                    .ok());
  }
};

}  // namespace steelyard::cli::test
