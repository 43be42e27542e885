// A real server for tests: started on a free port of the loopback address in a folder of its own, killed and swept away
// when it goes out of scope, and by the kernel when the test dies first.
// Thread: one; the server is killed when the thread that started it ends.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include "tests/support/blocking_client.h"

namespace tests {

/// Where a program is, as the shell would find it; nullopt when it is not installed.
inline std::optional<std::filesystem::path> find_program(std::string_view name) {
  const char* path = std::getenv("PATH");
  for (const auto part : std::views::split(std::string_view(path == nullptr ? "" : path), ':')) {
    const auto file = std::filesystem::path(std::string_view(part.begin(), part.end())) / name;
    if (::access(file.c_str(), X_OK) == 0) return file;
  }
  return std::nullopt;
}

struct ServerOptions {
  std::string program = "redis-server";     ///< or "valkey-server"; looked up in PATH
  bool cluster = false;                     ///< a node of its own, without slots until own_all_slots()
  std::vector<std::string> arguments = {};  ///< further ones ("--maxmemory", "1mb")
};

class ServerProcess {
 public:
  static constexpr std::chrono::seconds kStartTimeout{10};

  /// Returns when the server answers PING.
  explicit ServerProcess(const ServerOptions& options) {
    const auto program = find_program(options.program);
    if (!program) throw std::runtime_error(options.program + " is not in PATH");
    std::string folder = std::filesystem::temp_directory_path() / "sluice-test-XXXXXX";
    if (::mkdtemp(folder.data()) == nullptr) throw std::system_error(errno, std::generic_category(), "mkdtemp");
    folder_ = folder;
    // Between looking for a free port and listening on it somebody else may take it.
    for (int attempt = 0; attempt < 5; ++attempt) {
      port_ = free_port();
      start(*program, options);
      if (answers()) return;
      stop();
    }
    std::filesystem::remove_all(folder_);
    throw std::runtime_error(options.program + " does not start");
  }
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;
  ~ServerProcess() {
    stop();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] pid_t process() const { return process_; }

  [[nodiscard]] BlockingClient connect() const {
    BlockingClient client;
    client.connect("127.0.0.1", port_);
    return client;
  }

  /// Makes a cluster node a whole cluster. Returns when it serves.
  void own_all_slots() const {
    BlockingClient client = connect();
    if (client.command({"CLUSTER", "ADDSLOTSRANGE", "0", "16383"}).is_error()) {
      throw std::runtime_error("CLUSTER ADDSLOTSRANGE was refused");
    }
    const bool serves = wait_until([&] {
      return client.command({"CLUSTER", "INFO"}).text.find("cluster_state:ok") != std::string::npos;
    });
    if (!serves) throw std::runtime_error("the cluster does not come up");
  }

  /// Ends the server at once, as a crash would.
  void stop() {
    if (process_ <= 0) return;
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
    process_ = -1;
  }

 private:
  template <typename Condition>
  static bool wait_until(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + kStartTimeout;
    while (std::chrono::steady_clock::now() < deadline) {
      if (condition()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return false;
  }

  /// A port nobody listens on, with room for the cluster bus 10000 above it.
  static std::uint16_t free_port() {
    constexpr std::uint16_t kHighest = 65535 - 10000;
    for (int attempt = 0; attempt < 100; ++attempt) {
      const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      socklen_t size = sizeof address;
      const bool bound = ::bind(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
                         ::getsockname(probe, reinterpret_cast<sockaddr*>(&address), &size) == 0;
      ::close(probe);
      if (bound && ntohs(address.sin_port) <= kHighest) return ntohs(address.sin_port);
    }
    throw std::runtime_error("no free port");
  }

  void start(const std::filesystem::path& program, const ServerOptions& options) {
    std::vector<std::string> words = {program,
                                      "--port",
                                      std::to_string(port_),
                                      "--bind",
                                      "127.0.0.1",
                                      "--save",
                                      "",
                                      "--appendonly",
                                      "no",
                                      "--dir",
                                      folder_,
                                      "--logfile",
                                      folder_ / "log",
                                      "--daemonize",
                                      "no",
                                      "--enable-debug-command",
                                      "yes"};
    if (options.cluster) words.insert(words.end(), {"--cluster-enabled", "yes"});
    words.insert(words.end(), options.arguments.begin(), options.arguments.end());
    // Everything the child needs is made before fork: behind it only system calls are safe.
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    const pid_t parent = ::getpid();
    process_ = ::fork();
    if (process_ < 0) throw std::system_error(errno, std::generic_category(), "fork");
    if (process_ > 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1);  // The test died before the line above.
    ::execv(arguments[0], arguments.data());
    ::_exit(127);
  }

  /// False when the server has ended or does not answer in time.
  bool answers() {
    bool ended = false;
    const bool up = wait_until([&] {
      ended = ::waitpid(process_, nullptr, WNOHANG) == process_;
      if (ended) {
        process_ = -1;
        return true;
      }
      try {
        return connect().command({"PING"}).text == "PONG";
      } catch (const std::exception&) {
        return false;  // Not listening yet.
      }
    });
    return up && !ended;
  }

  std::filesystem::path folder_;
  std::uint16_t port_ = 0;
  pid_t process_ = -1;
};

}  // namespace tests
