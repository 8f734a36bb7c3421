#include "client/tensor_files/sparse_file.h"

#include <zip.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/tensor_files/file_layout.h"
#include "client/tensor_files/input_file.h"

namespace steelyard::tensor_files {
namespace {

// No byte of a deflated file unpacks to more (1032 : 1); a little for small
// ones. An archive that claims more lies about what is in it.
constexpr uint64_t kDeflateMost = 1032;
constexpr uint64_t kDeflateSlack = 4096;

struct CloseArchive {
  void operator()(zip_t* archive) const { zip_discard(archive); }
};
struct CloseMember {
  void operator()(zip_file_t* member) const { zip_fclose(member); }
};

absl::Status Malformed(const std::string& path, const std::string& rule) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", rule));
}

// One .npy file of the archive.
struct Member {
  std::string name;  // "a.npz: indptr.npy", for messages.
  NpyHeader header;
  std::string bytes;  // All of it.

  int64_t count() const {
    int64_t product = 1;
    for (const int64_t extent : header.shape) product *= extent;
    return product;
  }
  const char* data() const {
    return bytes.data() + static_cast<std::size_t>(header.data_offset);
  }
};

class Archive {
 public:
  static absl::StatusOr<Archive> Open(const std::string& path) {
    // For its errors, and to turn away what is no regular file.
    const absl::StatusOr<InputFile> file = InputFile::Open(path);
    if (!file.ok()) return file.status();
    int error = 0;
    std::unique_ptr<zip_t, CloseArchive> archive(
        zip_open(path.c_str(), ZIP_RDONLY | ZIP_CHECKCONS, &error));
    if (archive == nullptr) return Malformed(path, "not a .npz file");
    return Archive(path, std::move(archive));
  }

  absl::StatusOr<std::string> Bytes(const std::string& member) const {
    zip_stat_t facts;
    zip_stat_init(&facts);
    if (zip_stat(archive_.get(), member.c_str(), 0, &facts) != 0 ||
        (facts.valid & ZIP_STAT_SIZE) == 0 ||
        (facts.valid & ZIP_STAT_COMP_SIZE) == 0) {
      return Malformed(path_, absl::StrCat("no ", member,
                                           " in it; needed is what "
                                           "scipy.sparse.save_npz writes"));
    }
    if (facts.size > kDeflateSlack &&
        facts.size / kDeflateMost > facts.comp_size) {
      return Malformed(path_, absl::StrCat(member, " claims ", facts.size,
                                           " bytes, more than can be in it"));
    }
    std::string bytes;
    bytes.resize(facts.size);
    const std::unique_ptr<zip_file_t, CloseMember> opened(
        zip_fopen(archive_.get(), member.c_str(), 0));
    std::size_t read = 0;
    while (opened != nullptr && read < bytes.size()) {
      const zip_int64_t got =
          zip_fread(opened.get(), bytes.data() + read, bytes.size() - read);
      if (got <= 0) break;
      read += static_cast<std::size_t>(got);
    }
    // Past the end: only there is the archive's own checksum looked at.
    char past = 0;
    if (opened == nullptr || read < bytes.size() ||
        zip_fread(opened.get(), &past, 1) != 0) {
      return Malformed(path_, absl::StrCat(member, " is damaged"));
    }
    return bytes;
  }

  absl::StatusOr<Member> Read(const std::string& array) const {
    Member member;
    member.name = absl::StrCat(path_, ": ", array, ".npy");
    absl::StatusOr<std::string> bytes = Bytes(absl::StrCat(array, ".npy"));
    if (!bytes.ok()) return bytes.status();
    member.bytes = *std::move(bytes);
    absl::StatusOr<NpyHeader> header = ParseNpyHeader(
        member.name, member.bytes, static_cast<int64_t>(member.bytes.size()));
    if (!header.ok()) return header.status();
    member.header = *std::move(header);
    return member;
  }

