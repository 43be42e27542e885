// A standalone group whose primary changes while the old one lives on, and goes on answering reads: the worker that is
// told so tells the others, who would not hear of it before their next refresh.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "src/config.h"
#include "tests/support/fake_server.h"
#include "tests/support/proxy.h"

namespace sluice {
namespace {

using tests::BlockingClient;
using tests::FakeServer;

constexpr std::size_t kWorkers = 3;

class PrimaryNews : public ::testing::Test {
 protected:
  PrimaryNews() {
    for (std::size_t i = 0; i < 2; ++i)
      servers_[i].script = [this, i](const std::string& request) { return answer(i, request); };
    serving_ = std::jthread([this](const std::stop_token& stop) {
      for (; !stop.stop_requested(); std::this_thread::sleep_for(std::chrono::milliseconds(1))) {
        for (FakeServer& server : servers_) server.serve();
      }
    });
    Config config;
    config.workers = kWorkers;
    config.backend.kind = BackendKind::kStandalone;
    config.backend.refresh_interval = std::chrono::seconds(3600);
    for (const FakeServer& server : servers_) config.backend.nodes.push_back({"127.0.0.1", server.port()});
    proxy_ = std::make_unique<tests::Proxy>(config);
  }

  std::atomic<std::size_t> primary_ = 0;
  std::unique_ptr<tests::Proxy> proxy_;

 private:
  std::optional<std::string> answer(std::size_t index, const std::string& request) {
    const bool is_primary = index == primary_;
    if (request == "ROLE" && is_primary) return "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n";
    if (request == "ROLE") return "*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:1\r\n$9\r\nconnected\r\n:0\r\n";
    if (request.starts_with("SET "))
      return is_primary ? "+OK\r\n" : "-READONLY You can't write against a read only replica.\r\n";
    if (request.starts_with("GET ")) return FakeServer::bulk(std::to_string(index));
    return FakeServer::echo(request);
  }

  FakeServer servers_[2];
  std::jthread serving_;
};

TEST_F(PrimaryNews, GoFromWorkerToWorker) {
  std::vector<BlockingClient> clients;  // one at each worker
  for (std::size_t i = 0; i < kWorkers; ++i) {
    clients.push_back(proxy_->connect());
    ASSERT_EQ(clients[i].command({"GET", "key"}).text, "0");
  }
  primary_ = 1;
  ASSERT_EQ(clients[0].command({"SET", "key", "value"}).text, "OK");
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  for (BlockingClient& client : clients) {
    while (client.command({"GET", "key"}).text != "1") ASSERT_LT(std::chrono::steady_clock::now(), deadline);
  }
}

}  // namespace
}  // namespace sluice
