#include "server/request/resource_name.h"

#include <string>

#include "gtest/gtest.h"
#include "steelyard/status.h"

namespace steelyard::server {
namespace {

TEST(ResourceNameTest, AnIdIsAShortLowerCaseWord) {
  const std::string longest = "a" + std::string(62, '9');
  for (const std::string& id :
       {std::string("a"), std::string("x-7"), longest}) {
    EXPECT_TRUE(CheckResourceId(id, "id").ok()) << id;
    EXPECT_EQ(*ResourceIdOf("matrices", "matrices/" + id, "name"), id);
  }
  for (const std::string& id : {std::string(), longest + "9", std::string("7a"),
                                std::string("a/b"), std::string("a\0b", 3)}) {
    const absl::Status status = CheckResourceId(id, "header.matrix_id");
    EXPECT_EQ(DetailOf(status)->reason, "FIELD_OUT_OF_RANGE") << id;
    EXPECT_EQ(DetailOf(status)->field, "header.matrix_id");
  }
}

TEST(ResourceNameTest, ANameBelongsToOneCollection) {
  for (const char* name : {"a", "universalSets/a", "matrices/", "matrices/A",
                           "matrices", "matrices/a/b", "/matrices/a"}) {
    EXPECT_EQ(DetailOf(ResourceIdOf("matrices", name, "name").status())->reason,
              "FIELD_OUT_OF_RANGE")
        << name;
  }
  EXPECT_EQ(DetailOf(ResourceIdOf("matrices", "", "name").status())->reason,
            "FIELD_REQUIRED");
}

}  // namespace
}  // namespace steelyard::server
