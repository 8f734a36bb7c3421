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
  return ReadSafetensorsLayout(*file);
}

TEST(SafetensorsLayoutTest, ReadsOurTypesAndStepsOverOthers) {
  const test::ScratchFile scratch(
      ".safetensors",
      test::SafetensorsBytes(
          R"({"__metadata__":{"note":"two tensors"},)"
          R"("b":{"dtype":"BF16","shape":[2,3],"data_offsets":[4,16]},)"
          R"("ids":{"dtype":"I32","shape":[],"data_offsets":[0,4]},)"
          R"("new":{"dtype":"F8_NEW","shape":[9],"data_offsets":[16,17]}})"
          "    ",
          std::string(17, 'x')));
  const auto layout = LayoutOf(scratch.path());
  ASSERT_TRUE(layout.ok()) << layout.status();
  ASSERT_EQ(layout->entries.size(), 3u);
  EXPECT_EQ(layout->entries[0].name, "ids");
  EXPECT_FALSE(layout->entries[0].type.has_value());
  EXPECT_EQ(layout->entries[1].name, "b");
  EXPECT_EQ(layout->entries[1].type, ElementType::kBfloat16);
  EXPECT_THAT(layout->entries[1].shape, ElementsAre(2, 3));
  EXPECT_EQ(layout->entries[1].offset,
            static_cast<int64_t>(scratch.bytes().size()) - 13);
  EXPECT_FALSE(layout->entries[2].type.has_value());
}

struct Malformed {
  const char* name;
  std::string bytes;
  const char* rule;
};
void PrintTo(const Malformed& row, std::ostream* out) { *out << row.name; }

// One tensor "a" with the given fields, and `data_bytes` of data.
std::string One(const std::string& fields, std::size_t data_bytes = 8) {
  return test::SafetensorsBytes("{\"a\":{" + fields + "}}",
                                std::string(data_bytes, '\0'));
}

std::string Header(const std::string& header, std::size_t data_bytes = 8) {
  return test::SafetensorsBytes(header, std::string(data_bytes, '\0'));
}

std::string Two(const std::string& first, const std::string& second) {
  return test::SafetensorsBytes(
      R"({"a":{"dtype":"F32","shape":[2],"data_offsets":)" + first +
          R"(},"b":{"dtype":"F32","shape":[2],"data_offsets":)" + second + "}}",
      std::string(16, '\0'));
}

