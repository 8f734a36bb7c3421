// Sketches of tensor powers: random linear maps S_l of x^{(x)l} to m numbers
// with
//
//     E <S_l x^{(x)l}, S_l y^{(x)l}> = <x, y>^l,
//     E <S_l x^{(x)l}, S_k y^{(x)k}> = 0 for l != k
//
//   so that sum_l c_l S_l x^{(x)l} stands for a power series in <x, y> with
//   coefficients c_l^2.
//
// TensorSketch  the circular convolution of l CountSketches, by FFT. One sum of
//   all levels before the transform back. Variance (3^l - 1) / m of a level.
// tree sketch   pairs of tensors are joined by a TensorSRHT of degree two, (H D
//   u)_i (H D' v)_j for m random pairs (i, j), along the binary expansion of l:
//   blocks of 2^h leaves, shared by all levels. (The tree of Ahle et al. whose
//   leaves e_1, which fill up to a power of two, are left out: a node with one
//   is its other child.) Variance (1 + 8 / m)^(l-1) - 1.
//
// SOURCE  Pham, Pagh, KDD 2013 (TensorSketch); Ahle, Kapralov, Knudsen, Pagh,
//   Velingker, Woodruff, Zandieh, SODA 2020, arXiv 1909.01410.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "steelyard/matrix_view.h"
#include "steelyard/random.h"

namespace steelyard {

enum class PowerSketchKind { kTensorSketch, kTree };

struct PowerSketchPlan {
  PowerSketchKind kind = PowerSketchKind::kTree;
  Index dimension = 1;  // of x
  int degree = 1;       // largest l
  Index columns = 1;    // m
  std::uint64_t seed = 0;
};

// Immutable: rows may be sketched side by side, each with a scratch of its own.
class PowerSketch {
 public:
  virtual ~PowerSketch() = default;
  // out += sum_{l = 1}^{degree} coefficients[l] S_l x^{(x)l}.
  virtual void Add(const double* x, const std::vector<double>& coefficients,
                   double* out, std::vector<double>& scratch) const = 0;
};

std::unique_ptr<PowerSketch> DrawPowerSketch(const PowerSketchPlan& plan);

// Flops of one Add, and the variance of <Sx, Sx> for levels of squared norm
// energies[l].
double FlopsOf(const PowerSketchPlan& plan);
double VarianceOf(const PowerSketchPlan& plan,
                  const std::vector<double>& energies);

// The kind for which a given variance costs less work: flops times variance,
// as both grow or fall with m. The tree, but for a handful of columns.
PowerSketchKind CheaperKind(PowerSketchPlan plan,
                            const std::vector<double>& energies);

// y := H y, H the +-1 Hadamard matrix of order `size`, a power of two.
void HadamardTransform(double* y, Index size);

// Convolutions of real sequences of `size` numbers, a power of two.
class FourierTransform {
 public:
  explicit FourierTransform(Index size);
  // re + i im, in place, forwards; backwards times `size`.
  void Run(double* re, double* im, bool backwards) const;

 private:
  Index size_;
  std::vector<std::uint32_t> reversed_;
  std::vector<double> cosines_;
  std::vector<double> sines_;
};

}  // namespace steelyard
