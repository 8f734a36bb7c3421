#include "tests/architecture/source_tree.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <regex>
#include <set>
#include <string_view>

namespace steelyard::test {
namespace {

constexpr std::array<std::string_view, 8> kRooms = {
    "proto", "core", "server", "client", "tests", "docker", "scripts", "cmake"};

bool StartsWith(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

bool EndsWith(std::string_view text, std::string_view suffix) {
  return text.size() >= suffix.size() &&
         text.substr(text.size() - suffix.size()) == suffix;
}

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

bool IsCpp(std::string_view path) {
  return EndsWith(path, ".cc") || EndsWith(path, ".h");
}

bool IsText(const std::filesystem::path& path) {
  static const std::set<std::string> kEndings = {
      ".cc", ".h", ".py", ".proto", ".cmake", ".txt", ".sh", ".yaml", ""};
  return kEndings.count(path.extension().string()) > 0;
}

// "path:line: what".
std::string At(const SourceFile& file, std::size_t line,
               std::string_view what) {
  return file.path + ":" + std::to_string(line + 1) + ": " + std::string(what);
}

// What a line includes, or "".
std::string IncludeOf(const std::string& line) {
  static const std::regex kInclude(R"(^\s*#\s*include\s*[<"]([^>"]+)[>"])");
  std::smatch match;
  return std::regex_search(line, match, kInclude) ? match[1].str() : "";
}

std::string RoomOf(std::string_view path) {
  return std::string(path.substr(0, path.find('/')));
}

bool IsProtoHeader(std::string_view include) {
  return EndsWith(include, ".pb.h") || StartsWith(include, "google/protobuf/");
}

bool IsGrpcHeader(std::string_view include) {
  return StartsWith(include, "grpc") || EndsWith(include, ".grpc.pb.h");
}

bool IsClientHeader(std::string_view include) {
  return StartsWith(include, "steelyard/client/") ||
         StartsWith(include, "client/");
}

// Headers of core: "steelyard/x.h", but not the client's nor the generated.
bool IsCoreHeader(std::string_view include) {
  return StartsWith(include, "steelyard/") && !IsClientHeader(include) &&
         !IsProtoHeader(include);
}

// Why a room may not include this, or "".
std::string WhyForbidden(std::string_view room, std::string_view include) {
  const bool server = StartsWith(include, "server/");
  if (StartsWith(include, "tests/") && room != "tests") {
    return "only tests include tests";
  }
  if (room == "core") {
    if (IsProtoHeader(include) || IsGrpcHeader(include)) {
      return "core knows no protobuf and no gRPC";
    }
    if (server || IsClientHeader(include)) return "core stands alone";
  }
  if (room == "client" && (server || IsCoreHeader(include))) {
    return "client sees proto only";
  }
  if (room == "server" && IsClientHeader(include)) {
    return "the server does not know its clients";
  }
  return "";
}

std::string Stem(const std::string& path) {
  return std::filesystem::path(path).stem().string();
}

}  // namespace

std::vector<SourceFile> ReadSourceTree(const std::filesystem::path& root) {
  std::vector<SourceFile> files;
  for (const std::string_view room : kRooms) {
    if (!std::filesystem::exists(root / room)) continue;
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(root / room)) {
      if (!entry.is_regular_file() || !IsText(entry.path())) continue;
      SourceFile file;
      file.path = entry.path().lexically_relative(root).generic_string();
      // Data, whatever it looks like.
      if (StartsWith(file.path, "tests/data/") && !EndsWith(file.path, ".py")) {
        continue;
      }
      std::ifstream stream(entry.path());
      for (std::string line; std::getline(stream, line);) {
        file.lines.push_back(line);
      }
      files.push_back(std::move(file));
    }
  }
  std::sort(files.begin(), files.end(),
            [](const auto& a, const auto& b) { return a.path < b.path; });
  return files;
}

std::vector<std::string> ForbiddenIncludes(
    const std::vector<SourceFile>& files) {
  std::vector<std::string> found;
  for (const SourceFile& file : files) {
    if (!IsCpp(file.path)) continue;
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      const std::string include = IncludeOf(file.lines[i]);
      if (include.empty()) continue;
      const std::string why = WhyForbidden(RoomOf(file.path), include);
      if (!why.empty()) found.push_back(At(file, i, include + ": " + why));
    }
  }
  return found;
}

std::vector<std::string> MisplacedIncludes(
    const std::vector<SourceFile>& files) {
  std::vector<std::string> found;
  for (const SourceFile& file : files) {
    if (!IsCpp(file.path)) continue;
    bool simd = false;
    bool eigen = false;
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      const std::string include = IncludeOf(file.lines[i]);
      simd = simd || include == "hwy/foreach_target.h";
      eigen = eigen || StartsWith(include, "Eigen/");
      if ((StartsWith(include, "tbb/") || StartsWith(include, "oneapi/")) &&
          file.path != "core/src/parallel/tbb_arena.cc") {
        found.push_back(At(file, i, "only tbb_arena.cc includes oneTBB"));
      }
      if (EndsWith(include, ".grpc.pb.h") && !StartsWith(file.path, "server/") &&
          !StartsWith(file.path, "client/src/") &&
          !StartsWith(file.path, "tests/end_to_end") &&
          !StartsWith(file.path, "tests/fuzz") &&
          !StartsWith(file.path, "tests/benchmarks") &&
          !Contains(file.path, "support")) {
        found.push_back(At(file, i, ".grpc.pb.h costs 17 s a source"));
      }
    }
    if (simd && eigen) {
      found.push_back(file.path + ": SIMD kernels do not include Eigen");
    }
  }
  return found;
}

