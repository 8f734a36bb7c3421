#include "predict_stream.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "error_codec.h"
#include "tensor_codec.h"

namespace steelyard::client {

void PredictStream::Begin(std::int64_t first_row) {
  first_row_ = first_row;
  received_ = 0;
}

absl::Status PredictStream::Add(v1::PredictResponse* response) {
  absl::StatusOr<RowMajorMatrix> y = MatrixFromProto(response->y(), "y");
  if (!y.ok()) return y.status();
  if (response->offset() != received_) {
    return BrokenAnswer(absl::StrCat("y from row ", response->offset(),
                                     " where row ", received_, " is next"));
  }
  if (width_ != 0 && y->cols() != width_) {
    return BrokenAnswer(absl::StrCat("y has ", y->cols(), " columns after ",
                                     width_, " before"));
  }
  if (response->y_exponents_size() != 0 &&
      response->y_exponents_size() != y->size()) {
    return BrokenAnswer(absl::StrCat("y has ", y->size(), " entries and ",
                                     response->y_exponents_size(),
                                     " exponents"));
  }
  if (y->rows() > rows_ - first_row_ - received_) {
    return BrokenAnswer(
        absl::StrCat("y goes beyond the last of ", rows_, " queries"));
  }
  width_ = y->cols();
  const std::int64_t begin = first_row_ + received_;
  const std::int64_t end = begin + y->rows();
  received_ += y->rows();
  if (end <= next_row_) return absl::OkStatus();
  // An earlier attempt gave the first of these rows.
  const Eigen::Index fresh = end - next_row_;
  Prediction part;
  part.y = fresh == y->rows() ? *std::move(y) : y->bottomRows(fresh).eval();
  const auto& exponents = response->y_exponents();
  if (!exponents.empty()) {
    part.y_exponents.assign(
        exponents.begin() + static_cast<int>(exponents.size() - part.y.size()),
        exponents.end());
  }
  const std::int64_t first = std::exchange(next_row_, end);
  on_rows_(first, std::move(part));
  return absl::OkStatus();
}

absl::Status PredictStream::Finish() const {
  if (next_row_ == rows_) return absl::OkStatus();
  return BrokenAnswer(absl::StrCat("the stream ended after ", next_row_, " of ",
                                   rows_, " rows"));
}

void GatheredPrediction::Add(std::int64_t first_row, Prediction part) {
  const Eigen::Index width = part.y.cols();
  if (whole_.y.size() == 0) whole_.y.resize(rows_, width);
  whole_.y.middleRows(first_row, part.y.rows()) = part.y;
  if (part.y_exponents.empty()) return;
  whole_.y_exponents.resize(static_cast<std::size_t>(whole_.y.size()), 0);
  std::copy(part.y_exponents.begin(), part.y_exponents.end(),
            whole_.y_exponents.begin() + first_row * width);
}

}  // namespace steelyard::client
