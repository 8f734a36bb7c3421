#include "preconditioner/power_sketch.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>
#include <utility>

namespace steelyard {
namespace {

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

// The inner dimension: of transforms.
Index OrderOf(const PowerSketchPlan& plan) {
  return static_cast<Index>(
      std::bit_ceil(static_cast<std::uint64_t>(plan.columns)));
}

// out[to[i]] += sign[i] x[i].
struct SignedMap {
  std::vector<std::uint32_t> to;
  std::vector<double> sign;

  void Add(const double* x, double factor, double* out) const {
    for (std::size_t i = 0; i < to.size(); ++i) {
      out[to[i]] += factor * sign[i] * x[i];
    }
  }
};

// Random targets: CountSketch.
SignedMap DrawCountSketch(Index from, Index to, const RandomStream& random) {
  SignedMap map;
  for (Index i = 0; i < from; ++i) {
    const RandomBits bits = random.BitPair(static_cast<std::uint64_t>(i));
    map.to.push_back(static_cast<std::uint32_t>(
        bits.first % static_cast<std::uint64_t>(to)));
    map.sign.push_back((bits.second & 1) != 0 ? 1.0 : -1.0);
  }
  return map;
}

// Random signs are enough for E <Sx, Sy> = <x, y>: targets as even as can be.
SignedMap DrawFold(Index from, Index to, const RandomStream& random) {
  SignedMap map;
  for (Index i = 0; i < from; ++i) {
    map.to.push_back(static_cast<std::uint32_t>(i % to));
    map.sign.push_back(random.Sign(static_cast<std::uint64_t>(i)));
  }
  return map;
}

class TensorSketch : public PowerSketch {
 public:
  explicit TensorSketch(const PowerSketchPlan& plan)
      : plan_(plan), order_(OrderOf(plan)), transform_(order_) {
    for (int t = 1; t <= plan.degree; ++t) {
      factors_.push_back(DrawCountSketch(
          plan.dimension, order_,
          {.seed = {plan.seed}, .stream = static_cast<std::uint64_t>(t)}));
    }
    fold_ = DrawFold(order_, plan.columns, {.seed = {plan.seed}, .stream = 0});
  }

  void Add(const double* x, const std::vector<double>& coefficients,
           double* out, std::vector<double>& scratch) const override {
    const std::size_t m = At(order_);
    scratch.assign(6 * m, 0.0);
    double* const re = scratch.data();
    double* const im = re + m;
    double* const product_re = im + m;
    double* const product_im = product_re + m;
    double* const sum_re = product_im + m;
    double* const sum_im = sum_re + m;
    std::fill(product_re, product_re + m, 1.0);
    for (int l = 1; l <= plan_.degree; ++l) {
      // product_l = product_{l-1} F(C_l x)
      std::fill(re, re + 2 * m, 0.0);
      factors_[At(l - 1)].Add(x, 1.0, re);
      transform_.Run(re, im, false);
      const double c = coefficients[At(l)];
      for (std::size_t i = 0; i < m; ++i) {
        const double real = product_re[i] * re[i] - product_im[i] * im[i];
        const double imaginary = product_re[i] * im[i] + product_im[i] * re[i];
        product_re[i] = real;
        product_im[i] = imaginary;
        sum_re[i] += c * real;
        sum_im[i] += c * imaginary;
      }
    }
    transform_.Run(sum_re, sum_im, true);
    fold_.Add(sum_re, 1.0 / static_cast<double>(order_), out);
  }

 private:
  PowerSketchPlan plan_;
  Index order_;
  FourierTransform transform_;
  std::vector<SignedMap> factors_;
  SignedMap fold_;
};

// S (u (x) v)_t = (H D u)_{i_t} (H D' v)_{j_t} / sqrt(m).
class TensorNode {
 public:
  TensorNode(Index order, const RandomStream& random) : order_(order) {
    const auto mask = static_cast<std::uint64_t>(order - 1);
    for (Index t = 0; t < order; ++t) {
      const RandomBits bits = random.BitPair(static_cast<std::uint64_t>(t));
      left_.push_back(static_cast<std::uint32_t>(bits.first & mask));
      right_.push_back(static_cast<std::uint32_t>(bits.second & mask));
      left_sign_.push_back(bits.first >> 63 != 0 ? 1.0 : -1.0);
      right_sign_.push_back(bits.second >> 63 != 0 ? 1.0 : -1.0);
    }
  }

