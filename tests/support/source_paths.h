// Where the repository and the build tree lie, for tests that read files.
#pragma once

#include <string>
#include <string_view>

namespace steelyard::test {

// The path of a file of the repository: SourcePath("tests/data/x.npy").
std::string SourcePath(std::string_view relative_path);

// The path of a file of the build tree: BinaryPath("proto/x.binpb").
std::string BinaryPath(std::string_view relative_path);

}  // namespace steelyard::test
