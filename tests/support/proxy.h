// The whole proxy inside a test, on a free port of the loopback address.
// Thread: one.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "src/config.h"
#include "src/log.h"
#include "src/server.h"
#include "tests/support/blocking_client.h"
#include "uring/features.h"

namespace tests {

class Proxy {
 public:
  /// Runs until destroyed. Of `config`, the listeners and the log are not looked at.
  explicit Proxy(sluice::Config config, const uring::Features& features = uring::probe_features().features) {
    std::signal(SIGPIPE, SIG_IGN);  // as main() does, for the relays' sake
    config.log.level = sluice::LogLevel::kOff;
    sluice::set_up_log(config.log);
    // Between looking for a free port and listening on it somebody else may take it.
    std::string problem;
    for (int attempt = 0; attempt < 5; ++attempt) {
      port_ = free_port();
      config.listen = {{.address = {.host = "127.0.0.1", .port = port_, .path = {}}}};
      server_ = std::make_unique<sluice::Server>(config, features);
      const auto failed = server_->start();
      if (!failed) return;
      problem = failed->message;
    }
    throw std::runtime_error(problem);
  }
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;
  ~Proxy() { server_->stop(); }

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] const std::vector<sluice::Worker*>& workers() const { return server_->workers(); }
  [[nodiscard]] BlockingClient connect() const {
    BlockingClient client;
    client.connect("127.0.0.1", port_);
    return client;
  }

 private:
  static std::uint16_t free_port() {
    const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    const bool bound = ::bind(probe, reinterpret_cast<const sockaddr*>(&address), size) == 0 &&
                       ::getsockname(probe, reinterpret_cast<sockaddr*>(&address), &size) == 0;
    ::close(probe);
    if (!bound) throw std::runtime_error("no free port");
    return ntohs(address.sin_port);
  }

  std::unique_ptr<sluice::Server> server_;
  std::uint16_t port_ = 0;
};

/// A counter of SLUICE INFO, as each worker tells it.
inline std::vector<std::uint64_t> each_worker(BlockingClient& client, std::string_view counter) {
  const std::string info = client.command({"SLUICE", "INFO"}).text;
  const std::string name = "\n" + std::string(counter) + ":";
  std::vector<std::uint64_t> numbers;
  for (std::size_t at = info.find(name); at != info.npos; at = info.find(name, at + 1))
    numbers.push_back(std::stoul(info.substr(at + name.size())));
  return numbers;
}
inline std::uint64_t sum_of_workers(BlockingClient& client, std::string_view counter) {
  const auto numbers = each_worker(client, counter);
  return std::accumulate(numbers.begin(), numbers.end(), std::uint64_t{0});
}

}  // namespace tests
