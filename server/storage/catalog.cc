#include "server/storage/catalog.h"

#include <sqlite3.h>

#include <string_view>

#include "absl/strings/str_cat.h"
#include "server/errors/errors.h"

namespace steelyard::server {
namespace {

// "Styd": tells file(1) and us whose database it is.
constexpr int kApplicationId = 0x53747964;

constexpr char kTables[] = R"sql(
  BEGIN IMMEDIATE;
  CREATE TABLE matrices (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    finished INTEGER NOT NULL,
    type INTEGER NOT NULL,
    sparse INTEGER NOT NULL,
    extents INTEGER NOT NULL,
    heads INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    columns INTEGER NOT NULL,
    nonzeros INTEGER NOT NULL,
    crc32c INTEGER NOT NULL,
    time_us INTEGER NOT NULL
  ) STRICT;
  PRAGMA application_id = 1400142180;
  PRAGMA user_version = 1;
  COMMIT;
)sql";
static_assert(kApplicationId == 1400142180 && Catalog::kVersion == 1,
              "kTables says both once more");

// Ids of StorageType in the file; the enum may be reordered.
constexpr StorageType kTypes[] = {StorageType::kFloat64, StorageType::kFloat32,
                                  StorageType::kFloat16,
                                  StorageType::kBFloat16};

std::int64_t NumberOf(StorageType type) {
  std::int64_t number = 0;
  while (kTypes[number] != type) ++number;
  return number;
}

using Micros = std::chrono::microseconds;

std::int64_t MicrosOf(std::chrono::system_clock::time_point time) {
  return std::chrono::duration_cast<Micros>(time.time_since_epoch()).count();
}

std::chrono::system_clock::time_point TimeOf(std::int64_t micros) {
  return std::chrono::system_clock::time_point(Micros(micros));
}

// One statement, finalized at its end.
class Statement {
 public:
  Statement(sqlite3* database, std::string_view sql) {
    sqlite3_prepare_v2(database, sql.data(), static_cast<int>(sql.size()),
                       &statement_, nullptr);
  }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  // Parameters in their order.
  void Bind(std::int64_t value) {
    sqlite3_bind_int64(statement_, ++bound_, value);
  }
  void Bind(const std::string& value) {
    sqlite3_bind_text(statement_, ++bound_, value.data(),
                      static_cast<int>(value.size()), SQLITE_TRANSIENT);
  }
  // SQLITE_ROW, SQLITE_DONE or an error. A statement that was not prepared is
  // misuse, which SQLite answers with an error, too.
  int Step() { return sqlite3_step(statement_); }
  std::int64_t Integer(int column) {
    return sqlite3_column_int64(statement_, column);
  }
  std::string Text(int column) {
    const auto* text = sqlite3_column_text(statement_, column);
    return text == nullptr ? "" : reinterpret_cast<const char*>(text);
  }

