// The wire contract of this checkout against the committed one.
#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/empty.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/v1/error_details.pb.h"
#include "steelyard/v1/matrix_service.pb.h"
#include "steelyard/v1/regression_service.pb.h"
#include "steelyard/v1/server_service.pb.h"
#include "steelyard/v1/universal_set_service.pb.h"
#include "tests/contract/descriptor_comparison.h"
#include "tests/support/source_paths.h"

namespace steelyard::test {
namespace {

using File = pb::FileDescriptorProto;

pb::FileDescriptorSet Read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)),
                          std::istreambuf_iterator<char>());
  pb::FileDescriptorSet set;
  EXPECT_FALSE(bytes.empty()) << path << " is missing";
  EXPECT_TRUE(set.ParseFromString(bytes)) << path;
  return set;
}

pb::FileDescriptorSet Golden() {
  return Read(SourcePath("tests/contract/steelyard_v1_golden.binpb"));
}

pb::FileDescriptorSet Now() {
  return Read(BinaryPath("proto/steelyard_v1.binpb"));
}

TEST(GoldenDescriptorTest, TheContractOnlyGrows) {
  EXPECT_THAT(ContractBreaks(Golden(), Now()), testing::IsEmpty());
}

// What is not in the golden set is not guarded.
TEST(GoldenDescriptorTest, TheGoldenSetHoldsEveryAddition) {
  EXPECT_THAT(ContractBreaks(Now(), Golden()), testing::IsEmpty())
      << "The contract grew. Run tests/contract/update_golden BUILD_FOLDER and "
         "commit the file with the change.";
}

// proto/ needs protobuf's well-known types and nothing else.
TEST(GoldenDescriptorTest, TheContractIsSelfContained) {
  const pb::FileDescriptorSet contract = Now();
  std::set<std::string> own;
  for (const File& file : contract.file()) own.insert(file.name());
  for (const File& file : contract.file()) {
    EXPECT_EQ(file.package(), "steelyard.v1") << file.name();
    for (const std::string& import : file.dependency()) {
      EXPECT_TRUE(own.count(import) == 1 ||
                  import.rfind("google/protobuf/", 0) == 0)
          << file.name() << " imports " << import;
    }
  }

  // Every name resolves when nothing but those files is there.
  pb::DescriptorPool pool;
  for (const auto* known :
       {pb::Any::descriptor(), pb::Duration::descriptor(),
        pb::Empty::descriptor(), pb::Timestamp::descriptor()}) {
    File file;
    known->file()->CopyTo(&file);
    ASSERT_NE(pool.BuildFile(file), nullptr);
  }
  // One round builds at least the files whose imports stand.
  for (int round = 0; round < contract.file_size(); ++round) {
    for (const File& file : contract.file()) {
      const bool ready =
          std::all_of(file.dependency().begin(), file.dependency().end(),
                      [&](const std::string& import) {
                        return pool.FindFileByName(import) != nullptr;
                      });
      if (ready && pool.FindFileByName(file.name()) == nullptr) {
        EXPECT_NE(pool.BuildFile(file), nullptr) << file.name();
      }
    }
  }
  for (const std::string& name : own) {
    EXPECT_NE(pool.FindFileByName(name), nullptr) << name;
  }
}

// The code that runs was generated from these files.
TEST(GoldenDescriptorTest, GeneratedCodeHasTheSameWireNumbers) {
  // Names that keep the linker from dropping a file's descriptors.
  const std::vector<const pb::Descriptor*> anchors = {
      v1::RpcStatus::descriptor(), v1::SolveRequest::descriptor(),
      v1::ServerInfo::descriptor(), v1::FindUniversalSetRequest::descriptor(),
      v1::Matrix::descriptor()};
  const pb::FileDescriptorSet contract = Now();
  pb::FileDescriptorSet generated;
  for (const File& file : contract.file()) {
    const pb::FileDescriptor* const compiled =
        anchors.front()->file()->pool()->FindFileByName(file.name());
    ASSERT_NE(compiled, nullptr) << file.name();
    compiled->CopyTo(generated.add_file());
    compiled->CopyJsonNameTo(generated.mutable_file(generated.file_size() - 1));
  }
  EXPECT_THAT(ContractBreaks(contract, generated), testing::IsEmpty());
  EXPECT_THAT(ContractBreaks(generated, contract), testing::IsEmpty());
}

// error_details.proto stands for google.rpc.*, whose numbers these are.
TEST(GoldenDescriptorTest, ErrorDetailsHaveTheNumbersOfGoogleRpc) {
  const auto number = [](const pb::Descriptor* type, const char* field) {
    const pb::FieldDescriptor* const found = type->FindFieldByName(field);
    return found == nullptr ? 0 : found->number();
  };
  EXPECT_EQ(number(v1::RpcStatus::descriptor(), "code"), 1);
  EXPECT_EQ(number(v1::RpcStatus::descriptor(), "message"), 2);
  EXPECT_EQ(number(v1::RpcStatus::descriptor(), "details"), 3);
  EXPECT_EQ(number(v1::ErrorInfo::descriptor(), "reason"), 1);
  EXPECT_EQ(number(v1::ErrorInfo::descriptor(), "domain"), 2);
  EXPECT_EQ(number(v1::ErrorInfo::descriptor(), "metadata"), 3);
  EXPECT_EQ(number(v1::RetryInfo::descriptor(), "retry_delay"), 1);
  EXPECT_EQ(number(v1::BadRequest::descriptor(), "field_violations"), 1);
  EXPECT_EQ(number(v1::BadRequest::FieldViolation::descriptor(), "field"), 1);
  EXPECT_EQ(number(v1::BadRequest::FieldViolation::descriptor(), "description"),
            2);
  EXPECT_EQ(number(v1::QuotaFailure::descriptor(), "violations"), 1);
  EXPECT_EQ(number(v1::QuotaFailure::Violation::descriptor(), "subject"), 1);
  EXPECT_EQ(number(v1::QuotaFailure::Violation::descriptor(), "description"),
            2);
}

}  // namespace
}  // namespace steelyard::test
