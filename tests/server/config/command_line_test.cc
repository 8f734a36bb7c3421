#include "server/config/command_line.h"

#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/config/options.h"

namespace steelyard::server {
namespace {

using ::testing::HasSubstr;

Environment Variables(const std::map<std::string, std::string>& variables) {
  return [variables](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  };
}

const Environment kNoVariables = Variables({});

// A file that goes when the test ends.
class ConfigFile {
 public:
  explicit ConfigFile(const std::string& text)
      : path_(testing::TempDir() + "steelyard_" +
              testing::UnitTest::GetInstance()->current_test_info()->name() +
              ".conf") {
    std::ofstream(path_) << text;
  }
  ~ConfigFile() { std::filesystem::remove(path_); }
  const std::string& path() const { return path_; }

 private:
  const std::string path_;
};

std::string MessageFor(const std::vector<std::string>& arguments,
                       const Environment& environment = kNoVariables) {
  const auto line = ReadCommandLine(arguments, environment);
  return line.ok() ? "" : std::string(line.status().message());
}

TEST(CommandLineTest, DefaultsServeOnLoopback) {
  const auto line = ReadCommandLine({}, kNoVariables);
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->action, Action::kServe);
  EXPECT_EQ(line->config.listen, "127.0.0.1:50551");
  EXPECT_EQ(line->config.limits.request_bytes_max, 256 << 20);
}

TEST(CommandLineTest, FlagBeatsEnvironmentBeatsFileBeatsDefault) {
  const ConfigFile file(
      "# comment\nqueue-length = 1  # another\nworkers=1\nheads-max = 1\n");
  const auto line = ReadCommandLine(
      {"--config", file.path(), "--queue-length=3"},
      Variables({{"STEELYARD_QUEUE_LENGTH", "2"}, {"STEELYARD_WORKERS", "2"}}));
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->config.queue_length, 3);
  EXPECT_EQ(line->config.workers, 2);
  EXPECT_EQ(line->config.limits.heads_max, 1);
  EXPECT_EQ(line->config.limits.exponent_max, 64);
}

TEST(CommandLineTest, TheFileMayBeNamedByTheEnvironment) {
  const ConfigFile file("workers = 7\n");
  const auto line =
      ReadCommandLine({}, Variables({{"STEELYARD_CONFIG", file.path()}}));
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->config.workers, 7);
}

TEST(CommandLineTest, UnderstandsBytesAndDurations) {
  const auto line =
      ReadCommandLine({"--memory-budget=3GiB", "--transport-memory=5000000",
                       "--drain-delay=1m30s", "--drain-timeout", "250ms"},
                      kNoVariables);
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->config.memory_budget, std::int64_t{3} << 30);
  EXPECT_EQ(line->config.transport_memory, 5'000'000);
  EXPECT_EQ(line->config.drain_delay, absl::Seconds(90));
  EXPECT_EQ(line->config.drain_timeout, absl::Milliseconds(250));
}

TEST(CommandLineTest, AWrongValueIsOneLineWithItsSourceValueAndRule) {
  EXPECT_EQ(MessageFor({"--workers=many"}),
            "--workers is 'many'; it must be 0 to 1024 threads");
  EXPECT_EQ(MessageFor({}, Variables({{"STEELYARD_QUEUE_LENGTH", "4097"}})),
            "STEELYARD_QUEUE_LENGTH (queue-length) is '4097'; it must be 0 to "
            "4096 requests");
  const ConfigFile file("workers = 1\ndrain-delay = soon\n");
  EXPECT_EQ(MessageFor({"--config=" + file.path()}),
            file.path() +
                ":2 (drain-delay) is 'soon'; it must be 0s to 1h (such as "
                "250ms, 5s, 1m30s)");
}

TEST(CommandLineTest, EverySettingRefusesNonsense) {
  for (const Option& option : Options()) {
    if (option.name == "port-file" || option.name == "matrix-directory") {
      continue;  // any path
    }
    const std::string message =
        MessageFor({"--" + option.name + "=-non:sense"});
    EXPECT_THAT(message, HasSubstr("--" + option.name + " is '-non:sense'"));
    EXPECT_EQ(message.find('\n'), std::string::npos);
  }
}

