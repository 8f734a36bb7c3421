// Solve: sketches, terms and sparse matrices that are wrong.
#pragma once

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "tests/server/convert/malformed_requests_table.h"
#include "tests/server/convert/sparse_requests.h"
#include "tests/server/convert/valid_requests.h"

namespace steelyard::test {

inline std::vector<RequestCase> SketchOptionCases() {
  const auto sketched = [](const std::string& name, v1::SolveRequest request,
                           const auto& mutate, const Refusal& refusal) {
    request.mutable_sketch()->set_kind(v1::SKETCH_KIND_GAUSSIAN);
    return Refused("sketch " + name, request, mutate, refusal);
  };
  const auto of_method = [&](const std::string& name, v1::Method method) {
    return sketched("beside " + name, ValidSolveRequest(),
                    [method](auto* request) { request->set_method(method); },
                    {"CONFLICTING_FIELDS", "sketch", "is set beside METHOD_"});
  };
  const auto rows = [&](std::int64_t count) {
    return sketched(
        "of " + std::to_string(count) + " rows", ValidSolveRequest(),
        [count](auto* request) { request->mutable_sketch()->set_rows(count); },
        {"FIELD_OUT_OF_RANGE", "sketch.rows", "a is 10 x 3"});
  };
  return {
      of_method("Gram", v1::METHOD_GRAM),
      of_method("QR", v1::METHOD_QR),
      of_method("SVD", v1::METHOD_SVD),
      sketched("of the kernel", ValidKernelRequest(), [](auto*) {},
               {"CONFLICTING_FIELDS", "sketch", "is set"}),
      sketched("of the exponential", ValidSolveRequest(),
               [](auto* request) { request->mutable_matrix_exponential(); },
               {"CONFLICTING_FIELDS", "sketch", "is set"}),
      sketched("of an unknown kind", ValidSolveRequest(),
               [](auto* request) {
                 request->mutable_sketch()->set_kind(v1::SketchKind(5));
               },
               {"UNKNOWN_ENUM", "sketch.kind", "is 5"}),
      sketched("SRHT of a sparse matrix", ValidSparseRequest(),
               [](auto* request) {
                 request->mutable_sketch()->set_kind(v1::SKETCH_KIND_SRHT);
               },
               {"CONFLICTING_FIELDS", "sketch.kind", "a is CSR"}),
      rows(0),
      rows(2),
      rows(11),
      rows(-1),
  };
}

inline std::vector<RequestCase> MethodCases() {
  const auto wrong = [](const std::string& name, v1::SolveRequest request,
                        v1::Method method) {
    return Refused(name, request, [method](auto* r) { r->set_method(method); },
                   {"CONFLICTING_FIELDS", "method", "is METHOD_"});
  };
  v1::SolveRequest exponential = ValidSolveRequest();
  exponential.mutable_matrix_exponential();
  const auto terms = [](const std::string& name, v1::Method method, int count,
                        const Refusal& refusal) {
    return Refused(
        name, ValidSolveRequest(),
        [&](v1::SolveRequest* request) {
          request->set_method(method);
          request->mutable_matrix_exponential()->set_terms(count);
        },
        refusal);
  };
  const char* const field = "matrix_exponential.terms";
  return {
      wrong("method sketch of the kernel", ValidKernelRequest(),
            v1::METHOD_SKETCH),
      wrong("published sketch of the kernel", ValidKernelRequest(),
            v1::METHOD_SKETCH_PUBLISHED),
      wrong("series of the kernel", ValidKernelRequest(), v1::METHOD_SERIES),
      wrong("series of a power", ValidSolveRequest(), v1::METHOD_SERIES),
      wrong("method sketch of the exponential", exponential, v1::METHOD_SKETCH),
      terms("terms without a series", v1::METHOD_UNSPECIFIED, 3,
            {"CONFLICTING_FIELDS", field, "is 3"}),
      terms("terms of the SVD", v1::METHOD_SVD, 3,
            {"CONFLICTING_FIELDS", field, "is 3"}),
      terms("no terms", v1::METHOD_SERIES, 0,
            {"FIELD_OUT_OF_RANGE", field, "is 0"}),
      terms("negative terms", v1::METHOD_SERIES, -2,
            {"FIELD_OUT_OF_RANGE", field, "is -2"}),
  };
}

// `mutate` of the sparse matrix of a request.
template <typename Mutate>
RequestCase SparseRefused(const std::string& name, const Mutate& mutate,
                          const Refusal& refusal) {
  return Refused(
      "sparse " + name, ValidSparseRequest(),
      [&](auto* request) { mutate(request->mutable_a()->mutable_csr()); },
      refusal);
}

// Entry `at` of an array becomes `value`.
template <typename Number>
void Put(std::string* array, std::size_t at, Number value) {
  std::memcpy(array->data() + at * sizeof(value), &value, sizeof(value));
}

// What offsets and columns say.
inline std::vector<RequestCase> SparseStructureCases() {
  using Int = std::int32_t;
  using Long = std::int64_t;
  const auto offset = [](const std::string& name, std::size_t at, Long value,
                         const char* field) {
    return DecidedByCore(SparseRefused(
        name, [&](auto* m) { Put(m->mutable_row_offsets(), at, value); },
        {"WRONG_SHAPE", field, "a.csr.row_offsets"}));
  };
  const auto column = [](const std::string& name, std::size_t at, Int value,
                         const char* field) {
    return DecidedByCore(SparseRefused(
        name, [&](auto* m) { Put(m->mutable_column_indices(), at, value); },
        {"WRONG_SHAPE", field, "a.csr.column_indices"}));
  };
  return {
      offset("with offsets from 1", 0, 1, "a.csr.row_offsets[0]"),
      offset("with offsets that fall", 4, 1, "a.csr.row_offsets[4]"),
      offset("with offsets beyond the end", 10, 99, "a.csr.row_offsets[10]"),
      column("with a column beyond the last", 2, 3, "a.csr.column_indices[2]"),
      column("with a negative column", 0, -1, "a.csr.column_indices[0]"),
      column("with a column twice", 2, 0, "a.csr.column_indices[2]"),
  };
}

inline std::vector<RequestCase> SparseCases() {
  return {
      SparseRefused("without offsets", [](auto* m) { m->clear_row_offsets(); },
                    {"WRONG_SIZE", "a.csr.row_offsets", "has 0 bytes"}),
      SparseRefused("of 2^62 rows",
                    [](auto* m) { m->set_rows(std::int64_t{1} << 62); },
                    {"SHAPE_OVERFLOW", "a.csr.rows", "2^63"}),
      SparseRefused("of too many columns",
                    [](auto* m) { m->set_columns(8193); },
                    {"LIMIT_EXCEEDED", "a.csr.columns", "columns_max"}),
      SparseRefused("without a type", [](auto* m) { m->clear_dtype(); },
                    {"FIELD_REQUIRED", "a.csr.dtype", "is required"}),
      SparseRefused("of too few values",
                    [](auto* m) { m->mutable_values()->resize(8); },
                    {"WRONG_SIZE", "a.csr.values", "has 8 bytes"}),
      SparseRefused("with a NaN",
                    [&](auto* m) { Put(m->mutable_values(), 5, double{NAN}); },
                    {"NOT_FINITE", "a.csr.values", "nan"}),
      Refused("sparse a of the kernel", ValidKernelRequest(),
              [](auto* request) {
                SetSparse(SparseNumbers(), request->mutable_a()->mutable_csr());
              },
              {"CONFLICTING_FIELDS", "a.csr", "takes a dense matrix"}),
      Answered("sparse least squares", ValidSparseRequest(),
               [](auto* request) {
                 request->mutable_left_gram_power()->set_exponent(0);
                 SetPlainTensor({10}, request->mutable_b());
               }),
      Answered("sparse without entries", ValidSparseRequest(),
               [](auto* request) {
                 v1::CsrMatrix* const a = request->mutable_a()->mutable_csr();
                 a->set_row_offsets(std::string(11 * 8, '\0'));
                 a->clear_column_indices();
                 a->clear_values();
               }),
  };
}

inline std::vector<RequestCase> SketchCases() {
  std::vector<RequestCase> all;
  for (auto cases : {SketchOptionCases(), MethodCases(), SparseCases()}) {
    all.insert(all.end(), cases.begin(), cases.end());
  }
  return all;
}

}  // namespace steelyard::test
