#include "client/cli/solve_inputs.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/input_tensors.h"
#include "client/cli/matrix_file.h"
#include "client/cli/stored_name.h"

namespace steelyard::cli {
namespace {

using tensor_files::StoredCsr;
using tensor_files::StoredTensor;

ExitCode CheckStored(const SolveInputs& inputs, const ServerAccess& access,
                     const Console& console) {
  const SolveNames& names = inputs.names;
  if (names.a_stored && names.a_file) {
    const ExitCode code = CheckChecksum(
        *names.a_stored, *names.a_file,
        inputs.sparse_a ? client::ChecksumOf(ViewOf(*inputs.sparse_a))
                        : client::ChecksumOf(ViewOf(*inputs.a)),
        access, console);
    if (code != ExitCode::kOk) return code;
  }
  if (names.b_stored && names.b_file) {
    return CheckChecksum(*names.b_stored, *names.b_file,
                         client::ChecksumOf(ViewOf(*inputs.b)), access,
                         console);
  }
  return ExitCode::kOk;
}

// The numbers that travel with the request.
int64_t BytesSent(const StoredCsr& matrix) {
  return static_cast<int64_t>(8 * matrix.row_offsets.size() +
                              4 * matrix.column_indices.size() +
                              matrix.values.size());
}

// n numbers, in whatever type the file has.
ExitCode LoadRowRidge(const Console& console, SolveInputs* inputs) {
  const std::string& file = *inputs->names.row_ridge_file;
  const InputTensors loaded = LoadFiles({file}, console);
  if (loaded.code != ExitCode::kOk) return loaded.code;
  const StoredTensor& ridges = loaded.tensors[0];
  const int64_t n = ridges.shape()[0];
  if (ridges.info().elements() != n) {
    return ReportError(ExitCode::kFile,
                       absl::StrCat(file, ": ", ridges.info().text(),
                                    "; --row-ridge takes a vector"),
                       console);
  }
  inputs->row_ridge = ridges.Doubles();
  return ExitCode::kOk;
}

}  // namespace

absl::StatusOr<SolveNames> SolveNamesOf(const Arguments& arguments) {
  SolveNames names{.a_file = std::nullopt,
                   .b_file = std::nullopt,
                   .a_stored = arguments.Text("matrix"),
                   .b_stored = arguments.Text("b-matrix"),
                   .row_ridge_file = arguments.Text("row-ridge")};
  for (const char* flag : {"matrix", "b-matrix"}) {
    if (auto good = CheckMatrixName(arguments, flag); !good.ok()) return good;
  }
  const std::vector<std::string>& files = arguments.positionals();
  const std::size_t needed =
      (names.a_stored ? 0U : 1U) + (names.b_stored ? 0U : 1U);
  const bool stored = names.a_stored || names.b_stored;
  const bool verify = arguments.Has("verify");
  if (files.size() == 2) {
    if (stored && !verify) {
      return absl::InvalidArgumentError(
          "with --matrix or --b-matrix, the file of a stored matrix is read by "
          "--verify only: leave it out, or add --verify");
    }
    names.a_file = files[0];
    names.b_file = files[1];
    return names;
  }
  if (files.size() != needed) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'solve' takes A and B, each a file or a stored matrix (--matrix, "
        "--b-matrix); ",
        files.size(),
        files.size() == 1 ? " file was given" : " files were given",
        stored ? " beside what is stored" : ""));
  }
  if (verify && stored) {
    return absl::InvalidArgumentError(
        "--verify needs the numbers: give both files, A and B, beside "
        "--matrix or --b-matrix");
  }
  if (needed == 1) (names.a_stored ? names.b_file : names.a_file) = files[0];
  return names;
}

SolveInputs LoadSolveInputs(const SolveNames& names, const ServerAccess& access,
                            const Console& console) {
  SolveInputs inputs;
  inputs.names = names;
  if (names.row_ridge_file) {
    inputs.code = LoadRowRidge(console, &inputs);
    if (inputs.code != ExitCode::kOk) return inputs;
  }
  // Dense files that are sent count together.
  std::vector<std::string> sent;
  std::vector<std::string> kept;
  const bool sparse = names.a_file && tensor_files::IsSparseFile(*names.a_file);
  if (names.a_file && !sparse) {
    (names.a_stored ? kept : sent).push_back(*names.a_file);
  }
  if (names.b_file) (names.b_stored ? kept : sent).push_back(*names.b_file);
  auto bytes_beside = static_cast<int64_t>(8 * inputs.row_ridge.size());
  if (sparse) {
    absl::StatusOr<StoredCsr> matrix = tensor_files::LoadCsr(*names.a_file);
    if (!matrix.ok()) {
      inputs.code = ReportError(
          ExitCode::kFile, std::string(matrix.status().message()), console);
      return inputs;
    }
    inputs.sparse_a = *std::move(matrix);
    if (!names.a_stored) bytes_beside += BytesSent(*inputs.sparse_a);
  }
  InputTensors dense = LoadInputs(sent, access, console, bytes_beside);
  if (dense.code == ExitCode::kOk && !kept.empty()) {
    InputTensors more = LoadFiles(kept, console);
    dense.code = more.code;
    for (StoredTensor& tensor : more.tensors) {
      dense.tensors.push_back(std::move(tensor));
    }
    for (std::string& text : kept) sent.push_back(std::move(text));
  }
  inputs.code = dense.code;
  if (inputs.code != ExitCode::kOk) return inputs;
  for (std::size_t i = 0; i < sent.size(); ++i) {
    const bool is_a = !sparse && !inputs.a && names.a_file == sent[i];
    (is_a ? inputs.a : inputs.b) = std::move(dense.tensors[i]);
  }
  inputs.code = CheckStored(inputs, access, console);
  return inputs;
}

client::MatrixSource SolveInputs::a_source() const {
  if (names.a_stored) return client::StoredMatrix(*names.a_stored);
  if (sparse_a) return ViewOf(*sparse_a);
  return ViewOf(*a);
}

client::DenseSource SolveInputs::b_source() const {
  if (names.b_stored) return client::StoredMatrix(*names.b_stored);
  return ViewOf(*b);
}

}  // namespace steelyard::cli
