// A life of a store: uploads, a pause, deletions, a restart, a name used again.
// It tells how far it came, so that whoever finds the directory after a crash
// knows what must be there.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "tests/server/storage/store_fixture.h"

namespace steelyard::server {

// What the store has acknowledged.
enum class Reached : int {
  kNothing,
  kFinishedA,
  kHalfOfB,
  kDeletingA,
  kDeletedA,
  kFinishedC,
  kFinishedB,
  kHalfOfD,
  kDeletingD,
  kDeletedD,
  kFinishedNewA,
};

// Shared with the process that watches.
struct Progress {
  std::atomic<Reached> reached{Reached::kNothing};
  std::atomic<std::int64_t> committed_b{0};
};

struct MatrixLife {
  // Some marks: more than a MiB.
  const Sample a{"a", 20'000, 1};
  const Sample new_a{"a", 300, 2};
  const Sample b{"b", 20'000, 3};
  const Sample c{"c", 1, 4};
  const Sample d{"d", 200, 5};

  // Called with every status; true: try again, false: give up.
  using Retry = std::function<bool(const absl::Status&)>;

  // Returns false when it gave up.
  bool Run(const MatrixStore::Settings& settings, Progress& progress,
           const Retry& retry) const {
    std::unique_ptr<MatrixStore> store;
    const auto open = [&] {
      store = nullptr;
      auto opened = MatrixStore::Open(settings);
      if (opened.ok()) store = *std::move(opened);
      return opened.status();
    };
    const auto all = [&](const Sample& sample) {
      return Do(retry, [&] { return Upload(*store, sample, kChunk).status(); });
    };
    const auto drop = [&](const char* id) {
      return Do(retry, [&] { return Deleted(*store, id); });
    };
    const auto tell = [&](Reached reached) {
      progress.reached = reached;
      return true;
    };
    return Do(retry, open) && all(a) && tell(Reached::kFinishedA) &&
           Do(retry, [&] { return Half(*store, b, &progress); }) &&
           tell(Reached::kHalfOfB) && tell(Reached::kDeletingA) && drop("a") &&
           tell(Reached::kDeletedA) && all(c) && tell(Reached::kFinishedC) &&
           all(b) && tell(Reached::kFinishedB) &&
           Do(retry, [&] { return Half(*store, d, nullptr); }) &&
           tell(Reached::kHalfOfD) && tell(Reached::kDeletingD) && drop("d") &&
           tell(Reached::kDeletedD) && Do(retry, open) && all(new_a) &&
           tell(Reached::kFinishedNewA);
  }

  // What a store must hold that lived until `progress`; then all that was left
  // is done, so that it does hold the rest, too.
  void Check(MatrixStore& store, const Progress& progress) const {
    const Reached reached = progress.reached;
    const auto has = [&](const char* id) { return store.Get(id).ok(); };
    if (reached >= Reached::kFinishedA && reached < Reached::kDeletingA) {
      EXPECT_EQ(BytesIn(store, "a"), a.bytes);
    }
    if (reached >= Reached::kDeletedA && reached < Reached::kDeletedD) {
      EXPECT_EQ(store.StateOf("a").status().code(),
                absl::StatusCode::kNotFound);
    }
    if (reached >= Reached::kHalfOfB) {
      const auto state = store.StateOf("b");
      ASSERT_TRUE(state.ok()) << state.status();
      EXPECT_GE(state->committed, progress.committed_b);
    }
    EXPECT_TRUE(has("c") || reached < Reached::kFinishedC);
    EXPECT_TRUE(has("b") || reached < Reached::kFinishedB);
    if (reached >= Reached::kDeletedD) {
      EXPECT_EQ(store.StateOf("d").status().code(),
                absl::StatusCode::kNotFound);
    }
    EXPECT_TRUE(has("a") || reached < Reached::kFinishedNewA);
    // Whatever can be seen is whole.
    if (has("a")) {
      EXPECT_EQ(BytesIn(store, "a"),
                reached < Reached::kDeletedD ? a.bytes : new_a.bytes);
    }
    EXPECT_FALSE(has("d"));
    for (const Sample* each : {&b, &c}) {
      if (has(each->id.c_str())) {
        EXPECT_EQ(BytesIn(store, each->id), each->bytes);
      }
    }
    // Every upload goes on to its end.
    for (const Sample* each :
         {reached < Reached::kDeletingA ? &a : &new_a, &b, &c, &d}) {
      if (each == &new_a && reached < Reached::kDeletedD) continue;
      const auto info = Upload(store, *each, kChunk);
      ASSERT_TRUE(info.ok()) << each->id << ": " << info.status();
      EXPECT_EQ(BytesIn(store, each->id), each->bytes);
    }
  }

 private:
  static constexpr std::size_t kChunk = 300'000;

  static bool Do(const Retry& retry,
                 const std::function<absl::Status()>& step) {
    for (;;) {
      const absl::Status status = step();
      if (status.ok()) return true;
      if (!retry(status)) return false;
    }
  }

  // A retry of a deletion that went through after all.
  static absl::Status Deleted(MatrixStore& store, const char* id) {
    const absl::Status status = store.Delete(id);
    return status.code() == absl::StatusCode::kNotFound ? absl::OkStatus()
                                                        : status;
  }

  static absl::Status Half(MatrixStore& store, const Sample& sample,
                           Progress* progress) {
    auto begun = store.Begin(sample.id, sample.layout, sample.crc32c);
    if (!begun.ok()) return begun.status();
    MatrixUpload& upload = *begun->upload;
    const std::size_t half = sample.bytes.size() / 2;
    auto at = static_cast<std::size_t>(upload.committed());
    while (at < half) {
      const std::size_t count = std::min(kChunk, half - at);
      const absl::Status status = upload.Append(sample.Part(at, count));
      if (!status.ok()) return status;
      at += count;
      if (progress != nullptr) progress->committed_b = upload.committed();
    }
    return absl::OkStatus();
  }
};

}  // namespace steelyard::server
