// What a check by brute force found: one line a rule.
#pragma once

#include <string>
#include <vector>

namespace steelyard::verify {

enum class Outcome {
  kHeld,
  kBroken,
  kNotChecked,  // Nothing to compare with; `detail` says why.
};

struct Finding {
  std::string rule;  // "every key outside scores below epsilon"
  Outcome outcome = Outcome::kHeld;
  std::string detail;  // The numbers behind it.
};

struct Verdict {
  std::vector<Finding> findings;

  void Add(std::string rule, bool held, std::string detail);
  void AddUnchecked(std::string rule, std::string why);
  void Append(const Verdict& other);

  // No rule is broken.
  bool held() const;
  int broken() const;
};

}  // namespace steelyard::verify
