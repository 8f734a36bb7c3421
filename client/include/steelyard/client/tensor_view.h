// The numbers a call reads: memory of the caller, in any of four types.
//
// Every call takes its matrices as a TensorView, and everything that holds
// numbers converts to one:
//
//     Eigen::MatrixXf keys = ...;            // column-major: any stride will
//     do client.FindUniversalSet(keys, {.epsilon = 0.1});
//
//     std::vector<Eigen::half> cache = ...;  // 12 heads of 512 keys of 32
//     client.FindUniversalSet({cache, {12, 512, 32}}, {.epsilon = 0.1});
//
//     // The same heads, stacked in one matrix of 6144 rows.
//     client.FindUniversalSet(TensorView(stacked).AsHeads(12), ...);
//
// A view owns nothing: the memory must stay until the call returns.
#pragma once

#include <Eigen/Core>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <ranges>

namespace steelyard::client {

// How the numbers are stored. They are taken as exact: the type says nothing
// about how accurately the server computes.
enum class ScalarType { kFloat64, kFloat32, kFloat16, kBFloat16 };

// Of one number: 8, 4 or 2.
constexpr std::int64_t BytesOf(ScalarType type) {
  return type == ScalarType::kFloat64   ? 8
         : type == ScalarType::kFloat32 ? 4
                                        : 2;
}

template <typename T>
concept TensorScalar = std::same_as<T, double> || std::same_as<T, float> ||
    std::same_as<T, Eigen::half> || std::same_as<T, Eigen::bfloat16>;

template <TensorScalar T>
inline constexpr ScalarType kScalarTypeOf =
    std::same_as<T, double>        ? ScalarType::kFloat64
    : std::same_as<T, float>       ? ScalarType::kFloat32
    : std::same_as<T, Eigen::half> ? ScalarType::kFloat16
                                   : ScalarType::kBFloat16;

// A matrix, map, block, Ref or transpose of Eigen that lies in memory. An
// expression such as A * B does not: evaluate it into a matrix first.
template <typename Derived>
concept DirectEigenMatrix = TensorScalar<typename Derived::Scalar> &&
    requires(const Derived& matrix) {
  { matrix.data() } -> std::convertible_to<const typename Derived::Scalar*>;
  { matrix.rowStride() } -> std::convertible_to<Eigen::Index>;
  { matrix.colStride() } -> std::convertible_to<Eigen::Index>;
};

// A vector, array or span.
template <typename Range>
concept ScalarRange = std::ranges::contiguous_range<const Range> &&
    TensorScalar<std::ranges::range_value_t<Range>>;

// 1 to 3 extents: a vector of n, a matrix n x d, or heads H x n x d.
class TensorView {
 public:
  // n x d, or a vector of n where Eigen knows at compile time that it is one.
  // Either storage order.
  template <DirectEigenMatrix Derived>
  TensorView(const Eigen::DenseBase<Derived>& matrix)  // NOLINT: implicit
      : data_(matrix.derived().data()),
        type_(kScalarTypeOf<typename Derived::Scalar>),
        available_(matrix.size()) {
    const Derived& m = matrix.derived();
    if constexpr (bool(Derived::IsVectorAtCompileTime)) {
      Append(m.size(), m.innerStride());
    } else {
      Append(m.rows(), m.rowStride());
      Append(m.cols(), m.colStride());
    }
  }

  // Row-major numbers of the given shape. A shape that `numbers` do not fill
  // exactly, or with other than 1 to 3 extents, makes the call that reads the
  // view fail with INVALID_ARGUMENT.
  template <ScalarRange Range>
  TensorView(const Range& numbers, std::initializer_list<std::int64_t> shape)
      : data_(std::ranges::data(numbers)),
        type_(kScalarTypeOf<std::ranges::range_value_t<Range>>),
        available_(static_cast<std::int64_t>(std::ranges::size(numbers))) {
    for (const std::int64_t extent : shape) Append(extent, 0);
    SetRowMajorStrides();
  }

  // (H n) x d read as H x n x d: head h is rows h n to (h + 1) n - 1. `heads`
  // that do not divide the rows make the call fail, as above.
  TensorView AsHeads(std::int64_t heads) const;

  // Rows [first, first + count) of a matrix, or of each of H x n x d. A range
  // outside makes the call fail, as above.
  TensorView Rows(std::int64_t first, std::int64_t count) const;

  // Head `head` of H x n x d, n x d.
  TensorView Head(std::int64_t head) const;

  const void* data() const { return data_; }
  ScalarType type() const { return type_; }
  // Extents; above 3 there is no such tensor, and only the first 3 are kept.
  int rank() const { return rank_; }
  std::int64_t extent(int axis) const { return extents_[std::size_t(axis)]; }
  // Distance of neighbours along the axis, in numbers.
  std::int64_t stride(int axis) const { return strides_[std::size_t(axis)]; }
  // How many numbers there are, whatever the shape says.
  std::int64_t available() const { return available_; }

 private:
  static constexpr int kRankMax = 3;

  void Append(std::int64_t extent, std::int64_t stride);
  void Move(std::int64_t numbers);
  // The numbers fill the shape.
  bool Filled() const;
  void SetRowMajorStrides();

  const void* data_;
  ScalarType type_;
  std::int64_t available_;
  int rank_ = 0;
  std::array<std::int64_t, kRankMax> extents_{};
  std::array<std::int64_t, kRankMax> strides_{};
};

}  // namespace steelyard::client
