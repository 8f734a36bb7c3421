#include "client/cli/input_tensors.h"

#include <Eigen/Core>
#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/text_table.h"
#include "client/tensor_files/tensor_file.h"

namespace steelyard::cli {
namespace {

using tensor_files::ElementType;
using tensor_files::StoredTensor;
using tensor_files::TensorInfo;
using tensor_files::TensorSpec;

// Names, shapes and the like, beside the numbers.
constexpr int64_t kEnvelopeBytes = 4096;
constexpr int64_t kAskFromBytes = int64_t{1} << 20;
constexpr std::size_t kExtentsMax = 3;

template <class T>
client::TensorView TypedView(const StoredTensor& tensor) {
  const auto& shape = tensor.shape();
  const absl::Span<const T> numbers(
      reinterpret_cast<const T*>(tensor.bytes().data()),
      static_cast<std::size_t>(tensor.info().elements()));
  if (shape.size() == 1) return {numbers, {shape[0]}};
  if (shape.size() == 2) return {numbers, {shape[0], shape[1]}};
  return {numbers, {shape[0], shape[1], shape[2]}};
}

// OK when the numbers fit in one request of the server.
ExitCode CheckSize(const std::vector<std::string>& texts, int64_t bytes,
                   const ServerAccess& access, const Console& console) {
  if (bytes < kAskFromBytes) return ExitCode::kOk;
  client::CallOptions call = access.call;
  if (call.deadline && *call.deadline > client::Seconds(5.0)) {
    call.deadline = client::Seconds(5.0);
  }
  const auto info = access.client.GetServerInfo(call);
  if (!info.ok())
    return ReportCallError(info.status(), access.address, console);
  if (bytes + kEnvelopeBytes <= info->request_bytes_max) return ExitCode::kOk;
  return ReportError(
      ExitCode::kRefused,
      absl::StrCat(absl::StrJoin(texts, ", "), ": ", bytes, " bytes (",
                   BriefBytes(bytes), ") of numbers; ", access.address,
                   " takes requests of at most ", info->request_bytes_max,
                   " bytes (", BriefBytes(info->request_bytes_max),
                   "). Nothing was sent. Send fewer rows, as FILE[0:N], store "
                   "them as float16, raise the server's --request-bytes-max, "
                   "or, for 'solve', upload them: see 'steelyard help "
                   "matrices'"),
      console);
}

InputTensors Load(const std::vector<std::string>& texts,
                  const std::function<ExitCode(int64_t bytes)>& check,
                  const Console& console) {
  InputTensors inputs;
  std::vector<TensorSpec> specs;
  int64_t bytes = 0;
  const auto fail = [&](const absl::Status& status) {
    inputs.code =
        ReportError(ExitCode::kFile, std::string(status.message()), console);
    return std::move(inputs);
  };
  for (const std::string& text : texts) {
    absl::StatusOr<TensorSpec> spec = tensor_files::ParseTensorSpec(text);
    if (!spec.ok()) return fail(spec.status());
    const absl::StatusOr<TensorInfo> info = tensor_files::Describe(*spec);
    if (!info.ok()) return fail(info.status());
    if (info->shape.size() > kExtentsMax) {
      return fail(absl::InvalidArgumentError(
          absl::StrCat(text, ": ", info->text(),
                       " has more than 3 axes; choose some, as FILE[0]")));
    }
    bytes += info->bytes();
    specs.push_back(*std::move(spec));
  }
  inputs.code = check(bytes);
  if (inputs.code != ExitCode::kOk) return inputs;
  for (const TensorSpec& spec : specs) {
    absl::StatusOr<StoredTensor> tensor = tensor_files::Load(spec);
    if (!tensor.ok()) return fail(tensor.status());
    inputs.tensors.push_back(*std::move(tensor));
  }
  return inputs;
}

}  // namespace

InputTensors LoadInputs(const std::vector<std::string>& texts,
                        const ServerAccess& access, const Console& console,
                        int64_t bytes_beside) {
  return Load(
      texts,
      [&](int64_t bytes) {
        return CheckSize(texts, bytes + bytes_beside, access, console);
      },
      console);
}

InputTensors LoadFiles(const std::vector<std::string>& texts,
                       const Console& console) {
  return Load(
      texts, [](int64_t) { return ExitCode::kOk; }, console);
}

client::TensorView ViewOf(const StoredTensor& tensor) {
  switch (tensor.type()) {
    case ElementType::kFloat32:
      return TypedView<float>(tensor);
    case ElementType::kFloat16:
      return TypedView<Eigen::half>(tensor);
    case ElementType::kBfloat16:
      return TypedView<Eigen::bfloat16>(tensor);
    case ElementType::kFloat64:
    case ElementType::kInt64:  // Never read from a file.
      break;
  }
  return TypedView<double>(tensor);
}

}  // namespace steelyard::cli
