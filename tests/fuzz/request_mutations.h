// Random damage to requests, by field and by byte. Same seed: same damage.
#pragma once

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace steelyard::test {

class RequestMutator {
 public:
  explicit RequestMutator(std::uint64_t seed) : random_(seed) {}

  // One to four fields set to values at the edges of their types, cleared,
  // lengthened or shortened.
  void MutateFields(google::protobuf::Message* message) {
    const std::size_t count = 1 + Below(4);
    for (std::size_t i = 0; i < count; ++i) MutateOneField(message);
  }

  // One to four bytes, or runs of bytes, changed, inserted, dropped or copied.
  void MutateBytes(std::string* bytes) {
    const std::size_t count = 1 + Below(4);
    for (std::size_t i = 0; i < count; ++i) MutateOneRun(bytes);
  }

  // In [0, n).
  std::size_t Below(std::size_t n) {
    return static_cast<std::size_t>(random_() % n);
  }

 private:
  using Field = google::protobuf::FieldDescriptor;
  using Message = google::protobuf::Message;

  // A tensor of a request stays within reach of a small message; numbers in
  // extents do the damage.
  static constexpr std::size_t kRunMax = 64;

  std::int64_t Integer() {
    using Limits64 = std::numeric_limits<std::int64_t>;
    using Limits32 = std::numeric_limits<std::int32_t>;
    const std::int64_t edges[] = {0,
                                  1,
                                  -1,
                                  2,
                                  3,
                                  10,
                                  64,
                                  65,
                                  8193,
                                  Limits32::max(),
                                  Limits32::min(),
                                  std::int64_t{1} << 32,
                                  std::int64_t{1} << 61,
                                  Limits64::max(),
                                  Limits64::min()};
    const std::size_t pick = Below(std::size(edges) + 1);
    return pick < std::size(edges) ? edges[pick]
                                   : static_cast<std::int64_t>(random_());
  }

  double Real() {
    using Reals = std::numeric_limits<double>;
    const double edges[] = {0.0,
                            -0.0,
                            1.0,
                            -1.0,
                            2.0,
                            0.5,
                            1e-3,
                            1e-300,
                            1e300,
                            Reals::max(),
                            Reals::lowest(),
                            Reals::min(),
                            Reals::denorm_min(),
                            Reals::infinity(),
                            -Reals::infinity(),
                            Reals::quiet_NaN()};
    return edges[Below(std::size(edges))];
  }

  void MutateOneRun(std::string* bytes) {
    const std::size_t size = bytes->size();
    if (size == 0) {
      bytes->push_back(static_cast<char>(random_()));
      return;
    }
    const std::size_t at = Below(size);
    const std::size_t run = std::min(1 + Below(kRunMax), size - at);
    switch (Below(6)) {
      case 0:
        (*bytes)[at] = static_cast<char>((*bytes)[at] ^ (1 << Below(8)));
        break;
      case 1:
        (*bytes)[at] = static_cast<char>(random_());
        break;
      case 2:
        bytes->erase(at, run);
        break;
      case 3:
        bytes->insert(at, 1 + Below(8), static_cast<char>(random_()));
        break;
      case 4:
        bytes->insert(Below(size), bytes->substr(at, run));
        break;
      case 5:
        bytes->resize(at);
        break;
    }
  }

  void MutateOneField(Message* message) {
    const auto* const type = message->GetDescriptor();
    if (type->field_count() == 0) return;
    const Field* const field = type->field(
        static_cast<int>(Below(static_cast<std::size_t>(type->field_count()))));
    const auto* const reflection = message->GetReflection();
    if (field->is_repeated()) {
      MutateList(message, field);
    } else if (Below(8) == 0) {
      reflection->ClearField(message, field);
    } else if (field->cpp_type() == Field::CPPTYPE_MESSAGE) {
      // Mostly deeper down; sometimes an empty one takes its place.
      if (Below(8) == 0) reflection->ClearField(message, field);
      MutateOneField(reflection->MutableMessage(message, field));
    } else {
      SetScalar(message, field);
    }
  }

  void SetScalar(Message* message, const Field* field) {
    const auto* const reflection = message->GetReflection();
    switch (field->cpp_type()) {
      case Field::CPPTYPE_INT32:
        reflection->SetInt32(message, field,
                             static_cast<std::int32_t>(Integer()));
        break;
      case Field::CPPTYPE_INT64:
        reflection->SetInt64(message, field, Integer());
        break;
      case Field::CPPTYPE_UINT64:
        reflection->SetUInt64(message, field, random_());
        break;
      case Field::CPPTYPE_DOUBLE:
        reflection->SetDouble(message, field, Real());
        break;
      case Field::CPPTYPE_BOOL:
        reflection->SetBool(message, field, Below(2) == 0);
        break;
      case Field::CPPTYPE_ENUM:
        reflection->SetEnumValue(message, field,
                                 static_cast<int>(Below(12)) - 1);
        break;
      case Field::CPPTYPE_STRING: {
        std::string bytes = reflection->GetString(*message, field);
        MutateBytes(&bytes);
        reflection->SetString(message, field, bytes);
        break;
      }
      default:
        break;
    }
  }

  void MutateList(Message* message, const Field* field) {
    const auto* const reflection = message->GetReflection();
    const int size = reflection->FieldSize(*message, field);
    const std::size_t what = Below(3);
    if (what == 0 && size > 0) {
      reflection->RemoveLast(message, field);
    } else if (field->cpp_type() == Field::CPPTYPE_INT64) {
      if (what == 1 && size > 0) {
        const int at = static_cast<int>(Below(static_cast<std::size_t>(size)));
        reflection->SetRepeatedInt64(message, field, at, Integer());
      } else {
        reflection->AddInt64(message, field, Integer());
      }
    } else if (field->cpp_type() == Field::CPPTYPE_DOUBLE) {
      if (what == 1 && size > 0) {
        const int at = static_cast<int>(Below(static_cast<std::size_t>(size)));
        reflection->SetRepeatedDouble(message, field, at, Real());
      } else {
        reflection->AddDouble(message, field, Real());
      }
    }
  }

  std::mt19937_64 random_;
};

}  // namespace steelyard::test
