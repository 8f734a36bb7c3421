// .npz files, right and wrong ones, as scipy.sparse.save_npz lays them out.
#pragma once

#include <zip.h>

#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "tests/client/tensor_files/scratch_file.h"

namespace steelyard::test {

// A .npy file, version 1.
inline std::string NpyOf(const std::string& descr, const std::string& shape,
                         const std::string& data) {
  return NpyBytes(1,
                  "{'descr': '" + descr +
                      "', 'fortran_order': False, 'shape': " + shape + ", }\n",
                  data);
}

template <typename T>
std::string NpyVector(const std::string& descr, const std::vector<T>& numbers) {
  return NpyOf(descr, "(" + std::to_string(numbers.size()) + ",)",
               {reinterpret_cast<const char*>(numbers.data()),
                sizeof(T) * numbers.size()});
}

// The members of a CSR matrix, deflated, by name.
struct NpzFile {
  std::map<std::string, std::string> members;

  // Of float64.
  static NpzFile Csr(std::int64_t rows, std::int64_t columns,
                     const std::vector<std::int32_t>& offsets,
                     const std::vector<std::int32_t>& indices,
                     const std::vector<double>& values) {
    return {{{"format.npy", NpyOf("|S3", "()", "csr")},
             {"shape.npy", NpyVector<std::int64_t>("<i8", {rows, columns})},
             {"indptr.npy", NpyVector("<i4", offsets)},
             {"indices.npy", NpyVector("<i4", indices)},
             {"data.npy", NpyVector("<f8", values)}}};
  }

  // The file must not be there.
  void Write(const std::string& path) const {
    int error = 0;
    zip_t* const archive =
        zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &error);
    if (archive == nullptr) std::abort();
    for (const auto& [name, bytes] : members) {
      zip_source_t* const source =
          zip_source_buffer(archive, bytes.data(), bytes.size(), 0);
      if (zip_file_add(archive, name.c_str(), source, ZIP_FL_OVERWRITE) < 0) {
        std::abort();
      }
    }
    if (zip_close(archive) != 0) std::abort();
  }
};

}  // namespace steelyard::test