  // v := S (u (x) v); scratch of 2 m.
  void Join(const double* u, double* v, double* scratch) const {
    const std::size_t m = At(order_);
    for (std::size_t i = 0; i < m; ++i) {
      scratch[i] = left_sign_[i] * u[i];
      scratch[m + i] = right_sign_[i] * v[i];
    }
    HadamardTransform(scratch, order_);
    HadamardTransform(scratch + m, order_);
    const double factor = 1.0 / std::sqrt(static_cast<double>(order_));
    for (std::size_t t = 0; t < m; ++t) {
      v[t] = factor * scratch[left_[t]] * scratch[m + right_[t]];
    }
  }

 private:
  Index order_;
  std::vector<std::uint32_t> left_;
  std::vector<std::uint32_t> right_;
  std::vector<double> left_sign_;
  std::vector<double> right_sign_;
};

class TreeSketch : public PowerSketch {
 public:
  explicit TreeSketch(const PowerSketchPlan& plan)
      : plan_(plan), order_(OrderOf(plan)) {
    std::uint64_t stream = 0;
    const auto next = [&]() -> RandomStream {
      return {.seed = {plan.seed}, .stream = ++stream};
    };
    for (int l = 1; l <= plan.degree; ++l) {
      // Leaves that fit stay as they are.
      leaves_.push_back(plan.dimension > order_
                            ? DrawCountSketch(plan.dimension, order_, next())
                            : SignedMap{});
      nodes_.emplace_back();
      const int joins = std::countr_zero(static_cast<unsigned>(l)) +
                        (std::has_single_bit(static_cast<unsigned>(l)) ? 0 : 1);
      for (int j = 0; j < joins; ++j) {
        nodes_.back().emplace_back(order_, next());
      }
      folds_.push_back(DrawFold(order_, plan.columns, next()));
    }
  }

  void Add(const double* x, const std::vector<double>& coefficients,
           double* out, std::vector<double>& scratch) const override {
    const std::size_t m = At(order_);
    // Blocks by height, prefixes by the number of their blocks.
    const std::size_t kinds =
        At(std::bit_width(static_cast<unsigned>(plan_.degree))) + 1;
    scratch.resize((2 * kinds + 3) * m);
    double* const blocks = scratch.data();
    double* const prefixes = blocks + kinds * m;
    double* const v = prefixes + kinds * m;
    double* const work = v + m;
    for (int l = 1; l <= plan_.degree; ++l) {
      const auto bits = static_cast<unsigned>(l);
      const std::size_t at = At(l - 1);
      FillLeaf(leaves_[at], x, v);
      // The block of 2^h leaves that ends at l.
      const int height = std::countr_zero(bits);
      for (int h = 0; h < height; ++h) {
        nodes_[at][At(h)].Join(blocks + At(h) * m, v, work);
      }
      std::copy(v, v + m, blocks + At(height) * m);
      // Level l: level l - 2^h, and the block.
      const std::size_t count = At(std::popcount(bits));
      if (count > 1)
        nodes_[at].back().Join(prefixes + (count - 1) * m, v, work);
      std::copy(v, v + m, prefixes + count * m);
      if (coefficients[At(l)] != 0.0) {
        folds_[at].Add(v, coefficients[At(l)], out);
      }
    }
  }

 private:
  void FillLeaf(const SignedMap& leaf, const double* x, double* v) const {
    std::fill(v, v + order_, 0.0);
    if (leaf.to.empty()) {
      std::copy(x, x + plan_.dimension, v);
    } else {
      leaf.Add(x, 1.0, v);
    }
  }

