#include "tests/client/support/filled_message.h"

#include <memory>

namespace steelyard::client::test {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// Sets one singular field, or adds one entry to a repeated one. `n` > 0.
#define STEELYARD_PUT(Type, value)                                    \
  field->is_repeated() ? reflection->Add##Type(message, field, value) \
                       : reflection->Set##Type(message, field, value)

void Put(Message* message, const FieldDescriptor* field, int n) {
  const google::protobuf::Reflection* reflection = message->GetReflection();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return STEELYARD_PUT(Int32, n);
    case FieldDescriptor::CPPTYPE_INT64:
      return STEELYARD_PUT(Int64, n);
    case FieldDescriptor::CPPTYPE_UINT32:
      return STEELYARD_PUT(UInt32, static_cast<std::uint32_t>(n));
    case FieldDescriptor::CPPTYPE_UINT64:
      return STEELYARD_PUT(UInt64, static_cast<std::uint64_t>(n));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return STEELYARD_PUT(Double, n + 0.5);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return STEELYARD_PUT(Float, static_cast<float>(n) + 0.5F);
    case FieldDescriptor::CPPTYPE_BOOL:
      return STEELYARD_PUT(Bool, true);
    case FieldDescriptor::CPPTYPE_ENUM:
      return STEELYARD_PUT(EnumValue, 1);
    case FieldDescriptor::CPPTYPE_STRING:
      return STEELYARD_PUT(String, "text " + std::to_string(n));
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return FillEveryField(field->is_repeated()
                                ? reflection->AddMessage(message, field)
                                : reflection->MutableMessage(message, field));
  }
}

#undef STEELYARD_PUT

// Calls `visit` with the path of each leaf below `at`, while that leaf is gone.
void ForEachLeaf(Message* at, const std::string& path,
                 const std::function<void(const std::string&)>& visit) {
  const google::protobuf::Reflection* reflection = at->GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(*at, &fields);
  for (const FieldDescriptor* field : fields) {
    const std::string here = path + "." + field->name();
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      Message* inner = field->is_repeated()
                           ? reflection->MutableRepeatedMessage(at, field, 0)
                           : reflection->MutableMessage(at, field);
      ForEachLeaf(inner, here, visit);
      continue;
    }
    const std::unique_ptr<Message> saved(at->New());
    saved->CopyFrom(*at);
    reflection->ClearField(at, field);
    visit(here);
    at->CopyFrom(*saved);
  }
}

void FindUnset(const Message& message, const std::string& path,
               std::vector<std::string>* unset) {
  const google::protobuf::Reflection* reflection = message.GetReflection();
  const google::protobuf::Descriptor* type = message.GetDescriptor();
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    const std::string here = path + "." + field->name();
    const bool set = field->is_repeated()
                         ? reflection->FieldSize(message, field) > 0
                         : reflection->HasField(message, field);
    const google::protobuf::OneofDescriptor* oneof =
        field->real_containing_oneof();
    if (!set && oneof != nullptr && reflection->HasOneof(message, oneof)) {
      continue;
    }
    if (!set) {
      unset->push_back(here);
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
               !field->is_repeated()) {
      FindUnset(reflection->GetMessage(message, field), here, unset);
    }
  }
}

}  // namespace

void FillEveryField(Message* message) {
  const google::protobuf::Descriptor* type = message->GetDescriptor();
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    Put(message, field, field->number());
    if (field->is_repeated()) Put(message, field, field->number() + 1);
  }
}

std::vector<std::string> UnreadFields(
    const Message& filled,
    const std::function<std::string(const Message&)>& describe) {
  const std::unique_ptr<Message> copy(filled.New());
  copy->CopyFrom(filled);
  const std::string whole = describe(*copy);
  std::vector<std::string> unread;
  ForEachLeaf(copy.get(), filled.GetDescriptor()->name(),
              [&](const std::string& path) {
                if (describe(*copy) == whole) unread.push_back(path);
              });
  return unread;
}

std::vector<std::string> UnsetFields(const Message& message) {
  std::vector<std::string> unset;
  FindUnset(message, message.GetDescriptor()->name(), &unset);
  return unset;
}

}  // namespace steelyard::client::test
