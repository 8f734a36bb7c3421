#include "server/storage/matrix_store.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <fstream>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/status.h"
#include "tests/server/storage/step_files.h"
#include "tests/server/storage/store_fixture.h"

namespace steelyard::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using MatrixStoreTest = StoreFixture;

TEST_F(MatrixStoreTest, AMatrixIsSeenWhenItIsFinishedAndStays) {
  const Sample sample("a");
  auto begun = store_->Begin("a", sample.layout, sample.crc32c);
  ASSERT_TRUE(begun.ok()) << begun.status();
  ASSERT_NE(begun->upload, nullptr);
  EXPECT_EQ(begun->upload->committed(), 0);
  ASSERT_TRUE(begun->upload->Append(sample.Part(0, 4000)).ok());
  EXPECT_EQ(begun->upload->committed(), 4000);
  ASSERT_TRUE(begun->upload->Append(sample.Part(4000, 2400)).ok());

  EXPECT_EQ(store_->Get("a").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store_->Open("a").status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(*store_->List("", 10), IsEmpty());
  EXPECT_EQ(store_->StateOf("a")->committed, 6400);
  EXPECT_EQ(store_->StateOf("a")->total, 6400);
  EXPECT_FALSE(store_->StateOf("a")->complete);

  std::string checked;
  const auto info = begun->upload->Finish([&](const UploadedBytes& data) {
    checked.assign(reinterpret_cast<const char*>(data.get()),
                   sample.bytes.size());
    return absl::OkStatus();
  });
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(checked, sample.bytes);
  EXPECT_EQ(info->id, "a");
  EXPECT_EQ(info->layout, sample.layout);
  EXPECT_EQ(info->crc32c, sample.crc32c);
  EXPECT_TRUE(store_->StateOf("a")->complete);
  EXPECT_THAT(Files(), ElementsAre("matrices/a-1.bin"));
  EXPECT_EQ(BytesIn(*store_, "a"), sample.bytes);

  begun->upload = nullptr;
  Reopen();
  const auto later = store_->Get("a");
  ASSERT_TRUE(later.ok()) << later.status();
  EXPECT_EQ(later->layout, sample.layout);
  EXPECT_EQ(later->crc32c, sample.crc32c);
  EXPECT_EQ(later->create_time, info->create_time);
  EXPECT_EQ(BytesIn(*store_, "a"), sample.bytes);
}

TEST_F(MatrixStoreTest, EveryLayoutComesBack) {
  std::vector<MatrixLayout> layouts;
  for (const StorageType type :
       {StorageType::kFloat64, StorageType::kFloat32, StorageType::kFloat16,
        StorageType::kBFloat16}) {
    layouts.push_back(
        {.type = type, .extents = 3, .heads = 2, .rows = 3, .cols = 5});
    layouts.push_back(
        {.type = type, .sparse = true, .rows = 9, .cols = 7, .nonzeros = 11});
  }
  for (std::size_t i = 0; i < layouts.size(); ++i) {
    const std::string bytes(static_cast<std::size_t>(layouts[i].size()), 'x');
    auto begun =
        store_->Begin("m" + std::to_string(i), layouts[i], Crc32c(bytes));
    ASSERT_TRUE(begun.ok()) << begun.status();
    ASSERT_TRUE(begun->upload->Append(PartOf(bytes)).ok());
    ASSERT_TRUE(begun->upload->Finish(Accept).ok());
  }
  Reopen();
  for (std::size_t i = 0; i < layouts.size(); ++i) {
    EXPECT_EQ(store_->Get("m" + std::to_string(i))->layout, layouts[i]) << i;
  }
}

TEST_F(MatrixStoreTest, BeginOfWhatIsThereAnswersAtOnce) {
  const Sample sample("a");
  const auto info = Upload(*store_, sample);
  ASSERT_TRUE(info.ok()) << info.status();
  const auto again = store_->Begin("a", sample.layout, sample.crc32c);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->upload, nullptr);
  EXPECT_EQ(again->finished.create_time, info->create_time);

  MatrixLayout other = sample.layout;
  std::swap(other.rows, other.cols);
  const absl::Status layout = store_->Begin("a", other, sample.crc32c).status();
  EXPECT_EQ(layout.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(layout.message()), HasSubstr("layout"));
  const absl::Status checksum =
      store_->Begin("a", sample.layout, sample.crc32c + 1).status();
  EXPECT_EQ(checksum.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(checksum.message()), HasSubstr("checksum"));
}