  PowerSketchPlan plan_;
  Index order_;
  std::vector<SignedMap> leaves_;
  std::vector<std::vector<TensorNode>> nodes_;
  std::vector<SignedMap> folds_;
};

}  // namespace

std::unique_ptr<PowerSketch> DrawPowerSketch(const PowerSketchPlan& plan) {
  if (plan.kind == PowerSketchKind::kTensorSketch) {
    return std::make_unique<TensorSketch>(plan);
  }
  return std::make_unique<TreeSketch>(plan);
}

double FlopsOf(const PowerSketchPlan& plan) {
  const auto m = static_cast<double>(OrderOf(plan));
  const double log_m = std::max(1.0, std::log2(m));
  const double p = plan.degree;
  const double leaves = 2.0 * p * static_cast<double>(plan.dimension);
  if (plan.kind == PowerSketchKind::kTensorSketch) {
    return leaves + (p + 1.0) * 5.0 * m * log_m + 10.0 * p * m;
  }
  double joins = 0.0;
  for (int l = 1; l <= plan.degree; ++l) {
    joins += std::countr_zero(static_cast<unsigned>(l));
    if (!std::has_single_bit(static_cast<unsigned>(l))) joins += 1.0;
  }
  return leaves + joins * (2.0 * m * log_m + 4.0 * m) + 4.0 * p * m;
}

double VarianceOf(const PowerSketchPlan& plan,
                  const std::vector<double>& energies) {
  const auto m = static_cast<double>(OrderOf(plan));
  double sum = 0.0;
  for (int l = 1; l <= plan.degree; ++l) {
    const double variance =
        plan.kind == PowerSketchKind::kTensorSketch
            ? (std::pow(3.0, l) - 1.0) / m
            : std::pow(1.0 + 8.0 / m, l - 1) - 1.0 + 1.0 / m;
    sum += energies[At(l)] * energies[At(l)] * variance;
  }
  return sum;
}

PowerSketchKind CheaperKind(PowerSketchPlan plan,
                            const std::vector<double>& energies) {
  plan.kind = PowerSketchKind::kTree;
  const double tree = FlopsOf(plan) * VarianceOf(plan, energies);
  plan.kind = PowerSketchKind::kTensorSketch;
  const double convolution = FlopsOf(plan) * VarianceOf(plan, energies);
  return convolution < tree ? PowerSketchKind::kTensorSketch
                            : PowerSketchKind::kTree;
}

void HadamardTransform(double* y, Index size) {
  for (Index half = 1; half < size; half *= 2) {
    for (Index first = 0; first < size; first += 2 * half) {
      for (Index i = first; i < first + half; ++i) {
        const double sum = y[i] + y[i + half];
        y[i + half] = y[i] - y[i + half];
        y[i] = sum;
      }
    }
  }
}

FourierTransform::FourierTransform(Index size)
    : size_(size),
      reversed_(At(size)),
      cosines_(At(size / 2)),
      sines_(At(size / 2)) {
  for (Index i = 1; i < size; ++i) {
    reversed_[At(i)] = reversed_[At(i / 2)] / 2 +
                       (i % 2 != 0 ? static_cast<std::uint32_t>(size / 2) : 0u);
  }
  for (Index i = 0; i < size / 2; ++i) {
    const double angle = 2.0 * std::numbers::pi * static_cast<double>(i) /
                         static_cast<double>(size);
    cosines_[At(i)] = std::cos(angle);
    sines_[At(i)] = std::sin(angle);
  }
}

void FourierTransform::Run(double* re, double* im, bool backwards) const {
  for (Index i = 0; i < size_; ++i) {
    const auto j = static_cast<Index>(reversed_[At(i)]);
    if (i >= j) continue;
    std::swap(re[i], re[j]);
    std::swap(im[i], im[j]);
  }
  const double sign = backwards ? 1.0 : -1.0;
  for (Index half = 1; half < size_; half *= 2) {
    const Index step = size_ / (2 * half);
    for (Index first = 0; first < size_; first += 2 * half) {
      for (Index i = 0; i < half; ++i) {
        const double c = cosines_[At(i * step)];
        const double s = sign * sines_[At(i * step)];
        double* const a_re = re + first + i;
        double* const a_im = im + first + i;
        const double b_re = a_re[half] * c - a_im[half] * s;
        const double b_im = a_re[half] * s + a_im[half] * c;
        a_re[half] = *a_re - b_re;
        a_im[half] = *a_im - b_im;
        *a_re += b_re;
        *a_im += b_im;
      }
    }
  }
}

}  // namespace steelyard
