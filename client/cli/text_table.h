// Columns for people: numbers to the right, words to the left.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

namespace steelyard::cli {

class TextTable {
 public:
  explicit TextTable(std::vector<std::string> headings)
      : headings_(std::move(headings)) {}

  // As many cells as headings.
  void AddRow(std::vector<std::string> cells) {
    rows_.push_back(std::move(cells));
  }

  // Two blanks before each column; no blanks at the end of a line.
  void Print(std::ostream& out) const;

 private:
  std::vector<std::string> headings_;
  std::vector<std::vector<std::string>> rows_;
};

// Three digits: "0.32", "1.2e-15"; exact integers as they are.
std::string Brief(double number);

// "1.5 ms", "2.31 s".
std::string BriefSeconds(double seconds);

// "256 MiB", "512 B".
std::string BriefBytes(int64_t bytes);

}  // namespace steelyard::cli