TEST_F(MatrixStoreTest, AnUploadGoesOnInAnotherProcess) {
  const Sample sample("a");
  for (const std::size_t stop : {1u, 700u, 701u, 5000u, 6399u}) {
    auto begun = store_->Begin("a", sample.layout, sample.crc32c);
    ASSERT_TRUE(begun.ok()) << begun.status();
    const auto at = static_cast<std::size_t>(begun->upload->committed());
    ASSERT_TRUE(begun->upload->Append(sample.Part(at, stop - at)).ok());
    begun->upload = nullptr;
    Reopen();
    EXPECT_EQ(store_->StateOf("a")->committed, static_cast<std::int64_t>(stop));
    EXPECT_THAT(Files(), ElementsAre("uploads/a-1.marks", "uploads/a-1.part"));
  }
  EXPECT_EQ(
      store_->Begin("a", sample.layout, sample.crc32c + 1).status().code(),
      absl::StatusCode::kAlreadyExists);
  ASSERT_TRUE(Upload(*store_, sample).ok());
  EXPECT_EQ(BytesIn(*store_, "a"), sample.bytes);
}

TEST_F(MatrixStoreTest, WrongBytesAreRefusedAndDropped) {
  const Sample sample("a");
  {
    auto begun = store_->Begin("a", sample.layout, sample.crc32c + 1);
    ASSERT_TRUE(begun.ok());
    ASSERT_TRUE(begun->upload->Append(sample.All()).ok());
    const absl::Status status = begun->upload->Finish(Accept).status();
    EXPECT_EQ(DetailOf(status)->reason, "CHECKSUM_MISMATCH");
    EXPECT_EQ(begun->upload->Append(sample.Part(0, 1)).code(),
              absl::StatusCode::kNotFound);
  }
  EXPECT_THAT(Files(), IsEmpty());
  {
    auto begun = store_->Begin("a", sample.layout, sample.crc32c);
    ASSERT_TRUE(begun.ok());
    ASSERT_TRUE(begun->upload->Append(sample.All()).ok());
    const absl::Status status =
        begun->upload
            ->Finish([](const UploadedBytes&) {
              return NotFiniteError("chunk.data", 0, 3, 8, 1.0 / 0.0);
            })
            .status();
    EXPECT_EQ(DetailOf(status)->reason, "NOT_FINITE");
  }
  EXPECT_EQ(store_->StateOf("a").status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(Files(), IsEmpty());
  EXPECT_TRUE(Upload(*store_, sample).ok());
}

TEST_F(MatrixStoreTest, MissingAndExtraBytesAreRefusedAndTheUploadStays) {
  const Sample sample("a");
  auto begun = store_->Begin("a", sample.layout, sample.crc32c);
  ASSERT_TRUE(begun.ok());
  ASSERT_TRUE(begun->upload->Append(sample.Part(0, 6000)).ok());
  EXPECT_EQ(DetailOf(begun->upload->Finish(Accept).status())->reason,
            "WRONG_SIZE");
  const absl::Status extra = begun->upload->Append(sample.Part(0, 401));
  EXPECT_EQ(DetailOf(extra)->reason, "WRONG_SIZE");
  EXPECT_EQ(begun->upload->committed(), 6000);
  // What is no error of the bytes leaves them.
  ASSERT_TRUE(begun->upload->Append(sample.Part(6000, 400)).ok());
  EXPECT_EQ(begun->upload
                ->Finish([](const UploadedBytes&) {
                  return absl::CancelledError("stop");
                })
                .status()
                .code(),
            absl::StatusCode::kCancelled);
  EXPECT_EQ(store_->StateOf("a")->committed, 6400);
  EXPECT_TRUE(begun->upload->Finish(Accept).ok());
  EXPECT_EQ(BytesIn(*store_, "a"), sample.bytes);
}

TEST_F(MatrixStoreTest, ANewerSeatTakesTheOlderOnes) {
  const Sample sample("a");
  auto first = store_->Begin("a", sample.layout, sample.crc32c);
  ASSERT_TRUE(first.ok());
  ASSERT_TRUE(first->upload->Append(sample.Part(0, 1000)).ok());
  auto second = store_->Begin("a", sample.layout, sample.crc32c);
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second->upload->committed(), 1000);
  const absl::Status refused = first->upload->Append(sample.Part(1000, 10));
  EXPECT_EQ(refused.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(first->upload->seated().code(), absl::StatusCode::kAborted);
  EXPECT_TRUE(second->upload->seated().ok());
  EXPECT_EQ(DetailOf(refused)->reason, "TAKEN_OVER");
  EXPECT_EQ(DetailOf(first->upload->Finish(Accept).status())->reason,
            "TAKEN_OVER");
  ASSERT_TRUE(second->upload->Append(sample.Part(1000, 5400)).ok());
  // Also while the numbers are looked at.
  absl::StatusOr<MatrixStore::Begun> third;
  EXPECT_EQ(DetailOf(second->upload
                         ->Finish([&](const UploadedBytes&) {
                           third =
                               store_->Begin("a", sample.layout, sample.crc32c);
                           return absl::OkStatus();
                         })
                         .status())
                ->reason,
            "TAKEN_OVER");
  first->upload = nullptr;
  second->upload = nullptr;
  ASSERT_TRUE(third.ok());
  EXPECT_EQ(third->upload->committed(), 6400);
  EXPECT_TRUE(third->upload->Finish(Accept).ok());
  EXPECT_EQ(DetailOf(third->upload->Finish(Accept).status())->reason,
            "TAKEN_OVER");
  EXPECT_EQ(BytesIn(*store_, "a"), sample.bytes);
}

TEST_F(MatrixStoreTest, ADeletedMatrixWorksForThoseWhoHaveIt) {
  const Sample sample("a");
  const Sample other("a", 50, 2);
  ASSERT_TRUE(Upload(*store_, sample).ok());
  // Not even read yet.
  auto held = store_->Open("a");
  ASSERT_TRUE(held.ok());
  ASSERT_TRUE(store_->Delete("a").ok());
  EXPECT_EQ(store_->Delete("a").code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store_->Open("a").status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(Files(), IsEmpty());
  ASSERT_TRUE(Upload(*store_, other).ok());
  EXPECT_EQ(BytesIn(*store_, "a"), other.bytes);
  ASSERT_TRUE((*held)->Load({}).ok());
  EXPECT_EQ(std::string(reinterpret_cast<const char*>((*held)->data()),
                        sample.bytes.size()),
            sample.bytes);
  EXPECT_NE((*store_->Open("a"))->serial(), (*held)->serial());
  store_ = nullptr;
  EXPECT_EQ(static_cast<char>((*held)->data()[0]), sample.bytes[0]);
}

TEST_F(MatrixStoreTest, ADeletedUploadIsGone) {
  const Sample sample("a");
  auto begun = store_->Begin("a", sample.layout, sample.crc32c);
  ASSERT_TRUE(begun.ok());
  ASSERT_TRUE(begun->upload->Append(sample.All()).ok());
  EXPECT_EQ(begun->upload
                ->Finish([&](const UploadedBytes& data) {
                  EXPECT_TRUE(store_->Delete("a").ok());
                  // The mapping stays good.
                  EXPECT_EQ(static_cast<char>(data[6399]), sample.bytes.back());
                  return absl::OkStatus();
                })
                .status()
                .code(),
            absl::StatusCode::kNotFound);
  EXPECT_THAT(Files(), IsEmpty());
  begun->upload = nullptr;
  Reopen();
  EXPECT_EQ(store_->StateOf("a").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(MatrixStoreTest, ListsAreInOrderAndInPages) {
  for (const char* id : {"d", "a", "c", "b"}) {
    ASSERT_TRUE(Upload(*store_, Sample(id, 1)).ok());
  }
  const Sample unfinished("aa");
  auto begun = store_->Begin("aa", unfinished.layout, unfinished.crc32c);
  const auto ids = [&](const std::string& after, int count) {
    std::vector<std::string> found;
    const auto infos = store_->List(after, count);
    EXPECT_TRUE(infos.ok()) << infos.status();
    for (const MatrixInfo& info : *infos) found.push_back(info.id);
    return found;
  };
  EXPECT_THAT(ids("", 10), ElementsAre("a", "b", "c", "d"));
  EXPECT_THAT(ids("", 2), ElementsAre("a", "b"));
  EXPECT_THAT(ids("b", 1), ElementsAre("c"));
  EXPECT_THAT(ids("bb", 9), ElementsAre("c", "d"));
  EXPECT_THAT(ids("d", 9), IsEmpty());
}

TEST_F(MatrixStoreTest, UsesOfOneMatrixShareItsBytes) {
  const Sample small("small", 1000);
  const Sample large("large", 20'000);  // more than all memory
  ASSERT_TRUE(Upload(*store_, small).ok());
  ASSERT_TRUE(Upload(*store_, large, 100'000).ok());
  for (const Sample* sample : {&small, &large}) {
    const auto one = store_->Open(sample->id);
    const auto other = store_->Open(sample->id);
    ASSERT_TRUE(one.ok() && other.ok());
    EXPECT_EQ((*one)->serial(), (*other)->serial());
    ASSERT_TRUE((*one)->Load({}).ok());
    ASSERT_TRUE((*other)->Load({}).ok());
    EXPECT_EQ((*one)->data(), (*other)->data());
    EXPECT_EQ(BytesIn(*store_, sample->id), sample->bytes);
  }
  EXPECT_NE((*store_->Open("small"))->serial(),
            (*store_->Open("large"))->serial());
}

TEST_F(MatrixStoreTest, DamageOnTheDiskIsToldAndNeverServed) {
  const Sample sample("a");
  ASSERT_TRUE(Upload(*store_, sample).ok());
  const std::string path = PathOf("matrices/a-1.bin");
  std::fstream(path, std::ios::in | std::ios::out) << '\x7e';
  {
    const auto matrix = store_->Open("a");
    ASSERT_TRUE(matrix.ok());
    const absl::Status status = (*matrix)->Load({});
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(status.message()), HasSubstr("matrices/a-1.bin"));
  }
  std::filesystem::remove(path);
  EXPECT_EQ(store_->Open("a").status().code(), absl::StatusCode::kDataLoss);
  // The name is known, also after a restart, until somebody deletes it.
  Reopen();
  EXPECT_TRUE(store_->Get("a").ok());
  EXPECT_EQ(store_->Open("a").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(store_->Delete("a").ok());
  EXPECT_TRUE(Upload(*store_, sample).ok());
}

TEST_F(MatrixStoreTest, ADirectoryWithoutItsCatalogIsNotEmptied) {
  ASSERT_TRUE(Upload(*store_, Sample("a")).ok());
  store_ = nullptr;
  std::filesystem::rename(PathOf("catalog.sqlite"), PathOf("moved"));
  const absl::Status status = MatrixStore::Open(SettingsHere()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("catalog.sqlite"));
  EXPECT_THAT(Files(), ElementsAre("matrices/a-1.bin"));
  std::filesystem::rename(PathOf("moved"), PathOf("catalog.sqlite"));
  Reopen();
  EXPECT_TRUE(store_->Get("a").ok());
}

TEST_F(MatrixStoreTest, OneStoreADirectory) {
  EXPECT_EQ(MatrixStore::Open(SettingsHere()).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

// Bytes, then their name, then the row.
TEST_F(MatrixStoreTest, TheOrderOfFinishIsThatOfItsPromise) {
  store_ = nullptr;
  std::vector<std::string> steps;
  StepFiles files([&](std::string_view step) {
    steps.emplace_back(step);
    return 0;
  });
  MatrixStore::Settings settings = SettingsHere();
  settings.files = &files;
  Reopen(settings);
  const Sample sample("a");
  auto begun = store_->Begin("a", sample.layout, sample.crc32c);
  ASSERT_TRUE(begun.ok());
  ASSERT_TRUE(begun->upload->Append(sample.All()).ok());
  steps.clear();
  ASSERT_TRUE(begun->upload->Finish(Accept).ok());
  steps.erase(std::unique(steps.begin(), steps.end()), steps.end());
  EXPECT_THAT(steps, ElementsAre("sync", "rename", "sync-directory",
                                 "sql-write", "remove"));
  begun->upload = nullptr;
  store_ = nullptr;
}

TEST_F(MatrixStoreTest, UnfinishedUploadsAreBounded) {
  MatrixStore::Settings settings = SettingsHere();
  settings.uploads_max = 2;
  Reopen(settings);
  const Sample a("a");
  const Sample b("b");
  const Sample c("c");
  const auto begin = [&](const Sample& sample) {
    return store_->Begin(sample.id, sample.layout, sample.crc32c).status();
  };
  // Left as they are, also over a restart.
  EXPECT_TRUE(begin(a).ok());
  EXPECT_TRUE(begin(b).ok());
  for (int round = 0; round < 2; ++round) {
    const absl::Status full = begin(c);
    EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(DetailOf(full)->reason, "QUEUE_FULL") << full;
    EXPECT_EQ(store_->StateOf("c").status().code(),
              absl::StatusCode::kNotFound);
    // Those that are there go on.
    EXPECT_TRUE(begin(a).ok());
    Reopen(settings);
  }
  // A finished one does not count, and neither does a deleted one.
  EXPECT_TRUE(Upload(*store_, a).ok());
  EXPECT_TRUE(begin(c).ok());
  EXPECT_TRUE(begin(a).ok());
  EXPECT_TRUE(store_->Delete("b").ok());
  EXPECT_TRUE(begin(Sample("d")).ok());
  EXPECT_FALSE(begin(Sample("e")).ok());
}

// Bytes of a large matrix are on their way when Append returns; who asks finds
// them there.
TEST_F(MatrixStoreTest, BytesOnTheirWayAreCommittedForWhoAsks) {
  MatrixStore::Settings settings = SettingsHere();
  settings.behind_from = 0;
  Reopen(settings);
  const Sample sample("a");
  auto first = store_->Begin("a", sample.layout, sample.crc32c);
  ASSERT_TRUE(first.ok());
  ASSERT_TRUE(first->upload->Append(sample.Part(0, 1000)).ok());
  EXPECT_EQ(first->upload->next(), 1000);
  EXPECT_EQ(first->upload->committed(), 0);
  EXPECT_EQ(store_->StateOf("a")->committed, 1000);
  EXPECT_EQ(first->upload->committed(), 1000);
  // The next seat.
  ASSERT_TRUE(first->upload->Append(sample.Part(1000, 700)).ok());
  auto second = store_->Begin("a", sample.layout, sample.crc32c);
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second->upload->committed(), 1700);
  EXPECT_FALSE(first->upload->Append(sample.Part(1700, 1)).ok());
  // The next process.
  ASSERT_TRUE(second->upload->Append(sample.Part(1700, 300)).ok());
  second->upload = nullptr;
  first->upload = nullptr;
  Reopen(settings);
  EXPECT_EQ(store_->StateOf("a")->committed, 2000);
  ASSERT_TRUE(Upload(*store_, sample, 900).ok());
  EXPECT_EQ(BytesIn(*store_, "a"), sample.bytes);
}

TEST_F(MatrixStoreTest, WhatIsFoundToBeWrongIsDropped) {
  const Sample sample("a");
  auto first = store_->Begin("a", sample.layout, sample.crc32c);
  auto second = store_->Begin("a", sample.layout, sample.crc32c);
  ASSERT_TRUE(first.ok());
  ASSERT_TRUE(second.ok());
  // Not by a stream that has lost its seat.
  first->upload->Drop();
  EXPECT_TRUE(store_->StateOf("a").ok());
  second->upload->Drop();
  EXPECT_EQ(store_->StateOf("a").status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(Files(), ElementsAre());
}

class ExpiryTest : public StoreFixture {
 protected:
  MatrixStore::Settings WithClock(std::chrono::seconds ttl) {
    MatrixStore::Settings settings = SettingsHere();
    settings.upload_ttl = ttl;
    settings.now = [this] { return now_.load(); };
    return settings;
  }
  void Pass(std::chrono::seconds time) { now_ = now_.load() + time; }
  void Send(std::size_t bytes) {
    auto begun = store_->Begin("a", sample_.layout, sample_.crc32c);
    ASSERT_TRUE(begun.ok()) << begun.status();
    const auto at = static_cast<std::size_t>(begun->upload->committed());
    ASSERT_TRUE(begun->upload->Append(sample_.Part(at, bytes)).ok());
  }

  const Sample sample_{"a"};
  std::atomic<std::chrono::system_clock::time_point> now_{
      std::chrono::system_clock::time_point(std::chrono::hours(480'000))};
};

using std::chrono::seconds;

TEST_F(ExpiryTest, AnUploadThatNobodySendsIsDropped) {
  Reopen(WithClock(seconds(100)));
  Send(1000);
  Pass(seconds(99));
  EXPECT_EQ(store_->StateOf("a")->committed, 1000);
  Send(500);
  Pass(seconds(99));
  store_->RemoveExpired();
  EXPECT_EQ(store_->StateOf("a")->committed, 1500);
  Pass(seconds(1));
  EXPECT_EQ(store_->StateOf("a").status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(Files(), IsEmpty());
  // A Begin that finds it late begins anew.
  Send(1000);
  Pass(seconds(100));
  Send(10);
  EXPECT_EQ(store_->StateOf("a")->committed, 10);
  Pass(seconds(100));
  store_->RemoveExpired();
  EXPECT_THAT(Files(), IsEmpty());
}

TEST_F(ExpiryTest, NotWhileSomebodySendsAndNeverAMatrix) {
  Reopen(WithClock(seconds(100)));
  auto begun = store_->Begin("a", sample_.layout, sample_.crc32c);
  ASSERT_TRUE(begun.ok());
  Pass(seconds(1000));
  store_->RemoveExpired();
  ASSERT_TRUE(begun->upload->Append(sample_.All()).ok());
  ASSERT_TRUE(begun->upload->Finish(Accept).ok());
  begun->upload = nullptr;
  Pass(seconds(1000));
  store_->RemoveExpired();
  EXPECT_TRUE(store_->Get("a").ok());
}

TEST_F(ExpiryTest, TheTimeGoesOnWhileNoProcessRuns) {
  Reopen(WithClock(seconds(100)));
  Send(1000);
  Pass(seconds(60));
  Reopen(WithClock(seconds(100)));
  EXPECT_EQ(store_->StateOf("a")->committed, 1000);
  Pass(seconds(40));
  Reopen(WithClock(seconds(100)));
  EXPECT_THAT(Files(), IsEmpty());
  EXPECT_EQ(store_->StateOf("a").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ExpiryTest, AThreadOfTheStoreLooks) {
  Reopen(WithClock(seconds(1)));
  Send(1000);
  Pass(seconds(2));
  const auto end = std::chrono::steady_clock::now() + seconds(20);
  while (!Files().empty() && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_THAT(Files(), IsEmpty());
}

TEST_F(ExpiryTest, WithoutATimeUploadsStay) {
  Reopen(WithClock(seconds(0)));
  Send(1000);
  Pass(std::chrono::hours(10'000));
  store_->RemoveExpired();
  EXPECT_EQ(store_->StateOf("a")->committed, 1000);
}

}  // namespace
}  // namespace steelyard::server
