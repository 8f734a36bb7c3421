#include "steelyard/client/key_stream.h"

#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/client/client.h"
#include "tests/client/support/fake_key_sessions.h"

namespace steelyard::client {
namespace {

TEST(KeyStreamTest, MovesAndTakesEigenMatrices) {
  test::FakeKeySessions sessions;
  test::FakeServer server(
      {.stream_keys = [&](const auto& call, const auto& stream) {
        return sessions(call, stream);
      }});
  const auto client = Client::Create(server.address());
  auto opened =
      client->OpenKeyStream({.set_id = "m", .columns = 3, .epsilon = 0.25});
  ASSERT_TRUE(opened.ok()) << opened.status();
  KeyStream stream = *std::move(opened);
  const Eigen::MatrixXf keys = Eigen::MatrixXf::Random(7, 3);
  ASSERT_TRUE(stream.Add(keys).ok());
  KeyStream moved = std::move(stream);
  ASSERT_TRUE(moved.Add(keys.topRows(2)).ok());
  EXPECT_THAT(moved.next_offset(), testing::ElementsAre(9));
  EXPECT_EQ(moved.reconnects(), 0);
  EXPECT_EQ(moved.name(), "universalSets/m");
  ASSERT_TRUE(moved.Finish().ok());
  // Row-major on the wire, whatever it was here.
  const std::string bytes = sessions.session("m").keys[0];
  float second = 0;
  std::memcpy(&second, bytes.data() + sizeof(float), sizeof(float));
  EXPECT_EQ(second, keys(0, 1));
}

}  // namespace
}  // namespace steelyard::client
