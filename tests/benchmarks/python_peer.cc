#include "tests/benchmarks/python_peer.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "absl/strings/str_cat.h"

namespace steelyard::benchmarks {

PythonPeer::PythonPeer(const float* keys, Index heads, Index n, Index d)
    : heads_(heads), n_(n), d_(d) {
  const char* folder = std::getenv("TMPDIR");
  const std::string base =
      absl::StrCat(folder == nullptr ? "/tmp" : folder, "/steelyard_leverage_");
  keys_ = base + "keys";
  scores_ = base + "scores";
  std::ofstream(keys_, std::ios::binary)
      .write(reinterpret_cast<const char*>(keys),
             static_cast<std::streamsize>(heads * n * d) *
                 static_cast<std::streamsize>(sizeof(float)));
}

PythonPeer::~PythonPeer() {
  std::remove(keys_.c_str());
  std::remove(scores_.c_str());
}

std::optional<PythonScores> PythonPeer::Run(const std::string& method, int runs,
                                            int threads) const {
  const char* python = std::getenv("STEELYARD_PYTHON");
  const std::string command = absl::StrCat(
      "env -u OPENBLAS_CORETYPE OPENBLAS_NUM_THREADS=", threads, " ",
      python == nullptr ? "python3" : python,
      " " STEELYARD_SOURCE_DIR "/tests/benchmarks/leverage_scores.py ", method,
      " ", keys_, " ", heads_, " ", n_, " ", d_, " ", runs, " ", scores_,
      " 2>/dev/null");
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return std::nullopt;
  PythonScores result;
  char versions[128] = "";
  const bool read =
      std::fscanf(pipe, "%lf %127[^\n]", &result.seconds, versions) == 2;
  if (pclose(pipe) != 0 || !read) return std::nullopt;
  result.versions = versions;
  result.first_head.resize(static_cast<std::size_t>(n_));
  std::ifstream file(scores_, std::ios::binary);
  file.read(reinterpret_cast<char*>(result.first_head.data()),
            static_cast<std::streamsize>(n_) *
                static_cast<std::streamsize>(sizeof(double)));
  if (!file) return std::nullopt;
  return result;
}

}  // namespace steelyard::benchmarks
