// Consumers see Eigen and Abseil's Status, and neither gRPC nor protobuf, whose
// headers take seconds to compile.
#include "gtest/gtest.h"
#include "steelyard/client/client.h"

#if defined(GRPCPP_GRPCPP_H) || defined(GOOGLE_PROTOBUF_VERSION) || \
    defined(GRPC_GRPC_H)
#define STEELYARD_SEES_RPC_HEADERS true
#else
#define STEELYARD_SEES_RPC_HEADERS false
#endif

namespace steelyard::client {
namespace {

TEST(PublicHeadersTest, RpcHeadersStayOutside) {
  EXPECT_FALSE(STEELYARD_SEES_RPC_HEADERS);
}

TEST(PublicHeadersTest, OnlyTheCoreOfEigenIsNeeded) {
#if defined(EIGEN_LU_MODULE_H) || defined(EIGEN_SVD_MODULE_H)
  FAIL() << "a header of the client includes a decomposition";
#else
  EXPECT_TRUE((std::is_same_v<decltype(Solution::x), RowMajorMatrix>));
#endif
}

}  // namespace
}  // namespace steelyard::client
