#include "client/cli/arguments.h"

#include <cstdint>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace steelyard::cli {
namespace {

using ::testing::HasSubstr;

CommandSpec Weigh() {
  return {
      .name = "weigh",
      .arguments = "THING",
      .argument_count = 1,
      .flags = {{.name = "fast"},
                {.name = "mass",
                 .kind = FlagKind::kReal,
                 .value = "X",
                 .least = 0.0,
                 .most = 1.0,
                 .least_is_open = true},
                {.name = "count",
                 .kind = FlagKind::kInteger,
                 .value = "N",
                 .least = 1},
                {.name = "share",
                 .kind = FlagKind::kReal,
                 .value = "X",
                 .least = 0.0,
                 .most = 1.0,
                 .least_is_open = true,
                 .most_is_open = true},
                {.name = "pebbles",
                 .kind = FlagKind::kInteger,
                 .value = "N",
                 .least = 0,
                 .most = 1e6},
                {.name = "seed", .kind = FlagKind::kUnsigned, .value = "N"},
                {.name = "wait",
                 .kind = FlagKind::kDuration,
                 .value = "1s",
                 .least = 0.0,
                 .least_is_open = true},
                {.name = "unit",
                 .kind = FlagKind::kChoice,
                 .value = "U",
                 .choices = {"kg", "lb"}},
                {.name = "note", .kind = FlagKind::kText, .value = "TEXT"}}};
}

std::string ProblemOf(const std::vector<std::string>& words) {
  const CommandSpec command = Weigh();
  const auto parsed = Arguments::Parse(command, words);
  return parsed.ok() ? "" : std::string(parsed.status().message());
}

TEST(ArgumentsTest, FlagsAnywhereInEitherForm) {
  const CommandSpec command = Weigh();
  const auto parsed = Arguments::Parse(
      command, std::vector<std::string>{"--mass=0.5", "stone", "--count", "3",
                                        "--wait=1500ms", "--fast", "--unit=lb",
                                        "--note=a=b"});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->positional(0), "stone");
  EXPECT_EQ(parsed->Real("mass"), 0.5);
  EXPECT_EQ(parsed->Integer("count"), 3);
  EXPECT_EQ(parsed->Seconds("wait"), 1.5);
  EXPECT_TRUE(parsed->Has("fast"));
  EXPECT_EQ(parsed->Text("unit"), "lb");
  EXPECT_EQ(parsed->Text("note"), "a=b");
}

// A server chooses any of them, and --seed must take it back.
TEST(ArgumentsTest, UnsignedTakesAllOf64Bits) {
  const CommandSpec command = Weigh();
  for (const uint64_t seed : {uint64_t{0}, uint64_t{1} << 63, ~uint64_t{0}}) {
    const auto parsed = Arguments::Parse(
        command,
        std::vector<std::string>{"stone", "--seed", std::to_string(seed)});
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(parsed->Unsigned("seed"), seed);
    EXPECT_EQ(parsed->Unsigned("note"), std::nullopt);
  }
}

TEST(ArgumentsTest, WhatIsNotGivenIsUnset) {
  const CommandSpec command = Weigh();
  const auto parsed =
      Arguments::Parse(command, std::vector<std::string>{"--", "--mass"});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->positional(0), "--mass");
  EXPECT_EQ(parsed->Real("mass"), std::nullopt);
  EXPECT_EQ(parsed->Integer("count"), std::nullopt);
  EXPECT_EQ(parsed->Seconds("wait"), std::nullopt);
  EXPECT_FALSE(parsed->Has("fast"));
}

TEST(ArgumentsTest, MistakesAreNamed) {
  const struct {
    std::vector<std::string> words;
    const char* part;
  } rows[] = {
      {{}, "takes THING, but 0 were given"},
      {{"a", "b"}, "but 2 were given: a b"},
      {{"a", "--mas=1"}, "unknown flag --mas of 'weigh'; did you mean --mass?"},
      {{"a", "--xyzzy"}, "see: steelyard help weigh"},
      {{"a", "--mass"}, "--mass needs a value: --mass=X"},
      {{"a", "--mass=heavy"}, "--mass is 'heavy'; required is a number"},
      {{"a", "--mass=0"}, "--mass is 0; required is (0, 1]"},
      {{"a", "--mass=1.5"}, "--mass is 1.5; required is (0, 1]"},
      {{"a", "--mass=inf"}, "required is (0, 1]"},
      {{"a", "--mass="}, "required is a number"},
      {{"a", "--count=2.5"}, "required is an integer"},
      {{"a", "--count=0"}, "--count is 0; required is >= 1"},
      {{"a", "--count=99999999999999999999"}, "required is an integer"},
      {{"a", "--share=1"}, "--share is 1; required is (0, 1)"},
      {{"a", "--pebbles=-1"}, "required is [0, 1000000]"},
      {{"a", "--seed=-1"}, "required is an integer in [0, 2^64)"},
      {{"a", "--seed=18446744073709551616"}, "in [0, 2^64)"},
      {{"a", "-x", "1"}, "unknown flag -x of 'weigh'"},
      {{"a", "--wait=5"}, "a duration with its unit"},
      {{"a", "--wait=-1s"}, "required is > 0"},
      {{"a", "--unit=stone"}, "required is one of kg, lb"},
      {{"a", "--note="}, "--note is empty"},
      {{"a", "--fast=yes"}, "--fast takes no value"},
      {{"a", "--fast", "--fast"}, "--fast is given twice"},
  };
  for (const auto& row : rows) {
    EXPECT_THAT(ProblemOf(row.words), HasSubstr(row.part));
  }
}

TEST(ArgumentsTest, NearestIsNearOrNothing) {
  const std::vector<std::string> known = {"epsilon", "top-m", "verify"};
  EXPECT_EQ(Nearest("epsilom", known), "epsilon");
  EXPECT_EQ(Nearest("veri", known), "verify");
  EXPECT_EQ(Nearest("topm", known), "top-m");
  EXPECT_EQ(Nearest("banana", known), "");
  EXPECT_EQ(Nearest(std::string(1000, 'x'), known), "");
}

}  // namespace
}  // namespace steelyard::cli
