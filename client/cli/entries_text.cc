#include "client/cli/entries_text.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace steelyard::cli {

void PrintEntries(const NamedEntries& entries, int64_t show,
                  std::ostream& out) {
  constexpr Eigen::Index kColumnsMax = 4;
  const client::RowMajorMatrix& numbers = entries.numbers;
  const Eigen::Index count = std::min<Eigen::Index>(numbers.rows(), show);
  if (count == 0) return;
  const bool plain = entries.exponents.empty();
  out << "\n"
      << entries.name << " is " << numbers.rows() << " x " << numbers.cols()
      << (plain ? "\n" : "; an entry is number * 2^exponent\n");
  for (Eigen::Index i = 0; i < count; ++i) {
    std::string line = absl::StrFormat("  %6d ", i);
    const Eigen::Index columns = std::min(numbers.cols(), kColumnsMax);
    for (Eigen::Index k = 0; k < columns; ++k) {
      absl::StrAppendFormat(&line, " %24.17g", numbers(i, k));
      if (plain) continue;
      const auto at = static_cast<std::size_t>(i * numbers.cols() + k);
      absl::StrAppendFormat(&line, " * 2^%d", entries.exponents[at]);
    }
    out << line << (columns < numbers.cols() ? "  ...\n" : "\n");
  }
  if (count < numbers.rows()) {
    out << "  (" << numbers.rows() - count
        << " more rows; see --show, --json, --output)\n";
  }
}

}  // namespace steelyard::cli
