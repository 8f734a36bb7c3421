// Where a matrix of a call comes from: sent with it, or stored by the server.
//
//     client.Solve(a, b, GramPower{2});                       // Eigen matrices
//     client.Solve(CsrView(sparse), b, LeftGramPower{});
//     client.Solve(StoredMatrix("flights"), b, LeftGramPower{});
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <variant>

#include "steelyard/client/csr_view.h"
#include "steelyard/client/tensor_view.h"

namespace steelyard::client {

// What UploadMatrix has stored (matrices.h).
struct StoredMatrix {
  // "matrices/{id}", or the id alone.
  explicit StoredMatrix(std::string matrix_name)
      : name(std::move(matrix_name)) {}

  std::string name;
};

// A dense matrix: everything that converts to a TensorView does to this.
class DenseSource {
 public:
  template <std::convertible_to<TensorView> Dense>
  DenseSource(const Dense& dense)  // NOLINT: implicit
      : source_(TensorView(dense)) {}
  template <ScalarRange Range>
  DenseSource(const Range& numbers, std::initializer_list<std::int64_t> shape)
      : source_(TensorView(numbers, shape)) {}
  DenseSource(StoredMatrix stored)  // NOLINT: implicit
      : source_(std::move(stored)) {}

  // nullptr: the other one.
  const TensorView* dense() const { return std::get_if<TensorView>(&source_); }
  const StoredMatrix* stored() const {
    return std::get_if<StoredMatrix>(&source_);
  }

 private:
  std::variant<TensorView, StoredMatrix> source_;
};

// The same, or a sparse one.
class MatrixSource {
 public:
  template <std::convertible_to<TensorView> Dense>
  MatrixSource(const Dense& dense)  // NOLINT: implicit
      : source_(TensorView(dense)) {}
  template <ScalarRange Range>
  MatrixSource(const Range& numbers, std::initializer_list<std::int64_t> shape)
      : source_(TensorView(numbers, shape)) {}
  MatrixSource(CsrView csr) : source_(csr) {}  // NOLINT: implicit
  MatrixSource(StoredMatrix stored)            // NOLINT: implicit
      : source_(std::move(stored)) {}

  // nullptr: another one.
  const TensorView* dense() const { return std::get_if<TensorView>(&source_); }
  const CsrView* csr() const { return std::get_if<CsrView>(&source_); }
  const StoredMatrix* stored() const {
    return std::get_if<StoredMatrix>(&source_);
  }

 private:
  std::variant<TensorView, CsrView, StoredMatrix> source_;
};

}  // namespace steelyard::client
