#include "client/tensor_files/sparse_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "tests/client/tensor_files/npz_file.h"
#include "tests/client/tensor_files/scratch_file.h"

namespace steelyard::tensor_files {
namespace {

using test::NpyOf;
using test::NpyVector;
using test::NpzFile;
using testing::ElementsAre;
using testing::HasSubstr;

// 3 x 4 with a row that is empty.
NpzFile Right() {
  return NpzFile::Csr(3, 4, {0, 2, 2, 3}, {1, 3, 0}, {1.5, -2.0, 0.25});
}

// The error for the file that `change` makes of the right one.
std::string ErrorOf(const std::function<void(NpzFile*)>& change) {
  NpzFile file = Right();
  change(&file);
  const test::ScratchFile scratch(".npz");
  file.Write(scratch.path());
  const auto csr = LoadCsr(scratch.path());
  EXPECT_FALSE(csr.ok());
  EXPECT_TRUE(absl::IsInvalidArgument(csr.status())) << csr.status();
  EXPECT_THAT(std::string(csr.status().message()),
              testing::StartsWith(scratch.path()));
  return std::string(csr.status().message());
}

TEST(SparseFileTest, WhatSciPyWritesIsRead) {
  const test::ScratchFile scratch(".npz");
  Right().Write(scratch.path());
  const auto csr = LoadCsr(scratch.path());
  ASSERT_TRUE(csr.ok()) << csr.status();
  EXPECT_EQ(csr->rows, 3);
  EXPECT_EQ(csr->columns, 4);
  EXPECT_THAT(csr->row_offsets, ElementsAre(0, 2, 2, 3));
  EXPECT_THAT(csr->column_indices, ElementsAre(1, 3, 0));
  EXPECT_EQ(csr->type, ElementType::kFloat64);
  EXPECT_THAT(csr->Doubles(), ElementsAre(1.5, -2.0, 0.25));
  EXPECT_EQ(csr->text(), "float64 [3, 4], 3 entries");
  EXPECT_TRUE(IsSparseFile(scratch.path()));
  EXPECT_FALSE(IsSparseFile("a.npy"));
}

TEST(SparseFileTest, WideIndicesAndNarrowNumbersAreRead) {
  NpzFile file = Right();
  file.members["indptr.npy"] = NpyVector<std::int64_t>("<i8", {0, 2, 2, 3});
  file.members["indices.npy"] = NpyVector<std::int64_t>("<i8", {1, 3, 0});
  file.members["data.npy"] = NpyVector<float>("<f4", {1.5F, -2.0F, 0.25F});
  file.members["format.npy"] =
      NpyOf("<U3", "()", std::string("c\0\0\0s\0\0\0r\0\0\0", 12));
  const test::ScratchFile scratch(".npz");
  file.Write(scratch.path());
  const auto csr = LoadCsr(scratch.path());
  ASSERT_TRUE(csr.ok()) << csr.status();
  EXPECT_EQ(csr->type, ElementType::kFloat32);
  EXPECT_THAT(csr->Doubles(), ElementsAre(1.5, -2.0, 0.25));
}

TEST(SparseFileTest, AMatrixWithoutEntriesIsRead) {
  const test::ScratchFile scratch(".npz");
  NpzFile::Csr(2, 3, {0, 0, 0}, {}, {}).Write(scratch.path());
  const auto csr = LoadCsr(scratch.path());
  ASSERT_TRUE(csr.ok()) << csr.status();
  EXPECT_EQ(csr->nonzeros(), 0);
  EXPECT_THAT(csr->Doubles(), ElementsAre());
}

TEST(SparseFileTest, EveryWrongFileIsOneLineThatNamesTheRule) {
  const auto with = [](const char* member, std::string bytes) {
    return ErrorOf([&](NpzFile* file) { file->members[member] = bytes; });
  };
  EXPECT_THAT(with("format.npy", NpyOf("|S3", "()", "csc")),
              HasSubstr("a.tocsr()"));
  EXPECT_THAT(with("indices.npy", NpyVector<std::int32_t>("<i4", {3, 1, 0})),
              HasSubstr("row 0 is not in ascending order"));
  EXPECT_THAT(with("indices.npy", NpyVector<std::int32_t>("<i4", {1, 1, 0})),
              HasSubstr("sum_duplicates"));
  EXPECT_THAT(with("indices.npy", NpyVector<std::int32_t>("<i4", {1, 4, 0})),
              HasSubstr("indices has 4"));
  EXPECT_THAT(with("indices.npy", NpyVector<std::int32_t>("<i4", {1, -1, 0})),
              HasSubstr("indices has -1"));
  EXPECT_THAT(with("indices.npy", NpyVector<double>("<f8", {1, 3, 0})),
              HasSubstr("'<i4' or '<i8'"));
  EXPECT_THAT(with("indptr.npy", NpyVector<std::int32_t>("<i4", {0, 2, 1, 3})),
              HasSubstr("indptr"));
  EXPECT_THAT(with("indptr.npy", NpyVector<std::int32_t>("<i4", {0, 2, 3})),
              HasSubstr("indptr"));
  EXPECT_THAT(with("indptr.npy", NpyVector<std::int32_t>("<i4", {})),
              HasSubstr("indptr"));
  EXPECT_THAT(with("data.npy", NpyVector<double>("<f8", {1, 2})),
              HasSubstr("differ in length"));
  EXPECT_THAT(with("data.npy", NpyVector<std::int64_t>("<i8", {1, 2, 3})),
              HasSubstr("astype"));
  EXPECT_THAT(with("data.npy", NpyOf("<f8", "(3,)", "short")),
              HasSubstr("needed is an array of 1 axes"));
  EXPECT_THAT(with("data.npy", "no NumPy at all"), HasSubstr("NUMPY"));
  EXPECT_THAT(with("data.npy", ""), HasSubstr("too short"));
  EXPECT_THAT(with("shape.npy", NpyVector<std::int64_t>("<i8", {3})),
              HasSubstr("no matrix"));
  EXPECT_THAT(with("shape.npy", NpyVector<std::int64_t>("<i8", {3, 0})),
              HasSubstr("no matrix"));
  EXPECT_THAT(ErrorOf([](NpzFile* file) { file->members.erase("data.npy"); }),
              HasSubstr("no data.npy"));
}

TEST(SparseFileTest, WhatIsNoArchiveIsRefused) {
  const test::ScratchFile text(".npz", "not an archive");
  EXPECT_THAT(std::string(LoadCsr(text.path()).status().message()),
              HasSubstr("not a .npz file"));
  EXPECT_TRUE(absl::IsNotFound(LoadCsr("none.npz").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(LoadCsr("/").status()));
}

TEST(SparseFileTest, DamageAnywhereIsNoCrash) {
  const test::ScratchFile scratch(".npz");
  Right().Write(scratch.path());
  const std::string whole = scratch.bytes();
  for (std::size_t at = 0; at < whole.size(); at += 3) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x55);
    const test::ScratchFile file(".npz", damaged);
    const auto csr = LoadCsr(file.path());
    // Times and the like may be anything; the matrix may not.
    if (csr.ok()) {
      EXPECT_THAT(csr->Doubles(), ElementsAre(1.5, -2.0, 0.25)) << at;
      EXPECT_THAT(csr->column_indices, ElementsAre(1, 3, 0)) << at;
    }
    const test::ScratchFile cut(".npz", whole.substr(0, at));
    EXPECT_FALSE(LoadCsr(cut.path()).ok()) << at;
  }
}

}  // namespace
}  // namespace steelyard::tensor_files
