// What --verify found, for people and for programs.
#pragma once

#include <nlohmann/json.hpp>
#include <ostream>

#include "client/cli/exit_code.h"
#include "client/verify/verdict.h"

namespace steelyard::cli {

// [{"rule", "outcome", "detail"}]
nlohmann::ordered_json RulesJson(const verify::Verdict& verdict);

// A line a rule; with `broken_only`, of the broken ones. Each line starts with
// `label`.
void PrintRules(const verify::Verdict& verdict, bool broken_only,
                const std::string& label, std::ostream& out);

// "certificate held", or how many rules did not.
void PrintOutcome(const verify::Verdict& all, double seconds,
                  std::ostream& out);

ExitCode CodeOf(const verify::Verdict& verdict);

}  // namespace steelyard::cli
