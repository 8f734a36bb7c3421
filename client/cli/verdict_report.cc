#include "client/cli/verdict_report.h"

#include "absl/strings/str_cat.h"
#include "client/cli/text_table.h"

namespace steelyard::cli {
namespace {

using verify::Finding;
using verify::Outcome;

const char* NameOf(Outcome outcome) {
  switch (outcome) {
    case Outcome::kHeld:
      return "held";
    case Outcome::kBroken:
      return "broken";
    case Outcome::kNotChecked:
      return "not_checked";
  }
  return "";
}

const char* MarkOf(Outcome outcome) {
  switch (outcome) {
    case Outcome::kHeld:
      return "held       ";
    case Outcome::kBroken:
      return "BROKEN     ";
    case Outcome::kNotChecked:
      return "not checked";
  }
  return "";
}

}  // namespace

nlohmann::ordered_json RulesJson(const verify::Verdict& verdict) {
  auto rules = nlohmann::ordered_json::array();
  for (const Finding& finding : verdict.findings) {
    rules.push_back({{"rule", finding.rule},
                     {"outcome", NameOf(finding.outcome)},
                     {"detail", finding.detail}});
  }
  return rules;
}

void PrintRules(const verify::Verdict& verdict, bool broken_only,
                const std::string& label, std::ostream& out) {
  for (const Finding& finding : verdict.findings) {
    if (broken_only && finding.outcome != Outcome::kBroken) continue;
    out << "  " << label << MarkOf(finding.outcome) << "  " << finding.rule;
    if (!finding.detail.empty()) out << ": " << finding.detail;
    out << "\n";
  }
}

void PrintOutcome(const verify::Verdict& all, double seconds,
                  std::ostream& out) {
  const int broken = all.broken();
  out << (broken == 0 ? "certificate held"
                      : absl::StrCat("CERTIFICATE DID NOT HOLD: ", broken,
                                     " rules broken"))
      << " (" << all.findings.size() << " rules, recomputed by brute force in "
      << BriefSeconds(seconds) << ")\n";
}

ExitCode CodeOf(const verify::Verdict& verdict) {
  return verdict.held() ? ExitCode::kOk : ExitCode::kCertificateBroken;
}

}  // namespace steelyard::cli
