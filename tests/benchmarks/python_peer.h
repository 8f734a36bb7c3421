// Leverage scores by NumPy and SciPy in a process of their own, with the BLAS
// that their packages carry, on as many threads as we have workers.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "steelyard/matrix.h"

namespace steelyard::benchmarks {

struct PythonScores {
  double seconds = 0.0;  // over all heads
  std::vector<double> first_head;
  std::string versions;
};

// Float32 keys of several heads in a file for as long as it lives. STEELYARD_
// PYTHON names the interpreter (python3), TMPDIR the folder.
class PythonPeer {
 public:
  PythonPeer(const float* keys, Index heads, Index n, Index d);
  ~PythonPeer();
  PythonPeer(const PythonPeer&) = delete;
  PythonPeer& operator=(const PythonPeer&) = delete;

  // `method`: "qr" or "gram". Nothing where NumPy or SciPy is missing.
  std::optional<PythonScores> Run(const std::string& method, int runs,
                                  int threads) const;

 private:
  Index heads_;
  Index n_;
  Index d_;
  std::string keys_;
  std::string scores_;
};

}  // namespace steelyard::benchmarks
