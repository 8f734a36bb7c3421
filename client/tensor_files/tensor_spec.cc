#include "client/tensor_files/tensor_spec.h"

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace steelyard::tensor_files {
namespace {

constexpr char kArchive[] = ".safetensors";

absl::Status Wrong(const std::string& text, const std::string& rule) {
  return absl::InvalidArgumentError(absl::StrCat(text, ": ", rule));
}

absl::StatusOr<std::optional<int64_t>> ParseBound(const std::string& text,
                                                  absl::string_view bound) {
  if (bound.empty()) return std::optional<int64_t>();
  int64_t number = 0;
  if (!absl::SimpleAtoi(bound, &number)) {
    return Wrong(text, absl::StrCat("'", bound, "' in the slice is no number"));
  }
  return std::optional<int64_t>(number);
}

absl::StatusOr<AxisSlice> ParseSlice(const std::string& text,
                                     absl::string_view slice) {
  const std::vector<std::string> bounds = absl::StrSplit(slice, ':');
  if (bounds.size() > 2) return Wrong(text, "a slice with a step is not read");
  AxisSlice axis;
  axis.single = bounds.size() == 1;
  const auto begin = ParseBound(text, absl::StripAsciiWhitespace(bounds[0]));
  if (!begin.ok()) return begin.status();
  axis.begin = *begin;
  if (axis.single) {
    if (!axis.begin) return Wrong(text, "the slice is empty");
    return axis;
  }
  const auto end = ParseBound(text, absl::StripAsciiWhitespace(bounds[1]));
  if (!end.ok()) return end.status();
  axis.end = *end;
  return axis;
}

}  // namespace

absl::StatusOr<TensorSpec> ParseTensorSpec(const std::string& text) {
  TensorSpec spec;
  spec.text = text;
  std::string name = text;
  if (absl::EndsWith(name, "]")) {
    const std::size_t open = name.rfind('[');
    if (open == std::string::npos) return Wrong(text, "']' without '['");
    const std::string inside = name.substr(open + 1, name.size() - open - 2);
    for (const absl::string_view slice : absl::StrSplit(inside, ',')) {
      const absl::StatusOr<AxisSlice> axis = ParseSlice(text, slice);
      if (!axis.ok()) return axis.status();
      spec.slices.push_back(*axis);
    }
    name.resize(open);
  }
  const std::string mark = absl::StrCat(kArchive, ":");
  if (const std::size_t at = name.find(mark); at != std::string::npos) {
    spec.path = name.substr(0, at + mark.size() - 1);
    spec.tensor = name.substr(at + mark.size());
    if (spec.tensor.empty()) {
      return Wrong(text, "the name of a tensor is missing after ':'");
    }
    return spec;
  }
  spec.path = name;
  if (!absl::EndsWith(name, ".npy") && !absl::EndsWith(name, kArchive)) {
    return Wrong(text,
                 "a file ends in .npy or .safetensors; a tensor of the latter "
                 "is FILE.safetensors:NAME");
  }
  return spec;
}

}  // namespace steelyard::tensor_files
