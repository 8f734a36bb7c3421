#include "client/verify/verdict.h"

#include <algorithm>
#include <utility>

namespace steelyard::verify {

void Verdict::Add(std::string rule, bool held, std::string detail) {
  findings.push_back({std::move(rule), held ? Outcome::kHeld : Outcome::kBroken,
                      std::move(detail)});
}

void Verdict::AddUnchecked(std::string rule, std::string why) {
  findings.push_back({std::move(rule), Outcome::kNotChecked, std::move(why)});
}

void Verdict::Append(const Verdict& other) {
  findings.insert(findings.end(), other.findings.begin(), other.findings.end());
}

int Verdict::broken() const {
  return static_cast<int>(std::count_if(
      findings.begin(), findings.end(), [](const Finding& finding) {
        return finding.outcome == Outcome::kBroken;
      }));
}

bool Verdict::held() const { return broken() == 0; }

}  // namespace steelyard::verify
