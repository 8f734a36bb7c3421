// What a change of the contract breaks for callers built against an earlier
// one. Additions break nothing.
#pragma once

#include <google/protobuf/descriptor.pb.h>

#include <algorithm>
#include <string>
#include <vector>

namespace steelyard::test {

namespace pb = google::protobuf;

// Collects breaks; used through ContractBreaks.
class ContractComparison {
 public:
  const std::vector<std::string>& breaks() const { return breaks_; }

  void Files(const pb::FileDescriptorSet& golden,
             const pb::FileDescriptorSet& now) {
    for (const pb::FileDescriptorProto& file : golden.file()) {
      const auto* const found = ByName(file.name(), now.file());
      if (!Expect(found != nullptr, file.name() + " is gone")) continue;
      if (!Expect(file.package() == found->package(),
                  file.name() + " package")) {
        continue;
      }
      Messages(file.package(), file.message_type(), found->message_type());
      Enums(file.package(), file.enum_type(), found->enum_type());
      Services(file, *found);
    }
  }

 private:
  bool Expect(bool holds, const std::string& what) {
    if (!holds) breaks_.push_back(what);
    return holds;
  }

  template <typename List>
  static auto ByName(const std::string& name, const List& list)
      -> decltype(&*list.begin()) {
    const auto found =
        std::find_if(list.begin(), list.end(),
                     [&](const auto& entry) { return entry.name() == name; });
    return found == list.end() ? nullptr : &*found;
  }

  template <typename List>
  void ReservedNames(const std::string& path, const List& golden,
                     const List& now) {
    for (const std::string& name : golden) {
      Expect(std::find(now.begin(), now.end(), name) != now.end(),
             path + " no longer reserves " + name);
    }
  }

  // The union of what is reserved may grow only. Ends are exclusive.
  void ReservedNumbers(const std::string& path,
                       const pb::DescriptorProto& golden,
                       const pb::DescriptorProto& now) {
    const auto reserves = [&](int number) {
      return std::any_of(now.reserved_range().begin(),
                         now.reserved_range().end(), [&](const auto& range) {
                           return range.start() <= number &&
                                  number < range.end();
                         });
    };
    constexpr int kNumbersMax = 100'000;  // of one range, against "to max"
    for (const auto& range : golden.reserved_range()) {
      const int end = std::min(range.end(), range.start() + kNumbersMax);
      for (int number = range.start(); number < end; ++number) {
        if (!Expect(reserves(number),
                    path + " no longer reserves " + std::to_string(number))) {
          break;
        }
      }
    }
  }

  template <typename List>
  void Messages(const std::string& scope, const List& golden, const List& now) {
    for (const pb::DescriptorProto& message : golden) {
      const std::string path = scope + "." + message.name();
      const auto* const found = ByName(message.name(), now);
      if (!Expect(found != nullptr, path + " is gone")) continue;
      for (const pb::FieldDescriptorProto& field : message.field()) {
        Field(path, message, field, *found);
      }
      ReservedNames(path, message.reserved_name(), found->reserved_name());
      ReservedNumbers(path, message, *found);
      Messages(path, message.nested_type(), found->nested_type());
      Enums(path, message.enum_type(), found->enum_type());
    }
  }

  static std::string OneofOf(const pb::DescriptorProto& message,
                             const pb::FieldDescriptorProto& field) {
    return field.has_oneof_index()
               ? message.oneof_decl(field.oneof_index()).name()
               : "";
  }

  void Field(const std::string& scope, const pb::DescriptorProto& message,
             const pb::FieldDescriptorProto& field,
             const pb::DescriptorProto& now) {
    const std::string path = scope + "." + field.name();
    const auto* const found = ByName(field.name(), now.field());
    if (!Expect(found != nullptr, path + " is gone")) return;
    Expect(field.number() == found->number(), path + " number");
    Expect(field.type() == found->type(), path + " type");
    Expect(field.type_name() == found->type_name(), path + " type name");
    Expect(field.label() == found->label(), path + " label");
    Expect(field.proto3_optional() == found->proto3_optional(),
           path + " presence");
    Expect(field.json_name() == found->json_name(), path + " JSON name");
    Expect(field.options().packed() == found->options().packed(),
           path + " packing");
    Expect(OneofOf(message, field) == OneofOf(now, *found), path + " oneof");
  }

  template <typename List>
  void Enums(const std::string& scope, const List& golden, const List& now) {
    for (const pb::EnumDescriptorProto& type : golden) {
      const std::string path = scope + "." + type.name();
      const auto* const found = ByName(type.name(), now);
      if (!Expect(found != nullptr, path + " is gone")) continue;
      ReservedNames(path, type.reserved_name(), found->reserved_name());
      for (const pb::EnumValueDescriptorProto& value : type.value()) {
        const std::string name = path + "." + value.name();
        const auto* const same = ByName(value.name(), found->value());
        if (!Expect(same != nullptr, name + " is gone")) continue;
        Expect(value.number() == same->number(), name + " number");
      }
    }
  }

  void Services(const pb::FileDescriptorProto& golden,
                const pb::FileDescriptorProto& now) {
    for (const pb::ServiceDescriptorProto& service : golden.service()) {
      const std::string path = golden.package() + "." + service.name();
      const auto* const found = ByName(service.name(), now.service());
      if (!Expect(found != nullptr, path + " is gone")) continue;
      for (const pb::MethodDescriptorProto& method : service.method()) {
        const std::string name = path + "." + method.name();
        const auto* const same = ByName(method.name(), found->method());
        if (!Expect(same != nullptr, name + " is gone")) continue;
        Expect(method.input_type() == same->input_type(), name + " request");
        Expect(method.output_type() == same->output_type(), name + " answer");
        Expect(method.client_streaming() == same->client_streaming() &&
                   method.server_streaming() == same->server_streaming(),
               name + " streaming");
      }
    }
  }

  std::vector<std::string> breaks_;
};

// One line for everything in `golden` that `now` lacks or changes: files,
// messages, fields (number, name, type, label, presence, oneof, JSON name),
// enum values, reserved numbers and names, services, methods and their
// streaming.
inline std::vector<std::string> ContractBreaks(
    const pb::FileDescriptorSet& golden, const pb::FileDescriptorSet& now) {
  ContractComparison comparison;
  comparison.Files(golden, now);
  return comparison.breaks();
}

}  // namespace steelyard::test