 private:
  Archive(std::string path, std::unique_ptr<zip_t, CloseArchive> archive)
      : path_(std::move(path)), archive_(std::move(archive)) {}

  std::string path_;
  std::unique_ptr<zip_t, CloseArchive> archive_;
};

// The array has `axes` axes and as many bytes as its shape needs.
absl::Status CheckArray(const Member& member, std::size_t axes,
                        int64_t bytes_each) {
  const std::optional<int64_t> bytes =
      CheckedBytes(member.header.shape, 8 * bytes_each);
  const int64_t there =
      static_cast<int64_t>(member.bytes.size()) - member.header.data_offset;
  if (member.header.shape.size() == axes && bytes && *bytes == there) {
    return absl::OkStatus();
  }
  return Malformed(
      member.name,
      absl::StrCat("shape ", ShapeText(member.header.shape), " and ", there,
                   " bytes; needed is an array of ", axes, " axes"));
}

absl::StatusOr<std::vector<int64_t>> Integers(const Member& member) {
  const bool wide = member.header.descr == "<i8";
  if (!wide && member.header.descr != "<i4") {
    return Malformed(member.name, absl::StrCat("the element type is '",
                                               Printable(member.header.descr),
                                               "'; needed is '<i4' or '<i8'"));
  }
  absl::Status good = CheckArray(member, 1, wide ? 8 : 4);
  if (!good.ok()) return good;
  std::vector<int64_t> numbers(static_cast<std::size_t>(member.count()));
  if (wide) {
    std::memcpy(numbers.data(), member.data(), 8 * numbers.size());
    return numbers;
  }
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    int32_t number;
    std::memcpy(&number, member.data() + 4 * i, sizeof(number));
    numbers[i] = number;
  }
  return numbers;
}

// "csr", as bytes or as text of Python.
absl::Status CheckFormat(const std::string& path, const Member& member) {
  std::string format(member.data(),
                     member.bytes.size() -
                         static_cast<std::size_t>(member.header.data_offset));
  format.erase(std::remove(format.begin(), format.end(), '\0'), format.end());
  if (format == "csr") return absl::OkStatus();
  return Malformed(path, absl::StrCat("stored as '", Printable(format),
                                      "'; needed is CSR: save_npz(file, "
                                      "a.tocsr())"));
}

absl::Status TakeShape(const Archive& archive, const std::string& path,
                       StoredCsr* csr) {
  const absl::StatusOr<Member> member = archive.Read("shape");
  if (!member.ok()) return member.status();
  const absl::StatusOr<std::vector<int64_t>> shape = Integers(*member);
  if (!shape.ok()) return shape.status();
  if (shape->size() != 2 || (*shape)[0] < 1 || (*shape)[1] < 1 ||
      (*shape)[1] > std::numeric_limits<int32_t>::max()) {
    return Malformed(
        path, absl::StrCat("shape ", ShapeText(*shape), " is no matrix"));
  }
  csr->rows = (*shape)[0];
  csr->columns = (*shape)[1];
  return absl::OkStatus();
}

absl::Status TakeValues(const Archive& archive, StoredCsr* csr) {
  absl::StatusOr<Member> member = archive.Read("data");
  if (!member.ok()) return member.status();
  const std::string& descr = member->header.descr;
  if (descr == "<f8") {
    csr->type = ElementType::kFloat64;
  } else if (descr == "<f4") {
    csr->type = ElementType::kFloat32;
  } else if (descr == "<f2") {
    csr->type = ElementType::kFloat16;
  } else {
    return Malformed(member->name,
                     absl::StrCat("the element type is '", Printable(descr),
                                  "'; needed is '<f8', '<f4' or '<f2', for "
                                  "instance a.astype('<f8')"));
  }
  absl::Status good = CheckArray(*member, 1, BytesOf(csr->type));
  if (!good.ok()) return good;
  csr->values = std::move(member->bytes);
  csr->values.erase(0, static_cast<std::size_t>(member->header.data_offset));
  return absl::OkStatus();
}

