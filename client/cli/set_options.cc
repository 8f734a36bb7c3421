#include "client/cli/set_options.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace steelyard::cli {
namespace {

absl::Status WrongTerms(const std::string& text) {
  return absl::InvalidArgumentError(
      absl::StrCat("--power-sum is '", text,
                   "'; required are 1 to 16 terms COEFFICIENT:P, joined by "
                   "commas, with COEFFICIENT > 0 and P in [1, 64]"));
}

absl::StatusOr<client::PowerSum> ParsePowerSum(const std::string& text) {
  constexpr std::size_t kTermsMost = 16;
  client::PowerSum sum;
  for (const std::string& term :
       std::vector<std::string>(absl::StrSplit(text, ','))) {
    const std::vector<std::string> parts = absl::StrSplit(term, ':');
    client::PowerTerm parsed;
    if (parts.size() != 2 || !absl::SimpleAtod(parts[0], &parsed.coefficient) ||
        !absl::SimpleAtod(parts[1], &parsed.p) ||
        !(parsed.coefficient > 0 && std::isfinite(parsed.coefficient)) ||
        !(parsed.p >= 1 && parsed.p <= 64)) {
      return WrongTerms(text);
    }
    sum.terms.push_back(parsed);
  }
  if (sum.terms.size() > kTermsMost) return WrongTerms(text);
  return sum;
}

struct Describe {
  std::string operator()(const client::Power& power) const {
    return absl::StrFormat("|x|^%g", power.p);
  }
  std::string operator()(const client::PowerSum& sum) const {
    std::string text;
    for (const client::PowerTerm& term : sum.terms) {
      absl::StrAppend(&text, text.empty() ? "" : " + ",
                      absl::StrFormat("%g|x|^%g", term.coefficient, term.p));
    }
    return text;
  }
  std::string operator()(const client::Softmax& softmax) const {
    return absl::StrCat(
        softmax.scale ? absl::StrFormat("exp(%g x)", *softmax.scale)
                      : "exp(x / sqrt(d))",
        softmax.mode == client::SoftmaxMode::kCertified ? ", certified"
                                                        : ", heuristic");
  }
};

}  // namespace

std::vector<FlagSpec> ScoreFunctionFlags(bool with_softmax) {
  std::vector<FlagSpec> flags = {
      {.name = "power",
       .kind = FlagKind::kReal,
       .value = "P",
       .help = "scores by |<q,k>|^P. In [1, 64]. Default: 2",
       .least = 1.0,
       .most = 64.0},
      {.name = "power-sum",
       .kind = FlagKind::kText,
       .value = "C:P,...",
       .help = "scores by the sum of C |<q,k>|^P, 1 to 16 terms"},
  };
  if (!with_softmax) return flags;
  flags.push_back({.name = "softmax",
                   .kind = FlagKind::kChoice,
                   .value = "MODE",
                   .help =
                       "scores by exp(scale <q,k>). heuristic: shares among\n"
                       "a few keys, labelled so; certified: nothing is\n"
                       "missed, at a cost that depends on the data\n"
                       "('heavy' with KEYS only)",
                   .choices = {"heuristic", "certified"}});
  flags.push_back({.name = "softmax-scale",
                   .kind = FlagKind::kReal,
                   .value = "S",
                   .help = "scale of --softmax, not 0. Default: 1/sqrt(d)"});
  return flags;
}

absl::StatusOr<std::optional<client::ScoreFunction>> ScoreFunctionOf(
    const Arguments& arguments) {
  std::optional<client::ScoreFunction> function;
  int given = 0;
  if (const auto power = arguments.Real("power")) {
    function = client::Power{*power};
    ++given;
  }
  if (const auto text = arguments.Text("power-sum")) {
    absl::StatusOr<client::PowerSum> sum = ParsePowerSum(*text);
    if (!sum.ok()) return sum.status();
    function = *std::move(sum);
    ++given;
  }
  const auto scale = arguments.Real("softmax-scale");
  if (const auto mode = arguments.Text("softmax")) {
    function =
        client::Softmax{*mode == "heuristic" ? client::SoftmaxMode::kHeuristic
                                             : client::SoftmaxMode::kCertified,
                        scale};
    ++given;
  } else if (scale) {
    return absl::InvalidArgumentError("--softmax-scale goes with --softmax");
  }
  if (scale && *scale == 0.0) {
    return absl::InvalidArgumentError("--softmax-scale is 0; it must not be");
  }
  if (given > 1) {
    return absl::InvalidArgumentError(
        "only one of --power, --power-sum and --softmax can be given");
  }
  return function;
}

std::vector<FlagSpec> KeepFlags(const std::string& keep_help) {
  return {{.name = "keep",
           .kind = FlagKind::kText,
           .value = "NAME",
           .help = keep_help + "\nNAME: a-z, then a-z, 0-9 and -, at most 63"},
          {.name = "ttl",
           .kind = FlagKind::kDuration,
           .value = "30m",
           .help = "kept so long after its last use. In (0, 24h].\n"
                   "Default: 10m",
           .least = 0.0,
           .most = 86400.0,
           .least_is_open = true}};
}

absl::StatusOr<client::Keeping> KeepingOf(const Arguments& arguments) {
  client::Keeping keep;
  if (const auto ttl = arguments.Seconds("ttl"))
    keep.ttl = client::Seconds(*ttl);
  const auto name = arguments.Text("keep");
  if (!name) {
    if (keep.ttl) {
      return absl::InvalidArgumentError("--ttl goes with --keep");
    }
    return keep;
  }
  if (!IsSetName(*name)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--keep is '", *name,
                     "'; required is a-z, then a-z, 0-9 and -, at most 63"));
  }
  keep.set_id = *name;
  return keep;
}

FlagSpec LengthsFlag() {
  return {.name = "lengths",
          .kind = FlagKind::kText,
          .value = "N,N,...",
          .help =
              "valid keys of each head, in [1, n]; the rows after them\n"
              "are padding. Default: all"};
}

absl::StatusOr<std::vector<int64_t>> IntegersOf(const Arguments& arguments,
                                                const std::string& flag) {
  std::vector<int64_t> numbers;
  const auto text = arguments.Text(flag);
  if (!text) return numbers;
  for (const std::string& part :
       std::vector<std::string>(absl::StrSplit(*text, ','))) {
    int64_t number = 0;
    if (!absl::SimpleAtoi(part, &number) || number < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("--", flag, " is '", *text,
                       "'; required are integers >= 0, joined by commas"));
    }
    numbers.push_back(number);
  }
  return numbers;
}

bool IsSetName(const std::string& text) {
  constexpr std::size_t kIdMost = 63;
  const std::string id(absl::StripPrefix(text, "universalSets/"));
  if (id.empty() || id.size() > kIdMost) return false;
  if (!(id[0] >= 'a' && id[0] <= 'z')) return false;
  return std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

std::string FunctionText(const std::optional<client::ScoreFunction>& function) {
  return function ? std::visit(Describe{}, *function) : "|x|^2";
}

std::vector<FlagSpec> Concatenated(std::vector<std::vector<FlagSpec>> lists) {
  std::vector<FlagSpec> all;
  for (std::vector<FlagSpec>& list : lists) {
    for (FlagSpec& flag : list) all.push_back(std::move(flag));
  }
  return all;
}

}  // namespace steelyard::cli
