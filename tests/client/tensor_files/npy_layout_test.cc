#include <ostream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/tensor_files/file_layout.h"
#include "tests/client/tensor_files/scratch_file.h"

namespace steelyard::tensor_files {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

absl::StatusOr<FileLayout> LayoutOf(const std::string& path) {
  const auto file = InputFile::Open(path);
  if (!file.ok()) return file.status();
  return ReadNpyLayout(*file);
}

constexpr char kTwoByThree[] =
    "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }\n";

TEST(NpyLayoutTest, ReadsVersionsOneToThree) {
  for (const int version : {1, 2, 3}) {
    const test::ScratchFile scratch(
        ".npy", test::NpyBytes(version, kTwoByThree, std::string(48, 'x')));
    const auto layout = LayoutOf(scratch.path());
    ASSERT_TRUE(layout.ok()) << layout.status();
    ASSERT_EQ(layout->entries.size(), 1u);
    const LayoutEntry& entry = layout->entries[0];
    EXPECT_THAT(entry.shape, ElementsAre(2, 3));
    EXPECT_EQ(entry.type, ElementType::kFloat64);
    EXPECT_FALSE(entry.column_major);
    EXPECT_EQ(entry.offset, static_cast<int64_t>(scratch.bytes().size()) - 48);
  }
}

TEST(NpyLayoutTest, ReadsKeysInAnyOrderAndEitherQuote) {
  const test::ScratchFile scratch(
      ".npy", test::NpyBytes(1,
                             "{\"shape\":(5,),\"fortran_order\":True,"
                             "\"descr\":\"<f2\"}",
                             std::string(10, 'x')));
  const auto layout = LayoutOf(scratch.path());
  ASSERT_TRUE(layout.ok()) << layout.status();
  EXPECT_EQ(layout->entries[0].type, ElementType::kFloat16);
  EXPECT_TRUE(layout->entries[0].column_major);
  EXPECT_THAT(layout->entries[0].shape, ElementsAre(5));
}

struct Malformed {
  const char* name;
  std::string bytes;
  const char* rule;  // Part of the message.
};
void PrintTo(const Malformed& row, std::ostream* out) { *out << row.name; }

std::string With(const std::string& header, std::size_t data_bytes) {
  return test::NpyBytes(1, header, std::string(data_bytes, '\0'));
}

std::string WithShape(const std::string& shape, std::size_t data_bytes) {
  return With(
      "{'descr': '<f8', 'fortran_order': False, 'shape': " + shape + ", }\n",
      data_bytes);
}

std::string WithDescr(const std::string& descr, std::size_t data_bytes) {
  return With(
      "{'descr': " + descr + ", 'fortran_order': False, 'shape': (1,), }\n",
      data_bytes);
}

const Malformed kMalformed[] = {
    {"Empty", "", "too short"},
    {"MagicOnly", "\x93NUMPY", "too short"},
    {"OtherMagic", "\x93NUMPZ\x01...........", "does not start with"},
    {"Version0", test::NpyBytes(0, kTwoByThree, ""), "format version 0"},
    {"Version4", test::NpyBytes(4, kTwoByThree, ""), "format version 4"},
    {"LengthCut", std::string("\x93NUMPY\x01\x00\x10", 9), "ends inside"},
    {"LengthCut2", std::string("\x93NUMPY\x02\x00\x10\x00\x00", 11),
     "ends inside"},
    {"HeaderCut", std::string("\x93NUMPY\x01\x00\xff\xff{'descr'", 18),
     "should have 65535 bytes"},
    {"HeaderFourGigabytes",
     std::string("\x93NUMPY\x02\x00\xff\xff\xff\xff{'descr'", 20),
     "should have 4294967295 bytes"},
    {"HeaderTooLong", test::NpyBytes(2, std::string(70000, ' '), ""),
     "at most 65536"},
    {"NoDictionary", With("[1, 2, 3]", 8), "no Python dictionary"},
    {"EmptyHeader", With("", 8), "no Python dictionary"},
    {"NoColon", With("{'descr' '<f8'}", 8), "without a value"},
    {"UnclosedString", With("{'descr': '<f8", 8), "structured"},
    {"Unclosed", With("{'descr': '<f8', ", 8), "no Python dictionary"},
    {"MissingShape", With("{'descr': '<f8', 'fortran_order': False}", 8),
     "lacks 'shape'"},
    {"MissingDescr", With("{'shape': (1,), 'fortran_order': False}", 8),
     "lacks 'descr'"},
    {"UnknownKey", With("{'order': 'C'}", 8), "unknown key 'order'"},
    {"Trailing",
     With("{'descr': '<f8', 'fortran_order': False, 'shape': (1,)} + 1", 8),
     "goes on"},
    {"TrailingZero",
     With(std::string("{'descr': '<f8', 'fortran_order': False, "
                      "'shape': (1,)}\0x",
                      57),
          8),
     "goes on"},
    {"OrderIsNoBool",
     With("{'descr': '<f8', 'fortran_order': 1, 'shape': (1,)}", 8),
     "neither True nor False"},
    {"ShapeIsNumber", WithShape("7", 56), "no tuple"},
    {"ShapeOfText", WithShape("('a',)", 8), "tuple of integers"},
    {"ShapeNegative", WithShape("(-1,)", 8), "negative extent -1"},
    {"ShapeOutOf63Bits", WithShape("(99999999999999999999,)", 8), "63 bits"},
    {"ShapeProductOverflows",
     WithShape("(4611686018427387904, 4611686018427387904)", 8), "63 bits"},
    {"ShapeNineAxes", WithShape("(1,1,1,1,1,1,1,1,1)", 8), "more than 8 axes"},
    {"ShapeNested", WithShape("((1,),)", 8), "tuple of integers"},
    {"DataShort", WithShape("(2, 2)", 31), "32 bytes, but 31 bytes follow"},
    {"DataLong", WithShape("(2, 2)", 33), "32 bytes, but 33 bytes follow"},
    {"DataMissing", WithShape("(2, 2)", 0), "but 0 bytes follow"},
    {"BigEndian", WithDescr("'>f8'", 8), "big-endian"},
    {"Integers", WithDescr("'<i8'", 8), "element type is '<i8'"},
    {"Objects", WithDescr("'|O'", 8), "element type is '|O'"},
    {"Structured", WithDescr("[('a', '<f8')]", 8), "structured"},
    {"TerminalEscape", WithDescr("'\x1b[2J'", 8), "\\x1b[2J"},
};

class NpyMalformedTest : public testing::TestWithParam<Malformed> {};

TEST_P(NpyMalformedTest, OneLineThatNamesTheFileAndTheRule) {
  const test::ScratchFile scratch(".npy", GetParam().bytes);
  const auto layout = LayoutOf(scratch.path());
  ASSERT_FALSE(layout.ok());
  const std::string message(layout.status().message());
  EXPECT_THAT(message, StartsWith(scratch.path() + ": "));
  EXPECT_THAT(message, HasSubstr(GetParam().rule));
  EXPECT_EQ(message.find('\n'), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Table, NpyMalformedTest, testing::ValuesIn(kMalformed),
                         [](const auto& row) { return row.param.name; });

TEST(NpyLayoutTest, EveryPrefixOfAFileIsRefused) {
  const std::string whole =
      test::NpyBytes(1, kTwoByThree, std::string(48, '\0'));
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const test::ScratchFile scratch(".npy", whole.substr(0, length));
    EXPECT_FALSE(LayoutOf(scratch.path()).ok()) << length;
  }
}

TEST(NpyLayoutTest, EveryChangedHeaderByteIsReadOrRefused) {
  const std::string whole =
      test::NpyBytes(1, kTwoByThree, std::string(48, '\0'));
  int refused = 0;
  for (std::size_t at = 0; at < whole.size() - 48; ++at) {
    for (const char byte : {'\0', '\xff', '9', '{', '\''}) {
      std::string changed = whole;
      changed[at] = byte;
      const test::ScratchFile scratch(".npy", changed);
      const auto layout = LayoutOf(scratch.path());
      if (layout.ok()) {
        EXPECT_EQ(CheckedBytes(layout->entries[0].shape, 64).value_or(-1) +
                      layout->entries[0].offset,
                  static_cast<int64_t>(whole.size()));
      } else {
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 200);
}

}  // namespace
}  // namespace steelyard::tensor_files
