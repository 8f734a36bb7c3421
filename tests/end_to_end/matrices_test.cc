// MatrixService over gRPC: what can be stored, what is refused and what stays
// then, and that a stored matrix is the matrix that was sent.
#include <chrono>
#include <cmath>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/checksum/crc32c.h"
#include "tests/server/convert/sparse_requests.h"
#include "tests/server/storage/store_fixture.h"
#include "tests/support_server/caller.h"
#include "tests/support_server/matrix_caller.h"
#include "tests/support_server/requests.h"
#include "tests/support_server/running_server.h"
#include "tests/support_server/set_caller.h"

namespace steelyard::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

server::ServerConfig ConfigOn(const std::string& directory) {
  server::ServerConfig config = TestConfig();
  config.matrix_directory = directory;
  return config;
}

class MatricesTest : public testing::Test {
 protected:
  void ExpectRefused(const grpc::Status& status, grpc::StatusCode code,
                     const std::string& reason, const std::string& text) {
    EXPECT_EQ(status.error_code(), code) << status.error_message();
    EXPECT_EQ(SetCaller::ReasonOf(status), reason);
    EXPECT_THAT(status.error_message(), HasSubstr(text));
  }
  grpc::Status Send(const std::vector<v1::UploadMatrixRequest>& messages) {
    v1::Matrix matrix;
    return caller_.Send(messages, &matrix);
  }
  std::vector<std::string> Names(int page_size) {
    std::vector<std::string> names;
    v1::ListMatricesRequest request;
    request.set_page_size(page_size);
    do {
      v1::ListMatricesResponse page;
      const grpc::Status status = caller_.List(request, &page);
      EXPECT_TRUE(status.ok()) << status.error_message();
      EXPECT_LE(page.matrices_size(), page_size);
      for (const v1::Matrix& each : page.matrices()) {
        names.push_back(each.name());
      }
      request.set_page_token(page.next_page_token());
    } while (!request.page_token().empty());
    return names;
  }

  const server::TemporaryDirectory directory_{/*in_memory=*/true};
  RunningServer running_{ConfigOn(directory_.path())};
  const MatrixCaller caller_{running_.address()};
};

v1::Tensor Tensor(v1::DType dtype, std::int64_t bytes_a_number) {
  v1::Tensor tensor;
  tensor.set_dtype(dtype);
  for (const std::int64_t extent : {3, 20, 4}) tensor.add_shape(extent);
  // Every byte of it small: finite in each of the types.
  for (std::int64_t i = 0; i < 240 * bytes_a_number; ++i) {
    tensor.mutable_data()->push_back(static_cast<char>(1 + i % 60));
  }
  return tensor;
}

TEST_F(MatricesTest, EveryTypeAndKindIsStoredAsItWasSent) {
  std::vector<MatrixUpload> uploads = {
      UploadOf("d64", Tensor(v1::DTYPE_FLOAT64, 8)),
      UploadOf("d32", Tensor(v1::DTYPE_FLOAT32, 4)),
      UploadOf("d16", Tensor(v1::DTYPE_FLOAT16, 2)),
      UploadOf("b16", Tensor(v1::DTYPE_BFLOAT16, 2))};
  uploads.push_back(UploadOf("sparse", ValidSparseRequest().a().csr()));
  for (const MatrixUpload& upload : uploads) {
    SCOPED_TRACE(upload.header.matrix_id());
    const std::string name = "matrices/" + upload.header.matrix_id();
    v1::Matrix matrix;
    const grpc::Status sent = caller_.Send(MessagesOf(upload, 0, 100), &matrix);
    ASSERT_TRUE(sent.ok()) << sent.error_message();
    EXPECT_EQ(matrix.name(), name);
    EXPECT_EQ(matrix.size_bytes(),
              static_cast<std::int64_t>(upload.bytes.size()));
    EXPECT_EQ(matrix.crc32c(), upload.header.crc32c());
    EXPECT_GT(matrix.create_time().seconds(), 0);
    EXPECT_EQ(matrix.dense().SerializeAsString(),
              upload.header.dense().SerializeAsString());
    EXPECT_EQ(matrix.csr().SerializeAsString(),
              upload.header.csr().SerializeAsString());
    v1::Matrix again;
    ASSERT_TRUE(caller_.Get(name, &again).ok());
    EXPECT_EQ(again.SerializeAsString(), matrix.SerializeAsString());
    v1::UploadStatus status;
    ASSERT_TRUE(caller_.Status(name, &status).ok());
    EXPECT_TRUE(status.complete());
    EXPECT_EQ(status.committed_size(), status.total_size());
    // The same upload again is answered without a byte.
    v1::Matrix repeated;
    EXPECT_TRUE(caller_.Send({HeaderMessage(upload)}, &repeated).ok());
    EXPECT_EQ(repeated.SerializeAsString(), matrix.SerializeAsString());
  }
  EXPECT_THAT(Names(2),
              ElementsAre("matrices/b16", "matrices/d16", "matrices/d32",
                          "matrices/d64", "matrices/sparse"));
  EXPECT_THAT(Names(1000), testing::SizeIs(5));
}

