#include "tests/support_server/server_process.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

namespace steelyard::test {
namespace {

constexpr char kBinary[] = STEELYARD_BINARY_DIR "/server/steelyard-server";
constexpr std::chrono::milliseconds kLook{10};

}  // namespace

ServerProcess::ServerProcess(const std::vector<std::string>& arguments) {
  std::string folder =
      (std::filesystem::temp_directory_path() / "steelyard-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) {
    std::perror("mkdtemp");
    std::abort();
  }
  folder_ = folder;
  std::vector<std::string> all = {kBinary, "--listen=127.0.0.1:0",
                                  "--port-file=" + folder_ + "/port"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (std::string& argument : all) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  const std::string output = folder_ + "/output";
  pid_ = fork();
  if (pid_ == 0) {
    const int file = open(output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(file, STDOUT_FILENO);
    dup2(file, STDERR_FILENO);
    execv(pointers[0], pointers.data());
    _exit(127);
  }
}

ServerProcess::~ServerProcess() {
  if (!Ended()) {
    kill(pid_, SIGKILL);
    waitpid(pid_, &wait_status_, 0);
  }
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

bool ServerProcess::WaitUntilServing(std::chrono::seconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (std::chrono::steady_clock::now() < end) {
    std::ifstream file(folder_ + "/port");
    if (file >> port_) return true;
    if (Ended()) return false;
    std::this_thread::sleep_for(kLook);
  }
  return false;
}

std::string ServerProcess::address() const {
  return "127.0.0.1:" + std::to_string(port_);
}

void ServerProcess::Signal(int number) const { kill(pid_, number); }

bool ServerProcess::Ended() {
  if (!ended_ && waitpid(pid_, &wait_status_, WNOHANG) == pid_) ended_ = true;
  return ended_;
}

std::optional<int> ServerProcess::WaitForExit(std::chrono::seconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (!Ended() && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(kLook);
  }
  if (!ended_ || !WIFEXITED(wait_status_)) return std::nullopt;
  return WEXITSTATUS(wait_status_);
}

std::string ServerProcess::Output() const {
  std::ifstream file(folder_ + "/output");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace steelyard::test
