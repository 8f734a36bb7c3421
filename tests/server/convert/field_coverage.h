// Which fields of a message type a set of messages leaves unset, by reflection:
// a field that joins the contract without joining the test breaks it.
#pragma once

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <set>
#include <string>
#include <vector>

namespace steelyard::test {

// Full names of all fields reachable from `type`, those of google.protobuf
// messages left out.
inline void CollectFields(const google::protobuf::Descriptor* type,
                          std::set<std::string>* names) {
  for (int i = 0; i < type->field_count(); ++i) {
    const google::protobuf::FieldDescriptor* const field = type->field(i);
    if (!names->insert(field->full_name()).second) continue;
    if (field->message_type() != nullptr &&
        field->message_type()->file()->package() == "steelyard.v1") {
      CollectFields(field->message_type(), names);
    }
  }
}

inline void EraseSetFields(const google::protobuf::Message& message,
                           std::set<std::string>* names) {
  std::vector<const google::protobuf::FieldDescriptor*> set_fields;
  const google::protobuf::Reflection* const reflection =
      message.GetReflection();
  reflection->ListFields(message, &set_fields);
  for (const google::protobuf::FieldDescriptor* field : set_fields) {
    names->erase(field->full_name());
    if (field->message_type() == nullptr) continue;
    if (field->is_repeated()) {
      for (int i = 0; i < reflection->FieldSize(message, field); ++i) {
        EraseSetFields(reflection->GetRepeatedMessage(message, field, i),
                       names);
      }
    } else {
      EraseSetFields(reflection->GetMessage(message, field), names);
    }
  }
}

// Set by none of `messages`, which are all of one type.
template <typename Message>
std::set<std::string> UnsetFields(const std::vector<Message>& messages) {
  std::set<std::string> names;
  CollectFields(Message::descriptor(), &names);
  for (const Message& message : messages) EraseSetFields(message, &names);
  return names;
}

// The same for requests whose matrices are dense: a CSR matrix is refused.
template <typename Message>
std::set<std::string> UnsetDenseFields(const std::vector<Message>& messages) {
  std::set<std::string> names = UnsetFields(messages);
  std::erase_if(names, [](const std::string& name) {
    return name == "steelyard.v1.MatrixInput.csr" ||
           name.rfind("steelyard.v1.CsrMatrix.", 0) == 0;
  });
  return names;
}

}  // namespace steelyard::test
