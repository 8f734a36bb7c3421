#include "client/cli/arguments.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"

namespace steelyard::cli {
namespace {

absl::Status Usage(const std::string& message) {
  return absl::InvalidArgumentError(message);
}

const FlagSpec* FindFlag(const CommandSpec& command, const std::string& name) {
  for (const FlagSpec& flag : command.flags) {
    if (flag.name == name) return &flag;
  }
  return nullptr;
}

// `dashes` and `name`: as they were typed.
absl::Status UnknownFlag(const CommandSpec& command, const std::string& dashes,
                         const std::string& name) {
  std::vector<std::string> known;
  for (const FlagSpec& flag : command.flags) known.push_back(flag.name);
  const std::string nearest = Nearest(name, known);
  return Usage(absl::StrCat(
      "unknown flag ", dashes, name, " of '", command.name, "'",
      nearest.empty() ? absl::StrCat("; see: steelyard help ", command.name)
                      : absl::StrCat("; did you mean --", nearest, "?")));
}

// 1000000, not 1e+06.
std::string Written(double bound) {
  constexpr double kExactIntegersMost = 0x1p53;
  if (bound == std::trunc(bound) && std::abs(bound) <= kExactIntegersMost) {
    return absl::StrCat(static_cast<int64_t>(bound));
  }
  return absl::StrCat(bound);
}

std::string RangeOf(const FlagSpec& flag) {
  const bool below = std::isfinite(flag.least);
  const bool above = std::isfinite(flag.most);
  if (below && above) {
    return absl::StrCat(flag.least_is_open ? "(" : "[", Written(flag.least),
                        ", ", Written(flag.most),
                        flag.most_is_open ? ")" : "]");
  }
  if (below) {
    return absl::StrCat(flag.least_is_open ? "> " : ">= ", Written(flag.least));
  }
  return absl::StrCat(flag.most_is_open ? "< " : "<= ", Written(flag.most));
}

absl::Status CheckRange(const FlagSpec& flag, const std::string& text,
                        double value) {
  const bool above_least =
      flag.least_is_open ? value > flag.least : value >= flag.least;
  const bool below_most =
      flag.most_is_open ? value < flag.most : value <= flag.most;
  if (std::isfinite(value) && above_least && below_most) {
    return absl::OkStatus();
  }
  return Usage(absl::StrCat("--", flag.name, " is ", text, "; required is ",
                            RangeOf(flag),
                            flag.kind == FlagKind::kDuration ? " s" : ""));
}

absl::Status CheckNumber(const FlagSpec& flag, const std::string& text) {
  double real = 0.0;
  int64_t integer = 0;
  if (flag.kind == FlagKind::kInteger) {
    if (!absl::SimpleAtoi(text, &integer)) {
      return Usage(absl::StrCat("--", flag.name, " is '", text,
                                "'; required is an integer"));
    }
    real = static_cast<double>(integer);
  } else if (!absl::SimpleAtod(text, &real)) {
    return Usage(absl::StrCat("--", flag.name, " is '", text,
                              "'; required is a number"));
  }
  return CheckRange(flag, text, real);
}

absl::Status CheckUnsigned(const FlagSpec& flag, const std::string& text) {
  uint64_t value = 0;
  if (absl::SimpleAtoi(text, &value)) return absl::OkStatus();
  return Usage(absl::StrCat("--", flag.name, " is '", text,
                            "'; required is an integer in [0, 2^64)"));
}

absl::Status CheckDuration(const FlagSpec& flag, const std::string& text) {
  absl::Duration duration;
  if (!absl::ParseDuration(text, &duration)) {
    return Usage(absl::StrCat("--", flag.name, " is '", text,
                              "'; required is a duration with its unit: "
                              "500ms, 30s, 5m"));
  }
  return CheckRange(flag, text, absl::ToDoubleSeconds(duration));
}

absl::Status CheckValue(const FlagSpec& flag, const std::string& text) {
  switch (flag.kind) {
    case FlagKind::kSwitch:
      return absl::OkStatus();
    case FlagKind::kText:
      if (!text.empty()) return absl::OkStatus();
      return Usage(absl::StrCat("--", flag.name, " is empty"));
    case FlagKind::kReal:
    case FlagKind::kInteger:
      return CheckNumber(flag, text);
    case FlagKind::kUnsigned:
      return CheckUnsigned(flag, text);
    case FlagKind::kDuration:
      return CheckDuration(flag, text);
    case FlagKind::kChoice:
      break;
  }
  if (std::find(flag.choices.begin(), flag.choices.end(), text) !=
      flag.choices.end()) {
    return absl::OkStatus();
  }
  return Usage(absl::StrCat("--", flag.name, " is '", text,
                            "'; required is one of ",
                            absl::StrJoin(flag.choices, ", ")));
}

// Levenshtein.
std::size_t EditDistance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, change});
    }
  }
  return row.back();
}

}  // namespace

