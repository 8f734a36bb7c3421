#include "kernel/symmetric_form.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace steelyard {
namespace {

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

// ln(1 + e^t), e^t may overflow.
double LogOnePlusExp(double t) {
  return t > 0.0 ? t + std::log1p(std::exp(-t)) : std::log1p(std::exp(t));
}

double SpreadOf(const std::vector<double>& values) {
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  return *most - *least;
}

void FillDistances(const KernelRows& rows, SymmetricForm& form) {
  const bool unit = form.normalization == KernelNormalization::kUnitDiagonal;
  for (Index i = 0; i < rows.rows(); ++i) {
    const double h = unit ? 0.0 : rows.half_square[At(i)];
    // ln l_i, -inf without a ridge.
    const double t = std::log(form.ridges[At(i)]) - 2.0 * h;
    form.offsets[At(i)] = -0.5 * rows.centred_square[At(i)];
    form.weight[At(i)] = 1.0 / std::sqrt(1.0 + std::exp(t));
    form.shift[At(i)] = 1.0 / (1.0 + std::exp(-t));
    form.log_left[At(i)] = -h - 0.5 * LogOnePlusExp(t);
    form.log_diagonal[At(i)] = 2.0 * h;
  }
  form.log_right = form.log_left;
  form.spread = SpreadOf(form.log_left);
}

void FillSoftmax(const KernelRows& rows, const SoftmaxRows& softmax,
                 SymmetricForm& form) {
  form.unit_diagonal = false;
  for (Index i = 0; i < rows.rows(); ++i) {
    // s a_i.a_j and L_i differ from the centred ones by s c.(a_i - c) + s|c|^2:
    // half of the first is left.
    const double offset =
        0.5 * (rows.centre_logit[At(i)] - softmax.centred_log_sums[At(i)]);
    const double log_diagonal =
        std::min(0.0, rows.centred_square[At(i)] + 2.0 * offset);
    const double diagonal = std::exp(log_diagonal) + form.ridges[At(i)];
    if (diagonal < std::numeric_limits<double>::min()) form.degenerate = true;
    const double weight = 1.0 / std::sqrt(diagonal);
    form.offsets[At(i)] = offset;
    form.log_diagonal[At(i)] = log_diagonal;
    form.weight[At(i)] = weight;
    form.shift[At(i)] = form.ridges[At(i)] / diagonal;
    form.log_left[At(i)] =
        0.5 * softmax.log_sums[At(i)] - 0.5 * std::log(diagonal);
    form.log_right[At(i)] =
        -0.5 * softmax.log_sums[At(i)] - 0.5 * std::log(diagonal);
  }
  form.spread = 0.5 * SpreadOf(softmax.log_sums);
}

}  // namespace

SymmetricForm MakeSymmetricForm(const KernelRows& rows,
                                KernelNormalization normalization, double ridge,
                                const SoftmaxRows* softmax,
                                const std::vector<double>& row_ridge) {
  const std::size_t n = At(rows.rows());
  SymmetricForm form;
  form.normalization = normalization;
  form.ridges.assign(n, ridge);
  for (std::size_t i = 0; i < row_ridge.size(); ++i) {
    form.ridges[i] += row_ridge[i];
  }
  form.ridge = *std::min_element(form.ridges.begin(), form.ridges.end());
  for (std::vector<double>* values :
       {&form.offsets, &form.weight, &form.shift, &form.log_left,
        &form.log_right, &form.log_diagonal}) {
    values->resize(n);
  }
  if (normalization == KernelNormalization::kSoftmaxRows) {
    FillSoftmax(rows, *softmax, form);
  } else {
    FillDistances(rows, form);
  }
  return form;
}

}  // namespace steelyard
