// Stored matrices in the calls that take them: the same bits as matrices that
// come with the request.
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/convert/sparse_requests.h"
#include "tests/server/storage/store_fixture.h"
#include "tests/support_server/caller.h"
#include "tests/support_server/matrix_caller.h"
#include "tests/support_server/query_caller.h"
#include "tests/support_server/requests.h"
#include "tests/support_server/running_server.h"
#include "tests/support_server/set_caller.h"

namespace steelyard::test {
namespace {

using testing::HasSubstr;

server::ServerConfig ConfigOn(const std::string& directory) {
  server::ServerConfig config = TestConfig();
  config.matrix_directory = directory;
  // A kept factor is of another road: as accurate, with other bits.
  config.factor_memory = 0;
  return config;
}

// 300 x 12 with five entries a row.
v1::CsrMatrix SparseMatrix() {
  std::vector<std::int64_t> offsets = {0};
  std::vector<std::int32_t> columns;
  for (std::int32_t row = 0; row < 300; ++row) {
    for (std::int32_t column = row % 2; column < 10; column += 2) {
      columns.push_back(column + row % 3);
    }
    offsets.push_back(static_cast<std::int64_t>(columns.size()));
  }
  v1::CsrMatrix csr;
  csr.set_rows(300);
  csr.set_columns(12);
  csr.set_dtype(v1::DTYPE_FLOAT64);
  csr.set_row_offsets(BytesOf(offsets));
  csr.set_column_indices(BytesOf(columns));
  csr.set_values(
      BytesOf(PlainNumbers(static_cast<std::int64_t>(columns.size()))));
  return csr;
}

class StoredInputsTest : public testing::Test {
 protected:
  void Store(const std::string& id, const v1::Tensor& tensor) {
    v1::Matrix matrix;
    const grpc::Status sent = matrices_.Send(UploadOf(id, tensor), &matrix);
    ASSERT_TRUE(sent.ok()) << sent.error_message();
  }
  v1::SolveResponse Solved(const v1::SolveRequest& request) {
    grpc::ClientContext context;
    v1::SolveResponse response;
    const grpc::Status solved = caller_.Solve(&context, request, &response);
    EXPECT_TRUE(solved.ok()) << solved.error_message();
    return response;
  }
  // Exponents 0 (least squares), 1 and 2, even and odd.
  void ExpectSameSolutions(const v1::MatrixInput& sent,
                           const v1::MatrixInput& stored) {
    for (const int exponent : {0, 1, 2}) {
      for (const bool even : {false, true}) {
        if (even && exponent == 0) continue;
        v1::SolveRequest request;
        if (even) {
          request.mutable_gram_power()->set_exponent(exponent);
        } else {
          request.mutable_left_gram_power()->set_exponent(exponent);
        }
        request.set_seed(7);
        *request.mutable_b() = NormalTensor(even ? 12 : 300, 2, 5);
        *request.mutable_a() = sent;
        const v1::SolveResponse expected = Solved(request);
        *request.mutable_a() = stored;
        const v1::SolveResponse answer = Solved(request);
        EXPECT_EQ(answer.x().data(), expected.x().data())
            << (even ? "even " : "odd ") << exponent;
        EXPECT_EQ(answer.report().termination(),
                  expected.report().termination());
      }
    }
  }