const Malformed kMalformed[] = {
    {"Empty", "", "too short"},
    {"LengthOnly", test::LittleEndian(2, 8), "too short"},
    {"Length2To63", test::LittleEndian(uint64_t{1} << 63, 8) + "{}",
     "should have 9223372036854775808 bytes"},
    {"LengthAllOnes", test::LittleEndian(~uint64_t{0}, 8) + "{}",
     "should have 18446744073709551615 bytes"},
    {"LengthOneTooMany", test::LittleEndian(3, 8) + "{}", "should have 3"},
    {"NotJson", Header("hello there"), "not valid JSON at its byte"},
    {"Array", Header("[1,2]"), "no JSON object"},
    {"Number", Header("17"), "no JSON object"},
    {"Text", Header("\"text\""), "no JSON object"},
    {"Null", Header("null"), "no JSON object"},
    {"CutJson", Header("{\"a\":{\"dtype\":\"F32\""), "not valid JSON"},
    {"TwoDocuments", Header("{}{}"), "not valid JSON"},
    {"BadUtf8", Header("{\"\xff\xfe\":{}}"), "not valid JSON"},
    {"Deep", Header(std::string(100000, '[')), "no JSON object"},
    {"DeepObjects", Header(R"({"a":{"b":{"c":{}}}})"), "nested too deeply"},
    {"DeepList", One(R"("shape":[[[[1]]]])"), "a list where none belongs"},
    {"ObjectInList", One(R"("shape":[{"x":1}])"), "an object in a list"},
    {"EntryIsNumber", Header(R"({"a":1})"), "number where none belongs"},
    {"EntryIsText", Header(R"({"a":"F32"})"), "text where none belongs"},
    {"EntryIsList", Header(R"({"a":[1]})"), "a list where none belongs"},
    {"EntryIsNull", Header(R"({"a":null})"), "null"},
    {"MetadataNumber", Header(R"({"__metadata__":{"x":1}})"),
     "number where none belongs"},
    {"MetadataNested", Header(R"({"__metadata__":{"x":{}}})"),
     "nested too deeply"},
    {"NoDtype", One(R"("shape":[1],"data_offsets":[0,8])"), "has no dtype"},
    {"NoShape", One(R"("dtype":"F64","data_offsets":[0,8])"), "has no shape"},
    {"NoOffsets", One(R"("dtype":"F64","shape":[1])"), "has no data_offsets"},
    {"UnknownField", One(R"("dtype":"F64","stride":"3")"),
     "unknown field 'stride'"},
    {"ShapeTwice", One(R"("shape":[1],"shape":[1])"), "has shape twice"},
    {"NameTwice", Header(R"({"a":{},"a":{}})"), "has 'a' twice"},
    {"NegativeExtent", One(R"("shape":[-1])"), "negative number -1"},
    {"FractionalExtent", One(R"("shape":[1.5])"), "no integer of 64 bits"},
    {"HugeExtent", One(R"("shape":[99999999999999999999])"),
     "no integer of 64 bits"},
    {"Extent2To63",
     One(R"("dtype":"F64","shape":[9223372036854775808],"data_offsets":[0,8])"),
     "has extent 9223372036854775808"},
    {"ProductOverflows",
     One(R"("dtype":"F64","shape":[4294967296,4294967296,4294967296],)"
         R"("data_offsets":[0,8])"),
     "more than 2^63 bytes"},
    {"NineAxes", One(R"("shape":[1,1,1,1,1,1,1,1,1])"), "more than 8 numbers"},
    {"OneOffset", One(R"("dtype":"F64","shape":[1],"data_offsets":[0])"),
     "begin <= end"},
    {"ThreeOffsets", One(R"("dtype":"F64","shape":[1],"data_offsets":[0,8,8])"),
     "begin <= end"},
    {"OffsetsReversed",
     One(R"("dtype":"F64","shape":[1],"data_offsets":[8,0])"), "begin <= end"},
    {"OffsetsBeyondFile",
     One(R"("dtype":"F64","shape":[2],"data_offsets":[0,16])"),
     "ends at byte 16 of the data, which has 8 bytes"},
    {"OffsetsNear2To64",
     One(R"("dtype":"F64","shape":[1],)"
         R"("data_offsets":[18446744073709551607,18446744073709551615])"),
     "ends at byte 18446744073709551615"},
    {"WrongSize", One(R"("dtype":"F64","shape":[2],"data_offsets":[0,8])"),
     "needs 16 bytes, but its data_offsets span 8"},
    {"Overlap", Two("[0,8]", "[4,12]"), "inside another tensor"},
    {"SameBytes", Two("[0,8]", "[0,8]"), "inside another tensor"},
    {"Gap",
     test::SafetensorsBytes(
         R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}})",
         std::string(16, '\0')),
     "leaves a gap"},
    {"DataLeftOver", One(R"("dtype":"F32","shape":[1],"data_offsets":[0,4])"),
     "end at byte 4 of the data, which has 8 bytes"},
    {"ControlCharacters", Header("{\"\\u001b[2J\":{}}"),
     "tensor '\\x1b[2J' has no dtype"},
};

class SafetensorsMalformedTest : public testing::TestWithParam<Malformed> {};

TEST_P(SafetensorsMalformedTest, OneLineThatNamesTheFileAndTheRule) {
  const test::ScratchFile scratch(".safetensors", GetParam().bytes);
  const auto layout = LayoutOf(scratch.path());
  ASSERT_FALSE(layout.ok());
  const std::string message(layout.status().message());
  EXPECT_THAT(message, StartsWith(scratch.path() + ": "));
  EXPECT_THAT(message, HasSubstr(GetParam().rule));
  EXPECT_EQ(message.find('\n'), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Table, SafetensorsMalformedTest,
                         testing::ValuesIn(kMalformed),
                         [](const auto& row) { return row.param.name; });

TEST(SafetensorsLayoutTest, EveryChangedHeaderByteIsReadOrRefused) {
  const std::string whole = Two("[0,8]", "[8,16]");
  int refused = 0;
  for (std::size_t at = 0; at < whole.size() - 16; ++at) {
    for (const char byte : {'\0', '\xff', '9', '{', '"', '['}) {
      std::string changed = whole;
      changed[at] = byte;
      const test::ScratchFile scratch(".safetensors", changed);
      const auto layout = LayoutOf(scratch.path());
      if (!layout.ok()) {
        ++refused;
        continue;
      }
      for (const LayoutEntry& entry : layout->entries) {
        EXPECT_GE(entry.offset, 0);
        EXPECT_LE(entry.offset, static_cast<int64_t>(whole.size()));
      }
    }
  }
  EXPECT_GT(refused, 400);
}

}  // namespace
}  // namespace steelyard::tensor_files
