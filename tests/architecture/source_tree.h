// The rules of the house as functions over a checkout. Each returns one line a
// violation, so that an empty answer means the rule holds.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace steelyard::test {

struct SourceFile {
  std::string path;  // relative to the root, with '/'
  std::vector<std::string> lines;
};

// Every source, header, script and proto of the rooms; not build folders.
std::vector<SourceFile> ReadSourceTree(const std::filesystem::path& root);

// A room includes only what its arrow allows (DESIGN, Rooms).
std::vector<std::string> ForbiddenIncludes(
    const std::vector<SourceFile>& files);

// One source alone includes oneTBB; SIMD kernels do not include Eigen; only
// server and end-to-end sources include .grpc.pb.h.
std::vector<std::string> MisplacedIncludes(
    const std::vector<SourceFile>& files);

// Files above `lines_max` lines.
std::vector<std::string> LongFiles(const std::vector<SourceFile>& files,
                                   std::size_t lines_max);

// C++ functions above `lines_max` lines, by Google's layout: a body opens with
// a line that ends in "{" at namespace depth and closes with "}" in column 0.
std::vector<std::string> LongFunctions(const std::vector<SourceFile>& files,
                                       std::size_t lines_max);

// Sources of core, server and client without a test of the same name.
// `tested_elsewhere`: {source, test} pairs; the test must exist.
std::vector<std::string> UntestedSources(
    const std::vector<SourceFile>& files,
    const std::vector<std::pair<std::string, std::string>>& tested_elsewhere);

// Test sources in which nothing is expected.
std::vector<std::string> TestsWithoutAssertion(
    const std::vector<SourceFile>& files);

// Build files that give one source its own -m flags.
std::vector<std::string> MachineFlags(const std::vector<SourceFile>& files);

// Left markers, disabled tests.
std::vector<std::string> LeftMarkers(const std::vector<SourceFile>& files);

}  // namespace steelyard::test