TEST_F(MatricesTest, AnotherContentUnderATakenNameIsRefused) {
  const MatrixUpload first = UploadOf("a", NormalTensor(20, 4, 1));
  const MatrixUpload other = UploadOf("a", NormalTensor(20, 4, 2));
  ASSERT_TRUE(Send(MessagesOf(first)).ok());
  EXPECT_EQ(Send(MessagesOf(other)).error_code(),
            grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(
      Send(MessagesOf(UploadOf("a", NormalTensor(40, 2, 1)))).error_code(),
      grpc::StatusCode::ALREADY_EXISTS);
  ASSERT_TRUE(caller_.Delete("matrices/a").ok());
  EXPECT_EQ(caller_.Delete("matrices/a").error_code(),
            grpc::StatusCode::NOT_FOUND);
  EXPECT_TRUE(Send(MessagesOf(other)).ok());
}

// The same of one that is not finished: it must be deleted first.
TEST_F(MatricesTest, AnUnfinishedUploadKeepsItsName) {
  const MatrixUpload first = UploadOf("a", NormalTensor(20, 4, 1));
  std::vector<v1::UploadMatrixRequest> half = MessagesOf(first, 0, 100);
  half.resize(3);
  ExpectRefused(Send(half), grpc::StatusCode::INVALID_ARGUMENT, "WRONG_SIZE",
                "ended after 200 bytes");
  EXPECT_EQ(caller_.Committed("matrices/a"), 200);
  v1::Matrix matrix;
  EXPECT_EQ(caller_.Get("matrices/a", &matrix).error_code(),
            grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(Names(10), IsEmpty());
  EXPECT_EQ(
      Send(MessagesOf(UploadOf("a", NormalTensor(20, 4, 2)))).error_code(),
      grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_TRUE(caller_.Delete("matrices/a").ok());
  EXPECT_EQ(caller_.Committed("matrices/a"), -1);
}

TEST_F(MatricesTest, AChunkIsKeptWholeOrNotAtAll) {
  const MatrixUpload upload = UploadOf("a", NormalTensor(20, 4, 1));
  const v1::UploadMatrixRequest header = HeaderMessage(upload);
  const v1::UploadMatrixRequest first = ChunkMessage(upload, 0, 100);
  v1::UploadMatrixRequest bad = ChunkMessage(upload, 100, 100);
  bad.mutable_chunk()->set_crc32c(bad.chunk().crc32c() + 1);
  ExpectRefused(Send({header, first, bad}), grpc::StatusCode::INVALID_ARGUMENT,
                "CHECKSUM_MISMATCH", "offset 100");
  EXPECT_EQ(caller_.Committed("matrices/a"), 100);

  for (const std::int64_t offset : {0, 99, 101, 300}) {
    ExpectRefused(Send({header, ChunkMessage(upload, offset, 50)}),
                  grpc::StatusCode::INVALID_ARGUMENT, "OFFSET_MISMATCH",
                  "goes on at 100");
  }
  bad = ChunkMessage(upload, 100, 600);
  bad.mutable_chunk()->mutable_data()->push_back('x');
  bad.mutable_chunk()->set_crc32c(server::Crc32c(bad.chunk().data()));
  ExpectRefused(Send({header, bad}), grpc::StatusCode::INVALID_ARGUMENT,
                "WRONG_SIZE", "of which 540 are missing");
  bad.mutable_chunk()->mutable_data()->resize((1 << 20) + 1);
  ExpectRefused(Send({header, bad}), grpc::StatusCode::RESOURCE_EXHAUSTED,
                "LIMIT_EXCEEDED", "chunk_bytes_max");
  bad.mutable_chunk()->clear_data();
  ExpectRefused(Send({header, bad}), grpc::StatusCode::INVALID_ARGUMENT,
                "FIELD_REQUIRED", "chunk.data");
  EXPECT_EQ(caller_.Committed("matrices/a"), 100);
  v1::Matrix matrix;
  const grpc::Status resumed = caller_.Resume(upload, &matrix);
  EXPECT_TRUE(resumed.ok()) << resumed.error_message();
}

TEST_F(MatricesTest, MessagesComeInOrder) {
  const MatrixUpload upload = UploadOf("a", NormalTensor(20, 4, 1));
  const v1::UploadMatrixRequest header = HeaderMessage(upload);
  for (const auto& messages : {std::vector<v1::UploadMatrixRequest>{},
                               {ChunkMessage(upload, 0, 100)},
                               {v1::UploadMatrixRequest()},
                               {header, header},
                               {header, v1::UploadMatrixRequest()}}) {
    ExpectRefused(Send(messages), grpc::StatusCode::INVALID_ARGUMENT,
                  "MESSAGE_OUT_OF_ORDER", "header");
  }
}

TEST_F(MatricesTest, WrongBytesAreDroppedWithTheUpload) {
  MatrixUpload upload = UploadOf("a", NormalTensor(20, 4, 1));
  upload.header.set_crc32c(upload.header.crc32c() + 1);
  ExpectRefused(Send(MessagesOf(upload)), grpc::StatusCode::INVALID_ARGUMENT,
                "CHECKSUM_MISMATCH", "header.crc32c");
  EXPECT_EQ(caller_.Committed("matrices/a"), -1);
}

TEST_F(MatricesTest, ANaNInTheMiddleIsNamedByItsIndex) {
  v1::Tensor tensor = NormalTensor(200, 4, 1);
  const double nan = NAN;
  std::memcpy(tensor.mutable_data()->data() + (150 * 4 + 2) * 8, &nan, 8);
  ExpectRefused(Send(MessagesOf(UploadOf("a", tensor))),
                grpc::StatusCode::INVALID_ARGUMENT, "NOT_FINITE",
                "[150,2] is nan");

  // Heads first: row 150 is row 50 of the second.
  tensor.clear_shape();
  for (const std::int64_t extent : {2, 100, 4}) tensor.add_shape(extent);
  ExpectRefused(Send(MessagesOf(UploadOf("a", tensor))),
                grpc::StatusCode::INVALID_ARGUMENT, "NOT_FINITE",
                "[150,2] is nan");

  v1::CsrMatrix csr = ValidSparseRequest().a().csr();
  std::memcpy(csr.mutable_values()->data() + 5 * 8, &nan, 8);
  ExpectRefused(Send(MessagesOf(UploadOf("a", csr))),
                grpc::StatusCode::INVALID_ARGUMENT, "NOT_FINITE", "[5,0]");
}

TEST_F(MatricesTest, ASparseMatrixIsCheckedAsARequestIs) {
  v1::CsrMatrix csr = ValidSparseRequest().a().csr();
  const std::int32_t column = 3;
  std::memcpy(csr.mutable_column_indices()->data() + 8, &column, 4);
  ExpectRefused(Send(MessagesOf(UploadOf("a", csr))),
                grpc::StatusCode::INVALID_ARGUMENT, "WRONG_SHAPE",
                "column_indices[2]");
  MatrixUpload padded = UploadOf("a", ValidSparseRequest().a().csr());
  padded.bytes[88] = 'x';  // behind 11 offsets
  padded.header.set_crc32c(server::Crc32c(padded.bytes));
  ExpectRefused(Send(MessagesOf(padded)), grpc::StatusCode::INVALID_ARGUMENT,
                "FIELD_OUT_OF_RANGE", "byte 88");
}

TEST_F(MatricesTest, TheNewerStreamOfAnUploadGoesOn) {
  const MatrixUpload upload = UploadOf("a", NormalTensor(20, 4, 1));
  grpc::ClientContext context;
  v1::Matrix unanswered;
  const auto older = caller_.Upload(&context, &unanswered);
  ASSERT_TRUE(older->Write(HeaderMessage(upload)));
  ASSERT_TRUE(older->Write(ChunkMessage(upload, 0, 100)));
  while (caller_.Committed("matrices/a") != 100) std::this_thread::yield();

  const MatrixCaller other(running_.address());
  v1::Matrix matrix;
  EXPECT_TRUE(other.Resume(upload, &matrix).ok());
  ExpectRefused(older->Finish(), grpc::StatusCode::ABORTED, "TAKEN_OVER",
                "matrices/a");
}

TEST_F(MatricesTest, ADeletedUploadEndsItsStream) {
  const MatrixUpload upload = UploadOf("a", NormalTensor(20, 4, 1));
  grpc::ClientContext context;
  v1::Matrix unanswered;
  const auto writer = caller_.Upload(&context, &unanswered);
  ASSERT_TRUE(writer->Write(HeaderMessage(upload)));
  while (caller_.Committed("matrices/a") != 0) std::this_thread::yield();
  EXPECT_TRUE(caller_.Delete("matrices/a").ok());
  EXPECT_EQ(writer->Finish().error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(MatricesTest, PagesAndNamesAreChecked) {
  v1::ListMatricesRequest request;
  v1::ListMatricesResponse response;
  for (const int size : {-1, 1001}) {
    request.set_page_size(size);
    ExpectRefused(caller_.List(request, &response),
                  grpc::StatusCode::INVALID_ARGUMENT, "FIELD_OUT_OF_RANGE",
                  "page_size");
  }
  request.set_page_size(0);
  request.set_page_token("garbage");
  ExpectRefused(caller_.List(request, &response),
                grpc::StatusCode::INVALID_ARGUMENT, "FIELD_OUT_OF_RANGE",
                "page_token");
  v1::Matrix matrix;
  v1::UploadStatus status;
  for (const std::string& name :
       {std::string("a"), std::string("universalSets/a"),
        std::string("matrices/A")}) {
    for (const grpc::Status& answer :
         {caller_.Get(name, &matrix), caller_.Status(name, &status),
          caller_.Delete(name)}) {
      ExpectRefused(answer, grpc::StatusCode::INVALID_ARGUMENT,
                    "FIELD_OUT_OF_RANGE", "name");
    }
  }
}

TEST(MatricesWithoutADirectoryTest, NothingIsStored) {
  RunningServer running;
  const MatrixCaller caller(running.address());
  v1::Matrix matrix;
  const grpc::Status refused =
      caller.Send(UploadOf("a", NormalTensor(2, 2)), &matrix);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(SetCaller::ReasonOf(refused), "LIMIT_EXCEEDED");
  EXPECT_THAT(refused.error_message(), HasSubstr("--matrix-directory"));
  EXPECT_EQ(caller.Get("matrices/a", &matrix).error_code(),
            grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(caller.Delete("matrices/a").error_code(),
            grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(caller.Committed("matrices/a"), -1);
  v1::ListMatricesResponse page;
  EXPECT_TRUE(caller.List({}, &page).ok());
  EXPECT_EQ(page.matrices_size(), 0);
}

TEST(MatricesAndStreamsTest, UploadsCountAmongTheStreams) {
  const server::TemporaryDirectory directory(/*in_memory=*/true);
  server::ServerConfig config = ConfigOn(directory.path());
  config.limits.streams_max = 1;
  config.stream_idle = absl::Milliseconds(300);
  RunningServer running(config);
  const MatrixCaller caller(running.address());
  const MatrixUpload upload = UploadOf("a", NormalTensor(20, 4, 1));
  grpc::ClientContext context;
  v1::Matrix matrix;
  const auto silent = caller.Upload(&context, &matrix);
  ASSERT_TRUE(silent->Write(HeaderMessage(upload)));
  while (caller.Committed("matrices/a") != 0) std::this_thread::yield();
  const grpc::Status full = caller.Send(upload, &matrix);
  EXPECT_EQ(SetCaller::ReasonOf(full), "QUEUE_FULL");
  // Nothing comes: it ends, and what it had stays.
  const grpc::Status idle = silent->Finish();
  EXPECT_EQ(idle.error_code(), grpc::StatusCode::ABORTED);
  EXPECT_EQ(SetCaller::ReasonOf(idle), "STREAM_IDLE");
  EXPECT_TRUE(caller.Resume(upload, &matrix).ok());
}

}  // namespace
}  // namespace steelyard::test
