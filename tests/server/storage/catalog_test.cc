#include "server/storage/catalog.h"

#include <sqlite3.h>

#include <fstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/storage/store_fixture.h"

namespace steelyard::server {
namespace {

using std::chrono::microseconds;
using std::chrono::system_clock;
using testing::HasSubstr;

class CatalogTest : public testing::Test {
 protected:
  std::unique_ptr<Catalog> Open() {
    auto catalog = Catalog::Open(path_);
    EXPECT_TRUE(catalog.ok()) << catalog.status();
    return catalog.ok() ? *std::move(catalog) : nullptr;
  }
  void Change(const std::string& sql) {
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &database), SQLITE_OK);
    char* error = nullptr;
    sqlite3_exec(database, sql.c_str(), nullptr, nullptr, &error);
    EXPECT_EQ(error, nullptr) << error;
    sqlite3_close(database);
  }
  static CatalogRow Row(std::int64_t number, const std::string& id) {
    return {
        .number = number,
        .id = id,
        .finished = false,
        .layout = {.type = StorageType::kBFloat16,
                   .sparse = true,
                   .extents = 3,
                   .heads = 4,
                   .rows = Index{1} << 40,
                   .cols = 6,
                   .nonzeros = 7},
        .crc32c = 0xFFFFFFFEu,
        .time = system_clock::time_point(microseconds(1'700'000'000'000'001))};
  }

  const TemporaryDirectory directory_;
  const std::string path_ = directory_.path() + "/catalog.sqlite";
};

TEST_F(CatalogTest, RowsComeBackAsTheyWere) {
  {
    const auto catalog = Open();
    EXPECT_TRUE(catalog->made());
    ASSERT_TRUE(catalog->Put(Row(3, "a'b")).ok());
    ASSERT_TRUE(catalog->Put(Row(4, "c")).ok());
    ASSERT_TRUE(catalog->Put(Row(5, "d")).ok());
    const auto finish = system_clock::time_point(microseconds(77));
    ASSERT_TRUE(catalog->SetFinished(4, finish).ok());
    ASSERT_TRUE(catalog->Remove(5).ok());
  }
  const auto catalog = Open();
  EXPECT_FALSE(catalog->made());
  auto rows = catalog->Rows();
  ASSERT_TRUE(rows.ok()) << rows.status();
  ASSERT_EQ(rows->size(), 2u);
  const CatalogRow wanted = Row(3, "a'b");
  const CatalogRow& row = rows->at(0);
  EXPECT_EQ(row.number, 3);
  EXPECT_EQ(row.id, wanted.id);
  EXPECT_FALSE(row.finished);
  EXPECT_EQ(row.layout, wanted.layout);
  EXPECT_EQ(row.crc32c, wanted.crc32c);
  EXPECT_EQ(row.time, wanted.time);
  EXPECT_TRUE(rows->at(1).finished);
  EXPECT_EQ(rows->at(1).time.time_since_epoch(), microseconds(77));
}

TEST_F(CatalogTest, ARowOfTheSameIdIsReplaced) {
  const auto catalog = Open();
  ASSERT_TRUE(catalog->Put(Row(1, "a")).ok());
  ASSERT_TRUE(catalog->Put(Row(2, "a")).ok());
  const auto rows = catalog->Rows();
  ASSERT_TRUE(rows.ok());
  ASSERT_EQ(rows->size(), 1u);
  EXPECT_EQ(rows->at(0).number, 2);
  EXPECT_EQ(catalog->SetFinished(1, {}).code(), absl::StatusCode::kInternal);
}

TEST_F(CatalogTest, ANewerVersionIsRefusedAndLeftAlone) {
  Open();
  Change("PRAGMA user_version = 2");
  const absl::Status status = Catalog::Open(path_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("version 2"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("up to 1"));
  Change("PRAGMA user_version = 1");
  EXPECT_TRUE(Catalog::Open(path_).ok());
}

TEST_F(CatalogTest, ADatabaseOfAnotherProgramIsRefusedAndLeftAlone) {
  Change("CREATE TABLE other (x)");
  EXPECT_EQ(Catalog::Open(path_).status().code(),
            absl::StatusCode::kFailedPrecondition);
  Change("INSERT INTO other VALUES (1)");
}

TEST_F(CatalogTest, DamageIsTold) {
  {
    const auto catalog = Open();
    for (int i = 1; i <= 200; ++i) {
      ASSERT_TRUE(catalog->Put(Row(i, "m" + std::to_string(i))).ok());
    }
  }
  std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(4096);
  file << std::string(8192, '\x5a');
  file.close();
  const absl::Status status = Catalog::Open(path_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(path_));

  std::ofstream(path_, std::ios::trunc) << std::string(4096, 'x');
  EXPECT_EQ(Catalog::Open(path_).status().code(),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(Catalog::Open(directory_.path() + "/none/c").status().code(),
            absl::StatusCode::kUnavailable);
}

TEST_F(CatalogTest, ATypeThatIsUnknownIsTold) {
  {
    const auto catalog = Open();
    ASSERT_TRUE(catalog->Put(Row(1, "a")).ok());
  }
  Change("UPDATE matrices SET type = 4");
  EXPECT_EQ(Open()->Rows().status().code(), absl::StatusCode::kInternal);
}

}  // namespace
}  // namespace steelyard::server