std::vector<std::string> LongFiles(const std::vector<SourceFile>& files,
                                   std::size_t lines_max) {
  std::vector<std::string> found;
  for (const SourceFile& file : files) {
    if (file.lines.size() > lines_max) {
      found.push_back(file.path + ": " + std::to_string(file.lines.size()) +
                      " lines");
    }
  }
  return found;
}

std::vector<std::string> LongFunctions(const std::vector<SourceFile>& files,
                                       std::size_t lines_max) {
  static const std::regex kNotAFunction(
      R"(^(\}?\s*namespace|extern|class|struct|enum|union|template|constexpr|)"
      R"(const|static|using|#|//|TYPED_TEST_SUITE|INSTANTIATE))");
  std::vector<std::string> found;
  for (const SourceFile& file : files) {
    if (!IsCpp(file.path)) continue;
    std::size_t start = 0;
    bool open = false;
    bool function = false;
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      const std::string& line = file.lines[i];
      if (line.empty()) continue;
      const bool at_margin = line[0] != ' ' && line[0] != '}' && line[0] != '/';
      if (!open && at_margin) {
        start = i;
        function = !std::regex_search(line, kNotAFunction);
        open = true;
      }
      if (open && (line == "}" || line == "};" || EndsWith(line, ";")) &&
          line[0] != ' ') {
        const std::size_t length = i - start + 1;
        if (function && line == "}" && length > lines_max) {
          found.push_back(At(file, start, std::to_string(length) + " lines"));
        }
        open = false;
      }
      if (StartsWith(line, "namespace") || StartsWith(line, "#")) open = false;
    }
  }
  return found;
}

std::vector<std::string> UntestedSources(
    const std::vector<SourceFile>& files,
    const std::vector<std::pair<std::string, std::string>>& tested_elsewhere) {
  std::set<std::string> paths;
  std::set<std::string> tests;
  for (const SourceFile& file : files) {
    paths.insert(file.path);
    if (StartsWith(file.path, "tests/")) tests.insert(Stem(file.path));
  }
  std::vector<std::string> found;
  std::set<std::string> elsewhere;
  for (const auto& [source, test] : tested_elsewhere) {
    if (paths.count(source) == 0) found.push_back(source + " is gone");
    if (paths.count(test) == 0) found.push_back(test + " is gone");
    elsewhere.insert(source);
  }
  for (const SourceFile& file : files) {
    const std::string room = RoomOf(file.path);
    const bool source = EndsWith(file.path, ".cc") &&
                        (room == "core" || room == "server" || room == "client");
    if (!source || elsewhere.count(file.path) > 0) continue;
    const std::string stem = Stem(file.path);
    if (tests.count(stem + "_test") == 0 &&
        tests.count(stem + "_slow_test") == 0) {
      found.push_back(file.path + " has no test");
    }
  }
  return found;
}

std::vector<std::string> TestsWithoutAssertion(
    const std::vector<SourceFile>& files) {
  static const std::regex kAssertion(
      R"(\b(EXPECT_|ASSERT_|ADD_FAILURE|FAIL\()|\bself\.assert|\bassert\b)");
  std::vector<std::string> found;
  for (const SourceFile& file : files) {
    if (!StartsWith(file.path, "tests/") || (!EndsWith(file.path, "_test.cc") &&
                                             !EndsWith(file.path, "_test.py"))) {
      continue;
    }
    const bool asserts = std::any_of(
        file.lines.begin(), file.lines.end(), [](const std::string& line) {
          return std::regex_search(line, kAssertion);
        });
    if (!asserts) found.push_back(file.path + " asserts nothing");
  }
  return found;
}

std::vector<std::string> MachineFlags(const std::vector<SourceFile>& files) {
  static const std::regex kFlag(R"((^|[\s"';])-m(arch|tune|avx|fma|sse|cpu))");
  std::vector<std::string> found;
  for (const SourceFile& file : files) {
    if (!EndsWith(file.path, "CMakeLists.txt") &&
        !EndsWith(file.path, ".cmake")) {
      continue;
    }
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      if (std::regex_search(file.lines[i], kFlag)) {
        found.push_back(At(file, i, "no source gets its own -m flags"));
      }
    }
  }
  return found;
}

std::vector<std::string> LeftMarkers(const std::vector<SourceFile>& files) {
  // Spelled apart so that this source does not find itself.
  static const std::regex kMarker(std::string(R"(\b(TO)") + R"(DO|FIX)" +
                                  R"(ME|XX)" + R"(X|GTEST_)" + R"(SKIP)\b|)" +
                                  R"(\bDIS)" + R"(ABLED_)");
  std::vector<std::string> found;
  for (const SourceFile& file : files) {
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      if (std::regex_search(file.lines[i], kMarker)) {
        found.push_back(At(file, i, file.lines[i]));
      }
    }
  }
  return found;
}

}  // namespace steelyard::test
