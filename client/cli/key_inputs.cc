#include "client/cli/key_inputs.h"

#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "client/cli/input_tensors.h"
#include "client/cli/stored_name.h"

namespace steelyard::cli {
namespace {

std::vector<int64_t> ShapeOf(const client::MatrixLayout& layout) {
  if (const auto* dense = std::get_if<client::DenseLayout>(&layout)) {
    return dense->shape;
  }
  const auto& csr = std::get<client::CsrLayout>(layout);
  return {csr.rows, csr.columns};
}

// What is sent, then what is kept here for --verify.
ExitCode LoadFilesOf(const KeyNames& names, const ServerAccess& access,
                     const Console& console, KeyInputs* inputs) {
  std::vector<std::string> sent = names.beside;
  if (names.file && !names.stored) sent.insert(sent.begin(), *names.file);
  InputTensors loaded = LoadInputs(sent, access, console);
  if (loaded.code != ExitCode::kOk) return loaded.code;
  if (names.file && !names.stored) {
    inputs->keys = std::move(loaded.tensors.front());
    loaded.tensors.erase(loaded.tensors.begin());
  }
  inputs->beside = std::move(loaded.tensors);
  if (!names.file || !names.stored) return ExitCode::kOk;
  InputTensors kept = LoadFiles({*names.file}, console);
  if (kept.code == ExitCode::kOk) {
    inputs->keys = std::move(kept.tensors.front());
  }
  return kept.code;
}

absl::Status WrongFiles(bool stored, bool queries) {
  if (stored) {
    return absl::InvalidArgumentError(
        queries ? "'heavy' with --matrix takes QUERIES; KEYS before them are "
                  "read by --verify only, which needs them"
                : "'universal-set' with --matrix takes no file; KEYS are read "
                  "by --verify only, which needs them");
  }
  return absl::InvalidArgumentError(
      queries ? "'heavy' takes KEYS QUERIES, or QUERIES with --matrix=NAME or "
                "--set=NAME"
              : "'universal-set' takes KEYS, or --matrix=NAME");
}

}  // namespace

FlagSpec StoredKeysFlag() {
  return {.name = "matrix",
          .kind = FlagKind::kText,
          .value = "NAME",
          .help =
              "keys that the server has stored, instead of a file; see\n"
              "'steelyard help matrices'. With --verify also give KEYS"};
}

absl::StatusOr<KeyNames> KeyNamesOf(const Arguments& arguments, bool queries) {
  if (auto good = CheckMatrixName(arguments, "matrix"); !good.ok()) return good;
  KeyNames names{.stored = arguments.Text("matrix"),
                 .file = std::nullopt,
                 .beside = arguments.positionals()};
  const bool file = !names.stored || arguments.Has("verify");
  if (names.beside.size() != (queries ? 1U : 0U) + (file ? 1U : 0U)) {
    return WrongFiles(names.stored.has_value(), queries);
  }
  if (file) {
    names.file = std::move(names.beside.front());
    names.beside.erase(names.beside.begin());
  }
  return names;
}

KeyInputs LoadKeyInputs(const KeyNames& names, const ServerAccess& access,
                        const Console& console) {
  KeyInputs inputs;
  inputs.stored = names.stored;
  inputs.code = LoadFilesOf(names, access, console, &inputs);
  if (inputs.code != ExitCode::kOk) return inputs;
  if (!names.stored) {
    if (inputs.keys) inputs.shape = inputs.keys->shape();
    return inputs;
  }
  const auto info = access.client.GetMatrix(*names.stored, access.call);
  if (!info.ok()) {
    inputs.code = ReportCallError(info.status(), access.address, console);
    return inputs;
  }
  inputs.shape = ShapeOf(info->layout);
  if (inputs.keys) {
    inputs.code = CheckChecksum(*names.stored, *names.file,
                                client::ChecksumOf(ViewOf(*inputs.keys)),
                                access, console);
  }
  return inputs;
}

client::DenseSource KeyInputs::source() const {
  if (stored) return client::StoredMatrix(*stored);
  return ViewOf(*keys);
}

}  // namespace steelyard::cli
