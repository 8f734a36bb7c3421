// The comparison that guards the contract: itself, against every kind of break.
#include "tests/contract/descriptor_comparison.h"

#include <functional>
#include <map>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace steelyard::test {
namespace {

using File = pb::FileDescriptorProto;
using Change = std::function<void(File*)>;

// A small contract that has one of everything.
pb::FileDescriptorSet SmallContract() {
  pb::FileDescriptorSet set;
  File* const file = set.add_file();
  file->set_name("a.proto");
  file->set_package("p");
  pb::DescriptorProto* const message = file->add_message_type();
  message->set_name("M");
  message->add_oneof_decl()->set_name("choice");
  message->add_reserved_name("old");
  auto* const reserved = message->add_reserved_range();
  reserved->set_start(10);
  reserved->set_end(12);
  pb::FieldDescriptorProto* const field = message->add_field();
  field->set_name("f");
  field->set_number(1);
  field->set_type(pb::FieldDescriptorProto::TYPE_INT64);
  field->set_label(pb::FieldDescriptorProto::LABEL_OPTIONAL);
  field->set_oneof_index(0);
  message->add_nested_type()->set_name("N");
  pb::EnumDescriptorProto* const type = file->add_enum_type();
  type->set_name("E");
  pb::EnumValueDescriptorProto* const value = type->add_value();
  value->set_name("E_ZERO");
  value->set_number(0);
  pb::ServiceDescriptorProto* const service = file->add_service();
  service->set_name("S");
  pb::MethodDescriptorProto* const method = service->add_method();
  method->set_name("Do");
  method->set_input_type(".p.M");
  method->set_output_type(".p.M");
  return set;
}

pb::DescriptorProto* MessageOf(File* file) {
  return file->mutable_message_type(0);
}

pb::FieldDescriptorProto* FieldOf(File* file) {
  return MessageOf(file)->mutable_field(0);
}

pb::MethodDescriptorProto* MethodOf(File* file) {
  return file->mutable_service(0)->mutable_method(0);
}

std::map<std::string, Change> FieldChanges() {
  return {
      {"p.M.f is gone", [](File* f) { FieldOf(f)->set_name("g"); }},
      {"p.M.f number", [](File* f) { FieldOf(f)->set_number(2); }},
      {"p.M.f type",
       [](File* f) {
         FieldOf(f)->set_type(pb::FieldDescriptorProto::TYPE_INT32);
       }},
      {"p.M.f type name", [](File* f) { FieldOf(f)->set_type_name(".p.X"); }},
      {"p.M.f label",
       [](File* f) {
         FieldOf(f)->set_label(pb::FieldDescriptorProto::LABEL_REPEATED);
       }},
      {"p.M.f presence",
       [](File* f) { FieldOf(f)->set_proto3_optional(true); }},
      {"p.M.f JSON name", [](File* f) { FieldOf(f)->set_json_name("eff"); }},
      {"p.M.f packing",
       [](File* f) { FieldOf(f)->mutable_options()->set_packed(true); }},
      {"p.M.f oneof", [](File* f) { FieldOf(f)->clear_oneof_index(); }},
  };
}

std::map<std::string, Change> OtherChanges() {
  return {
      {"a.proto is gone", [](File* f) { f->set_name("b.proto"); }},
      {"a.proto package", [](File* f) { f->set_package("q"); }},
      {"p.M is gone", [](File* f) { f->clear_message_type(); }},
      {"p.M.N is gone", [](File* f) { MessageOf(f)->clear_nested_type(); }},
      {"p.M no longer reserves old",
       [](File* f) { MessageOf(f)->clear_reserved_name(); }},
      {"p.M no longer reserves 11",
       [](File* f) { MessageOf(f)->mutable_reserved_range(0)->set_end(11); }},
      {"p.E is gone", [](File* f) { f->clear_enum_type(); }},
      {"p.E.E_ZERO is gone",
       [](File* f) { f->mutable_enum_type(0)->clear_value(); }},
      {"p.E.E_ZERO number",
       [](File* f) {
         f->mutable_enum_type(0)->mutable_value(0)->set_number(1);
       }},
      {"p.S is gone", [](File* f) { f->clear_service(); }},
      {"p.S.Do is gone", [](File* f) { MethodOf(f)->set_name("Undo"); }},
      {"p.S.Do request", [](File* f) { MethodOf(f)->set_input_type(".p.X"); }},
      {"p.S.Do answer", [](File* f) { MethodOf(f)->set_output_type(".p.X"); }},
      {"p.S.Do streaming",
       [](File* f) { MethodOf(f)->set_server_streaming(true); }},
  };
}

TEST(DescriptorComparisonTest, EveryKindOfBreakIsFound) {
  for (const auto& changes : {FieldChanges(), OtherChanges()}) {
    for (const auto& [expected, change] : changes) {
      pb::FileDescriptorSet changed = SmallContract();
      change(changed.mutable_file(0));
      EXPECT_THAT(ContractBreaks(SmallContract(), changed),
                  testing::ElementsAre(expected));
    }
  }
}

TEST(DescriptorComparisonTest, AdditionsBreakNothing) {
  pb::FileDescriptorSet grown = SmallContract();
  File* const file = grown.mutable_file(0);
  file->add_message_type()->set_name("New");
  pb::FieldDescriptorProto* const field = MessageOf(file)->add_field();
  field->set_name("added");
  field->set_number(2);
  file->mutable_enum_type(0)->add_value()->set_name("E_NEW");
  file->mutable_service(0)->add_method()->set_name("DoMore");
  grown.add_file()->set_name("new.proto");
  EXPECT_THAT(ContractBreaks(SmallContract(), grown), testing::IsEmpty());
  // The other way round each of the five is a break.
  EXPECT_EQ(ContractBreaks(grown, SmallContract()).size(), 5u);
}

}  // namespace
}  // namespace steelyard::test