  const server::TemporaryDirectory directory_{/*in_memory=*/true};
  RunningServer running_{ConfigOn(directory_.path())};
  const Caller caller_{running_.address()};
  const MatrixCaller matrices_{running_.address()};
  const SetCaller sets_{running_.address()};
};

TEST_F(StoredInputsTest, SolvesOfADenseMatrixHaveTheSameBits) {
  v1::MatrixInput sent, stored;
  *sent.mutable_dense() = NormalTensor(300, 12);
  Store("a", sent.dense());
  stored.set_matrix("matrices/a");
  ExpectSameSolutions(sent, stored);
}

TEST_F(StoredInputsTest, SolvesOfASparseMatrixHaveTheSameBits) {
  v1::MatrixInput sent, stored;
  *sent.mutable_csr() = SparseMatrix();
  v1::Matrix matrix;
  ASSERT_TRUE(matrices_.Send(UploadOf("a", sent.csr()), &matrix).ok());
  stored.set_matrix("matrices/a");
  ExpectSameSolutions(sent, stored);
}

TEST_F(StoredInputsTest, RightHandSidesMayBeStored) {
  v1::SolveRequest request = LeastSquaresRequest(300, 12);
  *request.mutable_b() = NormalTensor(300, 3, 5);
  Store("b", request.b());
  const v1::SolveResponse expected = Solved(request);
  request.set_b_matrix("matrices/b");
  const v1::SolveResponse answer = Solved(request);
  EXPECT_EQ(answer.x().data(), expected.x().data());
  EXPECT_EQ(answer.x().shape_size(), 2);

  request.mutable_gram_power()->set_exponent(1);
  grpc::ClientContext context;
  v1::SolveResponse none;
  const grpc::Status refused = caller_.Solve(&context, request, &none);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(refused.error_message(),
              HasSubstr("b_matrix has 300 rows; a has 12 columns"));
}

TEST_F(StoredInputsTest, SetsOfStoredKeysAreThoseOfSentOnes) {
  v1::FindUniversalSetRequest request = UniversalSetRequest(400, 8);
  Store("keys", request.keys().dense());
  v1::FindUniversalSetResponse expected, answer;
  ASSERT_TRUE(sets_.Find(request, &expected).ok());
  request.mutable_keys()->set_matrix("matrices/keys");
  const grpc::Status found = sets_.Find(request, &answer);
  ASSERT_TRUE(found.ok()) << found.error_message();
  ASSERT_EQ(answer.sets_size(), 1);
  EXPECT_EQ(answer.sets(0).SerializeAsString(),
            expected.sets(0).SerializeAsString());
  std::vector<v1::FindUniversalSetEvent> events;
  ASSERT_TRUE(sets_.StreamFind(request, &events).ok());
  EXPECT_TRUE(events.back().has_set());
}

TEST_F(StoredInputsTest, QueriesOfStoredKeysAreThoseOfSentOnes) {
  const QueryCaller queries(running_.address());
  v1::AttendRequest request = ValidAttendRequest();
  Store("keys", request.keys().dense());
  Store("values", request.values().dense());
  v1::AttendResponse expected, answer;
  ASSERT_TRUE(queries.Attend(request, &expected).ok());
  request.mutable_keys()->set_matrix("matrices/keys");
  request.mutable_values()->set_matrix("matrices/values");
  const grpc::Status attended = queries.Attend(request, &answer);
  ASSERT_TRUE(attended.ok()) << attended.error_message();
  EXPECT_EQ(answer.output().data(), expected.output().data());

  v1::QueryHeavyRequest heavy = ValidQueryHeavyRequest();
  v1::QueryHeavyResponse rows, stored_rows;
  grpc::ClientContext first, second;
  ASSERT_TRUE(caller_.QueryHeavy(&first, heavy, &rows).ok());
  heavy.mutable_keys()->set_matrix("matrices/keys");
  ASSERT_TRUE(caller_.QueryHeavy(&second, heavy, &stored_rows).ok());
  ASSERT_EQ(stored_rows.rows_size(), rows.rows_size());
  for (int i = 0; i < rows.rows_size(); ++i) {
    EXPECT_EQ(stored_rows.rows(i).SerializeAsString(),
              rows.rows(i).SerializeAsString());
  }
}

TEST_F(StoredInputsTest, ADeletedNameDoesNotDisturbASolve) {
  v1::SolveRequest request = EndlessRequest(1500);
  Store("a", request.a().dense());
  request.mutable_a()->set_matrix("matrices/a");
  request.set_tolerance(1e-4);
  request.mutable_time_limit()->set_nanos(400'000'000);
  grpc::ClientContext context;
  bool deleted = false, answered = false;
  const grpc::Status solved =
      caller_.StreamSolve(&context, request, [&](const v1::SolveEvent& event) {
        if (event.has_progress() && event.progress().phase() != "queue" &&
            !deleted) {
          deleted = matrices_.Delete("matrices/a").ok();
        }
        answered = answered || event.has_result();
        return true;
      });
  EXPECT_TRUE(solved.ok()) << solved.error_message();
  EXPECT_TRUE(answered);
  EXPECT_TRUE(deleted || matrices_.Delete("matrices/a").ok());
  grpc::ClientContext later;
  v1::SolveResponse none;
  EXPECT_EQ(caller_.Solve(&later, request, &none).error_code(),
            grpc::StatusCode::NOT_FOUND);
}

}  // namespace
}  // namespace steelyard::test