TEST(CommandLineTest, RefusesWhatIsNoFlag) {
  EXPECT_THAT(MessageFor({"--queue=1"}), HasSubstr("unknown flag --queue"));
  EXPECT_THAT(MessageFor({"serve"}), HasSubstr("unexpected argument 'serve'"));
  EXPECT_THAT(MessageFor({"--workers"}), HasSubstr("needs a value"));
  EXPECT_THAT(MessageFor({"--help=yes"}), HasSubstr("takes no value"));
}

TEST(CommandLineTest, RefusesABrokenFile) {
  EXPECT_THAT(MessageFor({"--config=/no/such/file"}),
              HasSubstr("/no/such/file; cannot read it"));
  const ConfigFile twice("workers = 1\nworkers = 2\n");
  EXPECT_THAT(MessageFor({"--config=" + twice.path()}),
              HasSubstr(":2: 'workers' is set twice"));
}

TEST(CommandLineTest, RefusesWhatIsNoTextOfSettings) {
  EXPECT_THAT(MessageFor({"--config=" + testing::TempDir()}),
              HasSubstr("; cannot read it"));
  // Without an end; a message must not carry it all either.
  EXPECT_THAT(MessageFor({"--config=/dev/zero"}),
              HasSubstr("must have at most 65536 bytes"));
  const ConfigFile file(std::string("\0\x1b\xff", 3) + std::string(1000, 'x') +
                        "\n");
  const std::string message = MessageFor({"--config=" + file.path()});
  EXPECT_THAT(message, HasSubstr(R"(:1: '\x00\x1b)"));
  EXPECT_THAT(message, HasSubstr("xxx...' must be `name = value`"));
  EXPECT_LT(message.size(), file.path().size() + 200);
}

TEST(CommandLineTest, AnEmptyFileAndNoFileSetNothing) {
  const ConfigFile file("");
  EXPECT_EQ(MessageFor({"--config=" + file.path()}), "");
  EXPECT_EQ(MessageFor({"--config=/dev/null"}), "");
  EXPECT_EQ(MessageFor({"--config="}), "");
}

TEST(CommandLineTest, RefusesAnUnknownSettingAndALineWithoutEquals) {
  const ConfigFile file("wrokers = 1\n");
  EXPECT_THAT(MessageFor({"--config=" + file.path()}),
              HasSubstr(":1: unknown setting 'wrokers'"));
  std::ofstream(file.path()) << "workers 1\n";
  EXPECT_THAT(MessageFor({"--config=" + file.path()}),
              HasSubstr("must be `name = value`"));
}

TEST(CommandLineTest, PrintedConfigGivesTheSameConfig) {
  const auto first = ReadCommandLine(
      {"--print-config", "--queue-length=9", "--drain-delay=1.5s",
       "--request-bytes-max=2147483647", "--log-level=error"},
      kNoVariables);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->action, Action::kPrintConfig);
  const std::string printed = PrintedConfig(first->config);
  const ConfigFile file(printed);
  const auto second =
      ReadCommandLine({"--config=" + file.path()}, kNoVariables);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(PrintedConfig(second->config), printed);
  EXPECT_GE(second->config.workers, 1);
  EXPECT_GT(second->config.memory_budget, 0);
}

TEST(CommandLineTest, ListenTakesHostAndPort) {
  for (const char* good : {"127.0.0.1:0", "[::1]:50551", "localhost:65535"}) {
    EXPECT_EQ(MessageFor({std::string("--listen=") + good}), "") << good;
  }
  for (const char* bad : {"50551", ":1", "::1:50551", "host:65536", "host:"}) {
    EXPECT_NE(MessageFor({std::string("--listen=") + bad}), "") << bad;
  }
}

TEST(CommandLineTest, HelpTellsRangeUnitAndDefaultOfEverySetting) {
  const std::string help = HelpText();
  for (const Option& option : Options()) {
    EXPECT_THAT(help, HasSubstr("--" + option.name + "  [" +
                                EnvironmentName(option) + "]"));
    EXPECT_FALSE(option.range.empty());
    EXPECT_FALSE(option.help.empty());
  }
  std::size_t defaults = 0;
  for (std::size_t at = help.find("Default:"); at != std::string::npos;
       at = help.find("Default:", at + 1)) {
    ++defaults;
  }
  EXPECT_EQ(defaults, Options().size());
}

}  // namespace
}  // namespace steelyard::server
