// A TCP proxy of loopback that cuts connections where a test says.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace steelyard::test {

// Where a connection ends: once so many bytes went that way.
struct Cut {
  enum class Way { kToServer, kToClient };
  Way way = Way::kToServer;
  std::int64_t bytes = 0;
};

class CuttingProxy {
 public:
  // Forwards to 127.0.0.1:server_port. `cuts` are for the first connections,
  // one each; later ones are not cut.
  explicit CuttingProxy(int server_port, std::deque<Cut> cuts = {});
  // Ends all connections.
  ~CuttingProxy();
  CuttingProxy(const CuttingProxy&) = delete;
  CuttingProxy& operator=(const CuttingProxy&) = delete;

  // "127.0.0.1:PORT", the same for as long as the proxy lives.
  std::string address() const;

  // Connections from now on go there.
  void PointTo(int server_port) { server_port_ = server_port; }
  // Ends what is connected now, on both sides.
  void CutNow();

  // Accepted so far.
  int connections() const { return accepted_; }
  // How many of `cuts` have happened.
  int cuts_made() const { return cuts_made_; }

 private:
  struct Link;

  void Accept();
  void Forward(Link* link, Cut::Way way);

  const int listener_;
  std::atomic<int> server_port_;
  std::atomic<int> accepted_{0};
  std::atomic<int> cuts_made_{0};
  std::mutex mutex_;
  std::deque<Cut> cuts_;
  std::list<std::unique_ptr<Link>> links_;
  std::thread acceptor_;
};

}  // namespace steelyard::test
