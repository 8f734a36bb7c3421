#include "client/cli/predict_inputs.h"

#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/input_tensors.h"
#include "client/cli/matrix_file.h"
#include "client/tensor_files/tensor_file.h"

namespace steelyard::cli {
namespace {

using tensor_files::StoredTensor;

// What 'solve' writes beside an x that float64 cannot hold.
constexpr char kExponents[] = "x_exponents";

absl::StatusOr<std::vector<std::int32_t>> ExponentsBeside(
    const std::string& file, const StoredTensor& x) {
  std::vector<std::int32_t> exponents;
  const auto spec = tensor_files::ParseTensorSpec(file);
  if (!spec.ok()) return spec.status();
  if (spec->tensor != "x") return exponents;
  const auto numbers = tensor_files::LoadIntegers(*spec, kExponents);
  if (!numbers.ok()) return numbers.status();
  if (!numbers->has_value()) return exponents;
  const auto wrong = [&file](const std::string& rule) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ": ", kExponents, " ", rule));
  };
  if (!spec->slices.empty()) {
    return wrong("stands beside x: take all of it, without a slice");
  }
  if (!std::cmp_equal((*numbers)->size(), x.info().elements())) {
    return wrong(absl::StrCat("has ", (*numbers)->size(), " numbers and x ",
                              x.info().elements()));
  }
  for (const int64_t number : **numbers) {
    if (!std::in_range<std::int32_t>(number)) {
      return wrong("is outside of 32 bits");
    }
    exponents.push_back(static_cast<std::int32_t>(number));
  }
  return exponents;
}

}  // namespace

absl::StatusOr<PredictNames> PredictNamesOf(const Arguments& arguments) {
  PredictNames names;
  const struct {
    const char* flag;
    PredictName* name;
  } rows[] = {{"matrix", &names.a},
              {"x-matrix", &names.x},
              {"queries-matrix", &names.queries}};
  std::size_t needed = 0;
  for (const auto& row : rows) {
    row.name->stored = arguments.Text(row.flag);
    if (!row.name->stored) ++needed;
    if (row.name->stored && !IsMatrixName(*row.name->stored)) {
      return absl::InvalidArgumentError(
          absl::StrCat("--", row.flag, " is '", *row.name->stored,
                       "'; required is a-z, then a-z, 0-9 and -, at most 63"));
    }
  }
  const std::vector<std::string>& files = arguments.positionals();
  if (files.size() != needed) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'predict' takes A, X and QUERIES, each a file or a stored matrix "
        "(--matrix, --x-matrix, --queries-matrix): ",
        needed, needed == 1 ? " file" : " files", ", but ", files.size(),
        files.size() == 1 ? " was given" : " were given"));
  }
  if (needed < 3 && arguments.Has("verify")) {
    return absl::InvalidArgumentError(
        "--verify needs the numbers: give A, X and QUERIES as files");
  }
  std::size_t next = 0;
  for (const auto& row : rows) {
    if (!row.name->stored) row.name->file = files[next++];
  }
  return names;
}

PredictFiles LoadPredictFiles(const PredictNames& names,
                              const ServerAccess& access,
                              const Console& console) {
  PredictFiles files;
  files.names = names;
  std::vector<std::string> sent;
  for (const PredictName* name : {&names.a, &names.x, &names.queries}) {
    if (!name->stored) sent.push_back(name->file);
  }
  InputTensors tensors = LoadInputs(sent, access, console);
  files.code = tensors.code;
  if (files.code != ExitCode::kOk) return files;
  std::size_t next = 0;
  if (!names.a.stored) files.a = std::move(tensors.tensors[next++]);
  if (!names.x.stored) files.x = std::move(tensors.tensors[next++]);
  if (!names.queries.stored) files.queries = std::move(tensors.tensors[next]);
  if (!files.x) return files;
  auto exponents = ExponentsBeside(names.x.file, *files.x);
  if (!exponents.ok()) {
    files.code = ReportError(
        ExitCode::kFile, std::string(exponents.status().message()), console);
    return files;
  }
  files.x_exponents = *std::move(exponents);
  return files;
}

client::PredictInputs PredictFiles::inputs() const {
  const auto source = [](const PredictName& name,
                         const std::optional<StoredTensor>& tensor) {
    return name.stored ? client::DenseSource(client::StoredMatrix(*name.stored))
                       : client::DenseSource(ViewOf(*tensor));
  };
  return {.a = source(names.a, a),
          .x = source(names.x, x),
          .queries = source(names.queries, queries),
          .x_exponents = x_exponents};
}

}  // namespace steelyard::cli
