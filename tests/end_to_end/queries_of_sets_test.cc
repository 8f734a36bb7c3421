// Queries and attention of sets that the server keeps: found, streamed, merged,
// still receiving, deleted while in use.
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support_server/attention_by_force.h"
#include "tests/support_server/caller.h"
#include "tests/support_server/query_caller.h"
#include "tests/support_server/requests.h"
#include "tests/support_server/running_server.h"
#include "tests/support_server/set_caller.h"
#include "tests/support_server/streamed_keys.h"

namespace steelyard::test {
namespace {

constexpr std::int64_t kKeys = 240;
constexpr std::int64_t kColumns = 5;
constexpr std::int64_t kQueries = 6;

// Relative error of scores of well conditioned keys: n d roundings of both
// sides, times p.
constexpr double kTolerance = 8.0 * kKeys * kColumns * 2.0 * 0x1p-53;

class QueriesOfSetsTest : public testing::Test {
 protected:
  void Find(const std::string& id) const {
    v1::FindUniversalSetRequest request;
    *request.mutable_keys()->mutable_dense() = keys_;
    request.set_epsilon(0.1);
    request.set_set_id(id);
    v1::FindUniversalSetResponse response;
    const grpc::Status status = sets_.Find(request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }

  // Keys [first, last) as a session, finished or left to be gone on with.
  void Stream(const std::string& id, std::int64_t first, std::int64_t last,
              bool finish) const {
    StreamedKeys stream(sets_);
    v1::StreamKeysRequest open = OpenMessage(id, kColumns);
    open.mutable_open()->set_first_index(first);
    stream.Send(open);
    v1::StreamKeysRequest chunk = ChunkMessage(keys_, first, last - first);
    chunk.mutable_chunk()->set_offset(0);
    stream.Send(chunk);
    if (finish) stream.Send(FinishMessage());
    stream.HalfClose();
    const grpc::Status status = stream.Finish();
    ASSERT_TRUE(status.ok()) << status.error_message();
  }

  void Merge(const std::string& id) const {
    Stream("front", 0, 100, false);
    Stream("back", 100, kKeys, false);
    v1::MergeStatesRequest open;
    open.mutable_open()->set_set_id(id);
    open.mutable_open()->add_names("universalSets/back");
    open.mutable_open()->add_names("universalSets/front");
    v1::MergeStatesResponse response;
    const grpc::Status status = sets_.Merge({open}, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }

  v1::QueryHeavyRequest HeavyOf(const std::string& id) const {
    v1::QueryHeavyRequest request;
    request.mutable_universal_set()->set_name("universalSets/" + id);
    *request.mutable_queries() = queries_tensor_;
    request.set_epsilon(0.12);
    return request;
  }

  v1::AttendRequest AttentionOf(const std::string& id) const {
    v1::AttendRequest request;
    request.mutable_universal_set()->set_name("universalSets/" + id);
    *request.mutable_values()->mutable_dense() = values_;
    *request.mutable_queries() = queries_tensor_;
    return request;
  }

  // Every score of the first `seen` keys at epsilon and above is there.
  void ExpectHeavy(const google::protobuf::RepeatedPtrField<v1::HeavyRow>& rows,
                   std::int64_t seen = kKeys) const {
    ASSERT_EQ(rows.size(), kQueries);
    const ForceTensor keys(keys_);
    const ForceTensor queries(queries_tensor_);
    for (std::int64_t i = 0; i < kQueries; ++i) {
      const ForceRow values = ForceValues({}, queries.row(0, i), keys, 0, seen);
      const long double z = ForceSum(values);
      const v1::HeavyRow& row = rows.Get(static_cast<int>(i));
      std::vector<std::int64_t> expected;
      for (std::int64_t j = 0; j < seen; ++j) {
        if (values[static_cast<std::size_t>(j)] / z >= 0.12L) {
          expected.push_back(j);
        }
      }
      EXPECT_THAT(row.indices(), testing::ElementsAreArray(expected));
      for (int e = 0; e < row.indices_size(); ++e) {
        const auto j = static_cast<std::size_t>(row.indices(e));
        EXPECT_NEAR(row.scores(e), static_cast<double>(values[j] / z),
                    kTolerance);
      }
    }
  }

  // As attention to the members of the set that the keys have.
  void ExpectAttention(const v1::AttendResponse& response) const {
    v1::AttendRequest request = AttentionOf("none");
    request.clear_universal_set();
    *request.mutable_keys()->mutable_dense() = keys_;
    request.set_epsilon(0.1);
    v1::AttendResponse expected;
    const grpc::Status status = queries_.Attend(request, &expected);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_THAT(response.attended(),
                testing::ElementsAreArray(expected.attended()));
    EXPECT_GT(expected.attended(0), 0);
    const ForceTensor output(response.output());
    const ForceTensor wanted(expected.output());
    for (std::size_t i = 0; i < wanted.numbers.size(); ++i) {
      EXPECT_NEAR(output.numbers[i], wanted.numbers[i], 10.0 * kTolerance);
    }
    ASSERT_EQ(response.captured_mass_size(), kQueries);
    for (int i = 0; i < kQueries; ++i) {
      EXPECT_NEAR(response.captured_mass(i), expected.captured_mass(i),
                  kTolerance);
    }
  }

  // One answer of each stream RPC about set `id`.
  void ExpectStreams(const std::string& id) const {
    v1::QueryBlock block;
    block.set_id(3);
    *block.mutable_queries() = queries_tensor_;
    grpc::ClientContext heavy_context;
    const auto heavy = queries_.StreamQueryHeavy(&heavy_context);
    v1::StreamQueryHeavyRequest heavy_open, heavy_block;
    *heavy_open.mutable_open() = HeavyOf(id);
    heavy_open.mutable_open()->clear_queries();
    *heavy_block.mutable_block() = block;
    EXPECT_TRUE(heavy->Write(heavy_open) && heavy->Write(heavy_block));
    heavy->WritesDone();
    v1::StreamQueryHeavyResponse rows;
    ASSERT_TRUE(heavy->Read(&rows));
    ExpectHeavy(rows.part().rows());
    EXPECT_FALSE(heavy->Read(&rows));
    EXPECT_TRUE(heavy->Finish().ok());

    grpc::ClientContext attend_context;
    const auto attend = queries_.StreamAttend(&attend_context);
    v1::StreamAttendRequest attend_open, attend_block;
    *attend_open.mutable_open() = AttentionOf(id);
    attend_open.mutable_open()->clear_queries();
    *attend_block.mutable_block() = block;
    EXPECT_TRUE(attend->Write(attend_open) && attend->Write(attend_block));
    attend->WritesDone();
    v1::StreamAttendResponse output;
    ASSERT_TRUE(attend->Read(&output));
    ExpectAttention(output.part());
    EXPECT_FALSE(attend->Read(&output));
    EXPECT_TRUE(attend->Finish().ok());
  }

  RunningServer running_;
  const Caller caller_{running_.address()};
  const SetCaller sets_{running_.address()};
  const QueryCaller queries_{running_.address()};
  const v1::Tensor keys_ = WideKeys(kKeys, kColumns, 3);
  const v1::Tensor values_ = NormalTensor(kKeys, 3, 4);
  const v1::Tensor queries_tensor_ = NormalTensor(kQueries, kColumns, 5);
};

TEST_F(QueriesOfSetsTest, HoweverTheSetCameItAnswersAsItsKeysDo) {
  Find("found");
  Stream("streamed", 0, kKeys, true);
  Merge("merged");
  for (const char* id : {"found", "streamed", "merged"}) {
    SCOPED_TRACE(id);
    v1::QueryHeavyResponse heavy;
    const grpc::Status asked = queries_.QueryHeavy(HeavyOf(id), &heavy);
    ASSERT_TRUE(asked.ok()) << asked.error_message();
    ExpectHeavy(heavy.rows());
    v1::AttendResponse attention;
    const grpc::Status attended = queries_.Attend(AttentionOf(id), &attention);
    ASSERT_TRUE(attended.ok()) << attended.error_message();
    ExpectAttention(attention);
    ExpectStreams(id);
  }
  EXPECT_EQ(caller_.MemoryReserved(), 0);
}

// Sinks and local keys beside the members of a set: the keys come along.
TEST_F(QueriesOfSetsTest, KeysBesideASetAreAttendedToo) {
  Find("found");
  v1::AttendRequest request = AttentionOf("found");
  *request.mutable_keys()->mutable_dense() = keys_;
  request.set_sinks(4);
  request.set_window(2);
  v1::AttendRequest by_keys = request;
  by_keys.clear_universal_set();
  by_keys.set_epsilon(0.1);
  v1::AttendResponse response, expected;
  const grpc::Status status = queries_.Attend(request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_TRUE(queries_.Attend(by_keys, &expected).ok());
  EXPECT_THAT(response.attended(),
              testing::ElementsAreArray(expected.attended()));
  EXPECT_EQ(response.output().data(), expected.output().data());
}

TEST_F(QueriesOfSetsTest, ASetRefusesWhatItDoesNotHold) {
  Find("found");
  v1::QueryHeavyResponse heavy;
  v1::QueryHeavyRequest below = HeavyOf("found");
  below.set_epsilon(1e-5);
  const grpc::Status small = queries_.QueryHeavy(below, &heavy);
  EXPECT_EQ(small.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(ReasonOf(small), "EPSILON_BELOW_SET");

  v1::QueryHeavyRequest causal = HeavyOf("found");
  causal.set_causal(true);
  for (int i = 0; i < kQueries; ++i) causal.add_positions(kKeys - 1);
  ASSERT_TRUE(queries_.QueryHeavy(causal, &heavy).ok());
  ExpectHeavy(heavy.rows());
  causal.set_positions(4, kKeys - 2);
  const grpc::Status prefix = queries_.QueryHeavy(causal, &heavy);
  EXPECT_EQ(prefix.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(ReasonOf(prefix), "PREFIX_UNKNOWN");
  EXPECT_THAT(prefix.error_message(), testing::HasSubstr("positions[4]"));

  v1::AttendResponse attention;
  v1::AttendRequest short_values = AttentionOf("found");
  *short_values.mutable_values()->mutable_dense() =
      NormalTensor(kKeys - 1, 3, 4);
  const grpc::Status shape = queries_.Attend(short_values, &attention);
  EXPECT_EQ(ReasonOf(shape), "WRONG_SHAPE");
  EXPECT_EQ(FieldOf(shape), "values.dense.shape[0]");
  v1::AttendRequest sinks = AttentionOf("found");
  sinks.set_sinks(1);
  EXPECT_EQ(FieldOf(queries_.Attend(sinks, &attention)), "keys");
}

TEST_F(QueriesOfSetsTest, AStreamRefusesASetAtItsOpen) {
  Find("found");
  grpc::ClientContext context;
  const auto stream = queries_.StreamQueryHeavy(&context);
  v1::StreamQueryHeavyRequest open;
  *open.mutable_open() = HeavyOf("found");
  open.mutable_open()->clear_queries();
  open.mutable_open()->set_epsilon(1e-5);
  stream->Write(open);
  v1::StreamQueryHeavyResponse response;
  EXPECT_FALSE(stream->Read(&response));
  const grpc::Status status = stream->Finish();
  EXPECT_EQ(ReasonOf(status), "EPSILON_BELOW_SET");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);

  grpc::ClientContext nowhere;
  const auto attend = queries_.StreamAttend(&nowhere);
  v1::StreamAttendRequest none;
  *none.mutable_open() = AttentionOf("nobody");
  none.mutable_open()->clear_queries();
  attend->Write(none);
  v1::StreamAttendResponse nothing;
  EXPECT_FALSE(attend->Read(&nothing));
  EXPECT_EQ(attend->Finish().error_code(), grpc::StatusCode::NOT_FOUND);
}

// A session is asked as of the keys it has acknowledged.
TEST_F(QueriesOfSetsTest, ASessionThatReceivesAnswersForTheKeysItHas) {
  StreamedKeys stream(sets_);
  stream.Send(OpenMessage("growing", kColumns));
  for (const std::int64_t seen : {std::int64_t{90}, kKeys}) {
    stream.SendKeys(keys_, seen == kKeys ? 90 : 0, seen, 30);
    ASSERT_TRUE(stream.WaitForAck(seen));
    v1::QueryHeavyResponse heavy;
    const grpc::Status status = queries_.QueryHeavy(HeavyOf("growing"), &heavy);
    ASSERT_TRUE(status.ok()) << status.error_message();
    ExpectHeavy(heavy.rows(), seen);
  }
  v1::UniversalSetInfo info;
  ASSERT_TRUE(sets_.Get("universalSets/growing", &info).ok());
  EXPECT_EQ(info.state(), v1::UniversalSetInfo::STATE_RECEIVING);
}

TEST_F(QueriesOfSetsTest, AQueryIsAUseAndPutsOffTheEnd) {
  Find("found");
  const auto expires = [&] {
    v1::UniversalSetInfo info;
    EXPECT_TRUE(sets_.Get("universalSets/found", &info).ok());
    return static_cast<double>(info.expire_time().seconds()) +
           1e-9 * info.expire_time().nanos();
  };
  const auto wait = [] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  };
  // Two clocks are read one after the other, by a thread that may be held up.
  constexpr double kClocks = 0.1;
  wait();
  const double first = expires();
  wait();
  EXPECT_NEAR(expires(), first, kClocks) << "looking is no use";
  v1::QueryHeavyResponse heavy;
  ASSERT_TRUE(queries_.QueryHeavy(HeavyOf("found"), &heavy).ok());
  const double second = expires();
  EXPECT_GT(second, first + kClocks);
  wait();
  v1::AttendResponse attention;
  ASSERT_TRUE(queries_.Attend(AttentionOf("found"), &attention).ok());
  EXPECT_GT(expires(), second + kClocks);
}

TEST_F(QueriesOfSetsTest, AStreamGoesOnWhenItsSetIsDeleted) {
  Find("found");
  grpc::ClientContext context;
  const auto stream = queries_.StreamAttend(&context);
  v1::StreamAttendRequest open, block;
  *open.mutable_open() = AttentionOf("found");
  open.mutable_open()->clear_queries();
  *block.mutable_block()->mutable_queries() = queries_tensor_;
  ASSERT_TRUE(stream->Write(open));
  v1::StreamAttendResponse response;
  for (const bool deleted : {false, true}) {
    if (deleted) {
      ASSERT_TRUE(sets_.Delete("universalSets/found").ok());
    }
    ASSERT_TRUE(stream->Write(block));
    ASSERT_TRUE(stream->Read(&response));
    ASSERT_EQ(response.part().attended_size(), kQueries);
    EXPECT_GT(response.part().attended(0), 0);
  }
  v1::QueryHeavyResponse heavy;
  EXPECT_EQ(queries_.QueryHeavy(HeavyOf("found"), &heavy).error_code(),
            grpc::StatusCode::NOT_FOUND);
  stream->WritesDone();
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_TRUE(stream->Finish().ok());
}

}  // namespace
}  // namespace steelyard::test
