#include "tests/support_server/cutting_proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <utility>
#include <vector>

namespace steelyard::test {
namespace {

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  return address;
}

int Listen() {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = Loopback(0);
  if (listener < 0 ||
      bind(listener, reinterpret_cast<const sockaddr*>(&address),
           sizeof(address)) != 0 ||
      listen(listener, 16) != 0) {
    std::perror("CuttingProxy");
    std::abort();
  }
  return listener;
}

bool SendAll(int socket, const char* data, std::size_t bytes) {
  while (bytes > 0) {
    const ssize_t sent = send(socket, data, bytes, MSG_NOSIGNAL);
    if (sent <= 0) return false;
    data += sent;
    bytes -= static_cast<std::size_t>(sent);
  }
  return true;
}

}  // namespace

// Its sockets are closed when both threads are done with them.
struct CuttingProxy::Link {
  Link(int client_socket, int server_socket, std::optional<Cut> cut_at)
      : client(client_socket), server(server_socket), cut(cut_at) {}
  ~Link() {
    End();
    if (up.joinable()) up.join();
    if (down.joinable()) down.join();
    close(client);
    close(server);
  }
  void End() const {
    shutdown(client, SHUT_RDWR);
    shutdown(server, SHUT_RDWR);
  }

  const int client;
  const int server;
  const std::optional<Cut> cut;
  std::thread up;
  std::thread down;
};

CuttingProxy::CuttingProxy(int server_port, std::deque<Cut> cuts)
    : listener_(Listen()),
      server_port_(server_port),
      cuts_(std::move(cuts)),
      acceptor_([this] { Accept(); }) {}

CuttingProxy::~CuttingProxy() {
  shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  close(listener_);
}

std::string CuttingProxy::address() const {
  sockaddr_in address{};
  socklen_t size = sizeof(address);
  getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
  return "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
}

void CuttingProxy::CutNow() {
  const std::lock_guard lock(mutex_);
  for (const auto& link : links_) link->End();
}

void CuttingProxy::Accept() {
  for (;;) {
    const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) return;
    ++accepted_;
    const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = Loopback(server_port_);
    if (connect(server, reinterpret_cast<const sockaddr*>(&address),
                sizeof(address)) != 0) {
      close(client);
      close(server);
      continue;
    }
    const int at_once = 1;
    for (const int end : {client, server}) {
      setsockopt(end, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof(at_once));
    }
    const std::lock_guard lock(mutex_);
    std::optional<Cut> cut;
    if (!cuts_.empty()) {
      cut = cuts_.front();
      cuts_.pop_front();
    }
    links_.push_back(std::make_unique<Link>(client, server, cut));
    Link* const link = links_.back().get();
    link->up = std::thread([=, this] { Forward(link, Cut::Way::kToServer); });
    link->down = std::thread([=, this] { Forward(link, Cut::Way::kToClient); });
  }
}

void CuttingProxy::Forward(Link* link, Cut::Way way) {
  const bool up = way == Cut::Way::kToServer;
  const int from = up ? link->client : link->server;
  const int to = up ? link->server : link->client;
  const bool counted = link->cut.has_value() && link->cut->way == way;
  std::int64_t left = counted ? link->cut->bytes : 0;
  std::vector<char> block(std::size_t{64} << 10);
  for (;;) {
    std::size_t most = block.size();
    if (counted) most = std::min(most, static_cast<std::size_t>(left));
    if (most == 0) {
      ++cuts_made_;
      break;
    }
    const ssize_t got = recv(from, block.data(), most, 0);
    if (got <= 0) break;
    if (!SendAll(to, block.data(), static_cast<std::size_t>(got))) break;
    left -= got;
  }
  link->End();
}

}  // namespace steelyard::test