 private:
  sqlite3_stmt* statement_ = nullptr;
  int bound_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Catalog>> Catalog::Open(
    const std::string& path) {
  sqlite3* database = nullptr;
  const int opened = sqlite3_open_v2(
      path.c_str(), &database,
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
      nullptr);
  std::unique_ptr<Catalog> catalog(new Catalog(database));
  const absl::Status ready =
      opened == SQLITE_OK ? catalog->Prepare() : catalog->Error("opening");
  if (ready.ok()) return catalog;
  if (ready.code() != absl::StatusCode::kInternal) return ready;
  return absl::UnavailableError(
      absl::StrCat("the catalog of stored matrices cannot be used: ", path,
                   ": ", std::string(ready.message())));
}

Catalog::~Catalog() { sqlite3_close(database_); }

absl::Status Catalog::Error(const char* doing) const {
  const int code = sqlite3_extended_errcode(database_);
  if ((code & 0xFF) == SQLITE_FULL) return DiskFullError("catalog.sqlite");
  return absl::InternalError(
      absl::StrCat(doing, " catalog.sqlite failed: ", sqlite3_errmsg(database_),
                   " (", code, ")"));
}

absl::Status Catalog::Run(const char* sql) {
  if (sqlite3_exec(database_, sql, nullptr, nullptr, nullptr) == SQLITE_OK) {
    return absl::OkStatus();
  }
  const absl::Status error = Error("changing");
  // Some errors leave the transaction open.
  if (sqlite3_get_autocommit(database_) == 0) {
    sqlite3_exec(database_, "ROLLBACK", nullptr, nullptr, nullptr);
  }
  return error;
}

absl::StatusOr<std::int64_t> Catalog::Number(const char* sql) {
  Statement statement(database_, sql);
  if (statement.Step() != SQLITE_ROW) return Error("reading");
  return statement.Integer(0);
}

absl::Status Catalog::Prepare() {
  // Before the log is looked at for the first time, so that it stays private.
  absl::Status status = Run("PRAGMA locking_mode = EXCLUSIVE");
  if (!status.ok()) return status;
  const auto tables = Number("SELECT count(*) FROM sqlite_schema");
  const auto owner = Number("PRAGMA application_id");
  const auto version = Number("PRAGMA user_version");
  if (!tables.ok()) return tables.status();
  if (!owner.ok()) return owner.status();
  if (!version.ok()) return version.status();
  made_ = *tables == 0;
  if (!made_ && *owner != kApplicationId) {
    return absl::FailedPreconditionError(
        "catalog.sqlite is a database of another program");
  }
  if (*version > kVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("catalog.sqlite is of version ", *version,
                     "; this server reads versions up to ", kVersion,
                     ": start a newer one, or give another directory"));
  }
  // The checkpoint in pages: a short log is soon read after a crash.
  status =
      Run("PRAGMA journal_mode = WAL;"
          "PRAGMA synchronous = FULL;"
          "PRAGMA wal_autocheckpoint = 64;");
  if (!status.ok() || made_) return status.ok() ? Run(kTables) : status;
  Statement check(database_, "PRAGMA quick_check(1)");
  if (check.Step() != SQLITE_ROW) return Error("checking");
  if (check.Text(0) != "ok") {
    return absl::InternalError(
        absl::StrCat("catalog.sqlite is damaged: ", check.Text(0)));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<CatalogRow>> Catalog::Rows() {
  const std::lock_guard lock(mutex_);
  Statement select(database_,
                   "SELECT number, id, finished, type, sparse, extents, heads, "
                   "rows, columns, nonzeros, crc32c, time_us FROM matrices");
  std::vector<CatalogRow> rows;
  int step = select.Step();
  for (; step == SQLITE_ROW; step = select.Step()) {
    const std::int64_t type = select.Integer(3);
    if (type < 0 || type >= std::ssize(kTypes)) {
      return absl::InternalError(absl::StrCat(
          "catalog.sqlite is damaged: ", select.Text(1), " has type ", type));
    }
    rows.push_back({.number = select.Integer(0),
                    .id = select.Text(1),
                    .finished = select.Integer(2) != 0,
                    .layout = {.type = kTypes[type],
                               .sparse = select.Integer(4) != 0,
                               .extents = static_cast<int>(select.Integer(5)),
                               .heads = select.Integer(6),
                               .rows = select.Integer(7),
                               .cols = select.Integer(8),
                               .nonzeros = select.Integer(9)},
                    .crc32c = static_cast<std::uint32_t>(select.Integer(10)),
                    .time = TimeOf(select.Integer(11))});
  }
  if (step != SQLITE_DONE) return Error("reading");
  return rows;
}

absl::Status Catalog::Put(const CatalogRow& row) {
  const std::lock_guard lock(mutex_);
  Statement insert(database_,
                   "INSERT OR REPLACE INTO matrices VALUES "
                   "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  insert.Bind(row.number);
  insert.Bind(row.id);
  for (const std::int64_t value :
       {std::int64_t{row.finished}, NumberOf(row.layout.type),
        std::int64_t{row.layout.sparse}, std::int64_t{row.layout.extents},
        row.layout.heads, row.layout.rows, row.layout.cols, row.layout.nonzeros,
        std::int64_t{row.crc32c}, MicrosOf(row.time)}) {
    insert.Bind(value);
  }
  return insert.Step() == SQLITE_DONE ? absl::OkStatus() : Error("changing");
}

absl::Status Catalog::SetFinished(std::int64_t number,
                                  std::chrono::system_clock::time_point time) {
  const std::lock_guard lock(mutex_);
  Statement update(
      database_,
      "UPDATE matrices SET finished = 1, time_us = ? WHERE number = ?");
  update.Bind(MicrosOf(time));
  update.Bind(number);
  if (update.Step() != SQLITE_DONE) return Error("changing");
  if (sqlite3_changes(database_) == 1) return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat("catalog.sqlite has no row ", number));
}

absl::Status Catalog::Remove(std::int64_t number) {
  const std::lock_guard lock(mutex_);
  Statement remove(database_, "DELETE FROM matrices WHERE number = ?");
  remove.Bind(number);
  return remove.Step() == SQLITE_DONE ? absl::OkStatus() : Error("changing");
}

}  // namespace steelyard::server
