// Many threads at one store, also at one name.
#include <atomic>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "steelyard/status.h"
#include "tests/server/storage/store_fixture.h"

namespace steelyard::server {
namespace {

class StoreConcurrencyTest : public StoreFixture {
 protected:
  StoreConcurrencyTest() : StoreFixture(true) {}

  // `count` threads at once.
  static void InThreads(int count, const std::function<void(int)>& work) {
    std::vector<std::thread> threads;
    for (int i = 0; i < count; ++i) threads.emplace_back(work, i);
    for (std::thread& thread : threads) thread.join();
  }
};

TEST_F(StoreConcurrencyTest, DifferentNamesDoNotDisturbEachOther) {
  InThreads(4, [&](int thread) {
    for (int round = 0; round < 5; ++round) {
      const Sample sample("m" + std::to_string(thread), 400 + thread,
                          static_cast<std::uint64_t>(10 * thread + round));
      EXPECT_TRUE(Upload(*store_, sample, 3000).ok());
      EXPECT_EQ(BytesIn(*store_, sample.id), sample.bytes);
      if (round < 4) {
        EXPECT_TRUE(store_->Delete(sample.id).ok());
      }
    }
  });
  EXPECT_EQ(store_->List("", 10)->size(), 4u);
}

// Each takes the seat of the one before; one of them comes to the end, whoever
// it is, and only bytes of the matrix are in it.
TEST_F(StoreConcurrencyTest, OneNameIsFinishedOnceHoweverManySend) {
  for (std::uint64_t round = 0; round < 5; ++round) {
    const Sample sample("a", 300, round);
    std::atomic<int> finished{0};
    InThreads(4, [&](int) {
      for (int tries = 0; tries < 200; ++tries) {
        const auto info = Upload(*store_, sample, 700);
        if (info.ok()) {
          ++finished;
          return;
        }
        EXPECT_EQ(info.status().code(), absl::StatusCode::kAborted)
            << info.status();
        std::this_thread::yield();
      }
    });
    EXPECT_EQ(finished, 4);
    EXPECT_EQ(BytesIn(*store_, "a"), sample.bytes);
    EXPECT_EQ(Files().size(), 1u);
    EXPECT_TRUE(store_->Delete("a").ok());
  }
}

// Everything at once at few names. Whatever is seen is whole.
TEST_F(StoreConcurrencyTest, UploadsDeletionsAndReadersOfTheSameNames) {
  std::vector<Sample> samples;
  for (const char* id : {"a", "b", "c"}) {
    samples.emplace_back(id, 200, samples.size());
  }
  std::atomic<int> finished{0};
  std::atomic<int> read{0};
  InThreads(6, [&](int thread) {
    for (int round = 0; round < 60; ++round) {
      const Sample& sample =
          samples[static_cast<std::size_t>(round + thread) % samples.size()];
      if (thread < 3) {
        finished += Upload(*store_, sample, 1500).ok() ? 1 : 0;
      } else if (thread < 5) {
        const auto matrix = store_->Open(sample.id);
        if (matrix.ok()) {
          EXPECT_TRUE((*matrix)->Load({}).ok());
          EXPECT_EQ(
              std::string(reinterpret_cast<const char*>((*matrix)->data()),
                          sample.bytes.size()),
              sample.bytes);
          ++read;
        }
        store_->StateOf(sample.id).status().IgnoreError();
        store_->Get(sample.id).status().IgnoreError();
        store_->List("", 2).status().IgnoreError();
        store_->RemoveExpired();
      } else {
        store_->Delete(sample.id).IgnoreError();
      }
    }
  });
  EXPECT_GT(finished, 0);
  for (const Sample& sample : samples) {
    EXPECT_TRUE(Upload(*store_, sample).ok());
  }
  EXPECT_EQ(Files().size(), samples.size());
  Reopen();
  for (const Sample& sample : samples) {
    EXPECT_EQ(BytesIn(*store_, sample.id), sample.bytes);
  }
}

}  // namespace
}  // namespace steelyard::server
