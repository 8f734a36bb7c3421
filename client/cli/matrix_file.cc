#include "client/cli/matrix_file.h"

#include <span>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/cli/set_options.h"
#include "client/tensor_files/tensor_spec.h"

namespace steelyard::cli {
namespace {

using tensor_files::ElementType;
using tensor_files::StoredCsr;

constexpr std::size_t kExtentsMax = 3;

template <typename T>
client::CsrView TypedView(const StoredCsr& matrix) {
  return client::CsrView(
      matrix.rows, matrix.columns, matrix.row_offsets, matrix.column_indices,
      std::span<const T>(reinterpret_cast<const T*>(matrix.values.data()),
                         matrix.column_indices.size()));
}

const char* NameOf(client::ScalarType type) {
  switch (type) {
    case client::ScalarType::kFloat64:
      return "float64";
    case client::ScalarType::kFloat32:
      return "float32";
    case client::ScalarType::kFloat16:
      return "float16";
    case client::ScalarType::kBFloat16:
      break;
  }
  return "bfloat16";
}

}  // namespace

client::ScalarType ScalarTypeOf(ElementType type) {
  switch (type) {
    case ElementType::kFloat32:
      return client::ScalarType::kFloat32;
    case ElementType::kFloat16:
      return client::ScalarType::kFloat16;
    case ElementType::kBfloat16:
      return client::ScalarType::kBFloat16;
    case ElementType::kFloat64:
    case ElementType::kInt64:  // Never read from a file.
      break;
  }
  return client::ScalarType::kFloat64;
}

client::CsrView ViewOf(const StoredCsr& matrix) {
  switch (matrix.type) {
    case ElementType::kFloat32:
      return TypedView<float>(matrix);
    case ElementType::kFloat16:
      return TypedView<Eigen::half>(matrix);
    default:
      return TypedView<double>(matrix);
  }
}

absl::StatusOr<MatrixFile> MatrixFile::Open(const std::string& text) {
  MatrixFile file;
  if (tensor_files::IsSparseFile(text)) {
    absl::StatusOr<StoredCsr> sparse = tensor_files::LoadCsr(text);
    if (!sparse.ok()) return sparse.status();
    file.sparse_ = *std::move(sparse);
    return file;
  }
  const auto spec = tensor_files::ParseTensorSpec(text);
  if (!spec.ok()) return spec.status();
  auto dense = tensor_files::TensorReader::Open(*spec);
  if (!dense.ok()) return dense.status();
  if (dense->info().shape.size() > kExtentsMax) {
    return absl::InvalidArgumentError(
        absl::StrCat(text, ": ", dense->info().text(),
                     " has more than 3 axes; choose some, as FILE[0]"));
  }
  file.dense_ = *std::move(dense);
  return file;
}

absl::StatusOr<client::UploadedMatrix> MatrixFile::Upload(
    const client::Client& client, const std::string& name,
    const client::UploadOptions& options,
    const client::CallOptions& call) const {
  if (sparse_) {
    return client.UploadMatrix(name, ViewOf(*sparse_), options, call);
  }
  client::DenseLayout layout{.type = ScalarTypeOf(dense_->info().type),
                             .shape = dense_->info().shape};
  if (layout.shape.size() == 1) layout.shape.push_back(1);
  const client::MatrixFeed feed{
      .layout = std::move(layout),
      .read = [this](std::int64_t offset, std::span<char> out) {
        return dense_->Read(offset, absl::MakeSpan(out.data(), out.size()));
      }};
  return client.UploadMatrix(name, feed, options, call);
}

std::string LayoutText(const client::MatrixLayout& layout) {
  if (const auto* dense = std::get_if<client::DenseLayout>(&layout)) {
    return absl::StrCat(NameOf(dense->type), " ",
                        tensor_files::ShapeText(dense->shape));
  }
  const auto& csr = std::get<client::CsrLayout>(layout);
  return absl::StrCat(NameOf(csr.type), " CSR ",
                      tensor_files::ShapeText({csr.rows, csr.columns}), ", ",
                      csr.nonzeros, " entries");
}

bool IsMatrixName(const std::string& text) {
  const std::string id(absl::StripPrefix(text, "matrices/"));
  return IsSetName(id) && id.find('/') == std::string::npos;
}

}  // namespace steelyard::cli
