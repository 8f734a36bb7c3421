// Encrypted connections, against certificates that openssl makes here.
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "gtest/gtest.h"
#include "steelyard/client/client.h"
#include "tests/client/support/fake_server.h"

namespace steelyard::client {
namespace {

using test::FakeCall;
using test::FakeReply;
using test::FakeServer;
using test::FakeTls;
using namespace std::chrono_literals;

// A key pair that signs itself.
struct KeyPair {
  std::string certificate;
  std::string private_key;
};

std::string Contents(const std::filesystem::path& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

// Of `name`, valid for two days.
KeyPair MakeKeyPair(const std::string& name) {
  const std::filesystem::path folder =
      std::filesystem::path(testing::TempDir()) /
      ("steelyard_tls_" + name + "_" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  const std::string key = (folder / "key.pem").string();
  const std::string certificate = (folder / "certificate.pem").string();
  const std::string command =
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1"
      " -nodes -days 2 -subj /CN=" +
      name + " -addext subjectAltName=DNS:" + name + " -keyout '" + key +
      "' -out '" + certificate + "' 2>'" + (folder / "log").string() + "'";
  EXPECT_EQ(std::system(command.c_str()), 0) << Contents(folder / "log");
  const KeyPair pair{Contents(certificate), Contents(key)};
  std::filesystem::remove_all(folder);
  return pair;
}

class TlsTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    server_pair_ = new KeyPair(MakeKeyPair("steelyard.test"));
    client_pair_ = new KeyPair(MakeKeyPair("caller.test"));
  }
  static void TearDownTestSuite() {
    delete server_pair_;
    delete client_pair_;
  }

  static FakeServer Serve(const std::string& client_root) {
    return FakeServer(
        {.get_server_info =
             [](const FakeCall&, const auto&, v1::ServerInfo* info) {
               info->set_version("over TLS");
               return FakeReply{};
             }},
        FakeTls{.certificate_chain = server_pair_->certificate,
                .private_key = server_pair_->private_key,
                .client_root = client_root});
  }

  static absl::StatusOr<ServerInfo> Ask(const FakeServer& server,
                                        const Credentials& credentials) {
    const auto client = Client::Create(
        server.address(),
        {.credentials = credentials, .retry = {.attempts_max = 1}});
    if (!client.ok()) return client.status();
    return client->GetServerInfo({.deadline = 20s});
  }

  static const KeyPair* server_pair_;
  static const KeyPair* client_pair_;
};

const KeyPair* TlsTest::server_pair_ = nullptr;
const KeyPair* TlsTest::client_pair_ = nullptr;

TEST_F(TlsTest, AServerThatIsTrustedAnswers) {
  const FakeServer server = Serve("");
  const auto info =
      Ask(server, TlsCredentials{.root_certificates = server_pair_->certificate,
                                 .server_name = "steelyard.test"});
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->version, "over TLS");
}

TEST_F(TlsTest, AServerSignedBySomebodyElseIsRefused) {
  const FakeServer server = Serve("");
  const auto info =
      Ask(server, TlsCredentials{.root_certificates = client_pair_->certificate,
                                 .server_name = "steelyard.test"});
  EXPECT_EQ(info.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(server.calls(), 0);
}

TEST_F(TlsTest, AServerOfAnotherNameIsRefused) {
  const FakeServer server = Serve("");
  // Without server_name the certificate must carry the host, 127.0.0.1.
  const auto info = Ask(
      server, TlsCredentials{.root_certificates = server_pair_->certificate});
  EXPECT_EQ(info.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(server.calls(), 0);
}

TEST_F(TlsTest, PlainTextToATlsServerIsUnavailable) {
  const FakeServer server = Serve("");
  const auto info = Ask(server, InsecureCredentials{});
  EXPECT_EQ(info.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(server.calls(), 0);
}

TEST_F(TlsTest, ACallerProvesItselfWhereTheServerAsksForIt) {
  const FakeServer server = Serve(client_pair_->certificate);
  TlsCredentials credentials{.root_certificates = server_pair_->certificate,
                             .server_name = "steelyard.test"};
  EXPECT_EQ(Ask(server, credentials).status().code(),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(server.calls(), 0);
  credentials.private_key = client_pair_->private_key;
  credentials.certificate_chain = client_pair_->certificate;
  EXPECT_TRUE(Ask(server, credentials).ok());
  EXPECT_EQ(server.calls(), 1);
}

}  // namespace
}  // namespace steelyard::client