std::string Nearest(const std::string& word,
                    absl::Span<const std::string> known) {
  constexpr std::size_t kWordMost = 64;
  if (word.size() > kWordMost) return "";
  std::string best;
  // A third of the letters may be wrong.
  std::size_t least = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const std::string& candidate : known) {
    const bool begins = word.size() >= 3 && absl::StartsWith(candidate, word);
    const std::size_t distance = begins ? 0 : EditDistance(word, candidate);
    if (distance < least) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

absl::StatusOr<Arguments> Arguments::Parse(
    const CommandSpec& command, absl::Span<const std::string> words) {
  Arguments parsed;
  parsed.command_ = &command;
  bool flags_ended = false;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (flags_ended || word.size() < 2 || word[0] != '-') {
      parsed.positional_.push_back(word);
      continue;
    }
    if (word == "--") {
      flags_ended = true;
      continue;
    }
    const std::size_t start = word[1] == '-' ? 2 : 1;
    const std::size_t equals = word.find('=');
    const std::string name = word.substr(start, equals - start);
    const FlagSpec* flag = FindFlag(command, name);
    if (flag == nullptr) {
      return UnknownFlag(command, word.substr(0, start), name);
    }
    std::string value;
    if (flag->kind == FlagKind::kSwitch) {
      if (equals != std::string::npos) {
        return Usage(absl::StrCat("--", name, " takes no value"));
      }
    } else if (equals != std::string::npos) {
      value = word.substr(equals + 1);
    } else if (i + 1 < words.size()) {
      value = words[++i];
    } else {
      return Usage(absl::StrCat("--", name, " needs a value: --", name, "=",
                                flag->value));
    }
    if (auto status = CheckValue(*flag, value); !status.ok()) return status;
    if (!parsed.values_.emplace(name, value).second) {
      return Usage(absl::StrCat("--", name, " is given twice"));
    }
  }
  if (parsed.positional_.size() < command.argument_count ||
      parsed.positional_.size() >
          std::max(command.argument_count, command.argument_count_most)) {
    return Usage(absl::StrCat(
        "'", command.name, "' takes ",
        command.arguments.empty() ? "no arguments" : command.arguments,
        ", but ", parsed.positional_.size(), " were given",
        parsed.positional_.empty()
            ? ""
            : absl::StrCat(": ", absl::StrJoin(parsed.positional_, " "))));
  }
  return parsed;
}

std::optional<std::string> Arguments::Text(const std::string& flag) const {
  const auto found = values_.find(flag);
  if (found == values_.end()) return std::nullopt;
  return found->second;
}

std::optional<double> Arguments::Real(const std::string& flag) const {
  const std::optional<std::string> text = Text(flag);
  double value = 0.0;
  if (!text || !absl::SimpleAtod(*text, &value)) return std::nullopt;
  return value;
}

std::optional<int64_t> Arguments::Integer(const std::string& flag) const {
  const std::optional<std::string> text = Text(flag);
  int64_t value = 0;
  if (!text || !absl::SimpleAtoi(*text, &value)) return std::nullopt;
  return value;
}

std::optional<uint64_t> Arguments::Unsigned(const std::string& flag) const {
  const std::optional<std::string> text = Text(flag);
  uint64_t value = 0;
  if (!text || !absl::SimpleAtoi(*text, &value)) return std::nullopt;
  return value;
}

std::optional<double> Arguments::Seconds(const std::string& flag) const {
  const std::optional<std::string> text = Text(flag);
  absl::Duration value;
  if (!text || !absl::ParseDuration(*text, &value)) return std::nullopt;
  return absl::ToDoubleSeconds(value);
}

}  // namespace steelyard::cli
