// Solve of attention kernels: fields out of range, fields that exclude each
// other.
#pragma once

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "tests/server/convert/malformed_requests_table.h"
#include "tests/server/convert/sparse_requests.h"
#include "tests/server/convert/valid_requests.h"

namespace steelyard::test {

using SolveMutation = std::function<void(v1::SolveRequest*)>;

inline RequestCase RefusedKernel(const std::string& name,
                                 const SolveMutation& mutate,
                                 const Refusal& refusal) {
  return Refused("kernel " + name, ValidKernelRequest(), mutate, refusal);
}

inline std::vector<RequestCase> KernelCases() {
  return {
      RefusedKernel("extended",
                    [](auto* request) { request->set_extended_output(true); },
                    {"CONFLICTING_FIELDS", "extended_output", "is true"}),
      RefusedKernel("Gram",
                    [](auto* request) { request->set_method(v1::METHOD_GRAM); },
                    {"CONFLICTING_FIELDS", "method", "is METHOD_GRAM"}),
      RefusedKernel("scale 0",
                    [](auto* request) {
                      request->mutable_attention_kernel()->set_scale(0.0);
                    },
                    {"FIELD_OUT_OF_RANGE", "attention_kernel.scale", "is 0"}),
      RefusedKernel("scale NaN",
                    [](auto* request) {
                      request->mutable_attention_kernel()->set_scale(
                          std::numeric_limits<double>::quiet_NaN());
                    },
                    {"FIELD_OUT_OF_RANGE", "attention_kernel.scale", "is nan"}),
      RefusedKernel("unknown normalization",
                    [](auto* request) {
                      request->mutable_attention_kernel()->set_normalization(
                          v1::KernelNormalization(4));
                    },
                    {"UNKNOWN_ENUM", "attention_kernel.normalization", "is 4"}),
      RefusedKernel("CSR",
                    [](auto* request) {
                      SetSparse(SparseNumbers(),
                                request->mutable_a()->mutable_csr());
                    },
                    {"CONFLICTING_FIELDS", "a.csr", "takes a dense matrix"}),
      RefusedKernel(
          "published sketch",
          [](auto* request) {
            request->set_method(v1::METHOD_SKETCH_PUBLISHED);
          },
          {"CONFLICTING_FIELDS", "method", "METHOD_BLOCK_COORDINATE or none"}),
      RefusedKernel("sketch", [](auto* request) { request->mutable_sketch(); },
                    {"CONFLICTING_FIELDS", "sketch", "gram_power"}),
      Refused("solve block coordinates of a power", ValidSolveRequest(),
              [](auto* request) {
                request->set_method(v1::METHOD_BLOCK_COORDINATE);
              },
              {"CONFLICTING_FIELDS", "method", "is METHOD_BLOCK_COORDINATE"}),
  };
}

// A method, a preconditioner and a rank beside each other. 0: unset.
inline std::vector<RequestCase> PreconditionerCases() {
  constexpr char kField[] = "attention_kernel.preconditioner";
  constexpr char kRank[] = "attention_kernel.preconditioner_rank";
  const auto with = [](v1::Method method, int preconditioner, int rank) {
    return [=](v1::SolveRequest* request) {
      request->set_method(method);
      v1::AttentionKernel* const kernel = request->mutable_attention_kernel();
      kernel->set_preconditioner(v1::Preconditioner(preconditioner));
      if (rank != 0) kernel->set_preconditioner_rank(rank);
    };
  };
  const auto iteration = [&](int preconditioner, int rank) {
    return with(v1::METHOD_UNSPECIFIED, preconditioner, rank);
  };
  constexpr int kIntMax = std::numeric_limits<int>::max();
  return {
      RefusedKernel("unknown preconditioner", iteration(5, 0),
                    {"UNKNOWN_ENUM", kField, "is 5"}),
      RefusedKernel("preconditioner -1", iteration(-1, 0),
                    {"UNKNOWN_ENUM", kField, "is -1"}),
      RefusedKernel("Cholesky with Jacobi", with(v1::METHOD_CHOLESKY, 2, 0),
                    {"CONFLICTING_FIELDS", kField,
                     "is PRECONDITIONER_JACOBI; METHOD_CHOLESKY takes none"}),
      RefusedKernel("Cholesky with none named", with(v1::METHOD_CHOLESKY, 1, 0),
                    {"CONFLICTING_FIELDS", kField, "takes none"}),
      RefusedKernel("Cholesky with a rank", with(v1::METHOD_CHOLESKY, 0, 3),
                    {"CONFLICTING_FIELDS", kRank, "is 3; a rank is of"}),
      RefusedKernel("rank of nothing", iteration(0, 4),
                    {"CONFLICTING_FIELDS", kRank, "is 4; a rank is of"}),
      RefusedKernel("rank of a diagonal", iteration(2, 4),
                    {"CONFLICTING_FIELDS", kRank, "PRECONDITIONER_RPCHOLESKY"}),
      RefusedKernel("rank -1", iteration(3, -1),
                    {"FIELD_OUT_OF_RANGE", kRank,
                     "is -1; it must be in [1, n], and a has 10 rows"}),
      RefusedKernel("rank above n", iteration(4, 11),
                    {"FIELD_OUT_OF_RANGE", kRank, "is 11; it must be in"}),
      RefusedKernel("rank 2^31-1", iteration(3, kIntMax),
                    {"FIELD_OUT_OF_RANGE", kRank, "2147483647"}),
      DecidedByCore(
          RefusedKernel("polynomial sketch out of its range",
                        [&](auto* request) {
                          with(v1::METHOD_CONJUGATE_GRADIENT, 4, 3)(request);
                          request->mutable_attention_kernel()->set_scale(1e3);
                        },
                        {"FIELD_OUT_OF_RANGE", kField, "30"})),
  };
}

inline std::vector<RequestCase> RowRidgeCases() {
  constexpr char kData[] = "attention_kernel.row_ridge.data";
  const auto of = [](std::vector<double> numbers) {
    return [numbers](v1::SolveRequest* request) {
      SetTensor({static_cast<std::int64_t>(numbers.size())}, numbers,
                request->mutable_attention_kernel()->mutable_row_ridge());
    };
  };
  const auto with = [&](double entry) {
    std::vector<double> numbers(10, 0.5);
    numbers[7] = entry;
    return of(numbers);
  };
  return {
      RefusedKernel("row_ridge of 9", of(std::vector<double>(9, 0.5)),
                    {"WRONG_SHAPE", "attention_kernel.row_ridge.shape[0]",
                     "is 9; a has 10 rows"}),
      RefusedKernel(
          "row_ridge as a matrix",
          [](auto* request) {
            SetPlainTensor(
                {10, 1},
                request->mutable_attention_kernel()->mutable_row_ridge());
          },
          {"WRONG_SHAPE", "attention_kernel.row_ridge.shape",
           "has 2 extents; 1 (rows) is required"}),
      RefusedKernel("row_ridge without numbers",
                    [](auto* request) {
                      request->mutable_attention_kernel()->mutable_row_ridge();
                    },
                    {"FIELD_REQUIRED", kData, "data and values"}),
      RefusedKernel(
          "row_ridge of integers",
          [&](auto* request) {
            of(std::vector<double>(10, 0.5))(request);
            request->mutable_attention_kernel()->mutable_row_ridge()->set_dtype(
                v1::DTYPE_INT64);
          },
          {"WRONG_DTYPE", "attention_kernel.row_ridge.dtype",
           "is DTYPE_INT64"}),
      RefusedKernel(
          "row_ridge beyond 2^63",
          [&](auto* request) {
            of(std::vector<double>(10, 0.5))(request);
            request->mutable_attention_kernel()->mutable_row_ridge()->set_shape(
                0, std::int64_t{1} << 61);
          },
          {"SHAPE_OVERFLOW", "attention_kernel.row_ridge.shape", "below 2^63"}),
      RefusedKernel(
          "NaN in row_ridge", with(std::numeric_limits<double>::quiet_NaN()),
          {"NOT_FINITE", kData, "attention_kernel.row_ridge[7,0] is nan"}),
      RefusedKernel("infinity in row_ridge",
                    with(std::numeric_limits<double>::infinity()),
                    {"NOT_FINITE", kData, "is inf"}),
      DecidedByCore(RefusedKernel(
          "row_ridge below 0", with(-1e-300),
          {"FIELD_OUT_OF_RANGE", kData, "it must be >= 0, and entry 7"})),
  };
}

}  // namespace steelyard::test