absl::Status TakeIndices(const Archive& archive, const std::string& path,
                         StoredCsr* csr) {
  const absl::StatusOr<Member> member = archive.Read("indices");
  if (!member.ok()) return member.status();
  const absl::StatusOr<std::vector<int64_t>> indices = Integers(*member);
  if (!indices.ok()) return indices.status();
  csr->column_indices.reserve(indices->size());
  for (const int64_t index : *indices) {
    if (index < 0 || index >= csr->columns) {
      return Malformed(path,
                       absl::StrCat("indices has ", index, "; the matrix has ",
                                    csr->columns, " columns"));
    }
    csr->column_indices.push_back(static_cast<int32_t>(index));
  }
  return absl::OkStatus();
}

// The offsets cut the entries into rows, each ascending.
absl::Status CheckRows(const std::string& path, const StoredCsr& csr) {
  const int64_t entries = csr.nonzeros();
  const std::vector<int64_t>& offsets = csr.row_offsets;
  if (static_cast<int64_t>(offsets.size()) - 1 != csr.rows ||
      offsets.front() != 0 || offsets.back() != entries ||
      !std::is_sorted(offsets.begin(), offsets.end())) {
    return Malformed(path, absl::StrCat("indptr does not cut ", entries,
                                        " entries into ", csr.rows, " rows"));
  }
  if (static_cast<int64_t>(csr.values.size()) != entries * BytesOf(csr.type)) {
    return Malformed(path, "indices and data differ in length");
  }
  for (int64_t row = 0; row < csr.rows; ++row) {
    const auto begin =
        csr.column_indices.begin() + offsets[static_cast<std::size_t>(row)];
    const auto end =
        csr.column_indices.begin() + offsets[static_cast<std::size_t>(row) + 1];
    if (std::adjacent_find(begin, end, std::greater_equal<>()) != end) {
      return Malformed(path, absl::StrCat("row ", row,
                                          " is not in ascending order, or has "
                                          "an entry twice; save it after "
                                          "a.sum_duplicates()"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<StoredCsr> Load(const std::string& path) {
  const absl::StatusOr<Archive> archive = Archive::Open(path);
  if (!archive.ok()) return archive.status();
  const absl::StatusOr<Member> format = archive->Read("format");
  if (!format.ok()) return format.status();
  StoredCsr csr;
  absl::Status status = CheckFormat(path, *format);
  if (status.ok()) status = TakeShape(*archive, path, &csr);
  if (!status.ok()) return status;
  {
    const absl::StatusOr<Member> member = archive->Read("indptr");
    if (!member.ok()) return member.status();
    absl::StatusOr<std::vector<int64_t>> offsets = Integers(*member);
    if (!offsets.ok()) return offsets.status();
    csr.row_offsets = *std::move(offsets);
  }
  status = TakeIndices(*archive, path, &csr);
  if (status.ok()) status = TakeValues(*archive, &csr);
  if (status.ok()) status = CheckRows(path, csr);
  if (!status.ok()) return status;
  return csr;
}

}  // namespace

std::vector<double> StoredCsr::Doubles() const {
  std::vector<double> numbers(column_indices.size());
  if (numbers.empty()) return numbers;
  auto copy = std::make_unique<char[]>(values.size());
  std::memcpy(copy.get(), values.data(), values.size());
  return StoredTensor({.type = type, .shape = {nonzeros()}}, std::move(copy))
      .Doubles();
}

std::string StoredCsr::text() const {
  return absl::StrCat(NameOf(type), " ", ShapeText({rows, columns}), ", ",
                      nonzeros(), " entries");
}

bool IsSparseFile(const std::string& path) {
  return absl::EndsWith(path, ".npz");
}

absl::StatusOr<StoredCsr> LoadCsr(const std::string& path) {
  try {
    return Load(path);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(absl::StrCat(path, ": no memory"));
  }
}

}  // namespace steelyard::tensor_files
