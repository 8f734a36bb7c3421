// Sparse matrices that own their memory, from dense ones.
#pragma once

#include <vector>

#include "steelyard/csr_view.h"
#include "tests/support/matrices.h"

namespace steelyard::test {

// The entries of `dense` that are not zero.
template <KeyScalar T>
class CsrMatrix {
 public:
  explicit CsrMatrix(const Matrix<double>& dense)
      : rows_(dense.rows()), cols_(dense.cols()), offsets_{0} {
    for (Index i = 0; i < rows_; ++i) {
      for (Index c = 0; c < cols_; ++c) {
        if (dense(i, c) == 0.0) continue;
        columns_.push_back(static_cast<std::int32_t>(c));
        values_.push_back(RoundTo<T>(dense(i, c)));
      }
      offsets_.push_back(static_cast<std::int64_t>(columns_.size()));
    }
  }

  CsrView<T> view() const {
    return {offsets_.data(), columns_.data(),
            values_.data(),  rows_,
            cols_,           static_cast<Index>(values_.size())};
  }

 private:
  Index rows_;
  Index cols_;
  std::vector<std::int64_t> offsets_;
  std::vector<std::int32_t> columns_;
  std::vector<T> values_;
};

}  // namespace steelyard::test
