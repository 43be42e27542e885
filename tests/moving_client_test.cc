// A client that goes from worker to worker stays the client it is, and is counted once.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <exception>
#include <initializer_list>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "src/config.h"
#include "tests/support/fake_server.h"
#include "tests/support/proxy.h"
#include "tests/support/shuffle.h"

namespace sluice {
namespace {

using tests::BlockingClient;

constexpr std::uint32_t kWorkers = 3;
constexpr std::uint32_t kMostClients = 18;

Config config(const tests::FakeServer& server) {
  Config config;
  config.workers = kWorkers;
  config.max_clients = kMostClients;
  config.backend.kind = BackendKind::kStandalone;
  config.backend.nodes = {{"127.0.0.1", server.port()}};
  return config;
}

class MovingClients : public ::testing::Test {
 protected:
  MovingClients() {
    shuffle_.start();
    server_.script = [](const std::string& request) -> std::optional<std::string> {
      if (request == "ROLE") return "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n";
      if (request == "GET never") return std::nullopt;
      return tests::FakeServer::echo(request);
    };
    server_.piece = 1'000;  // some 50 replies with each step
    serving_ = std::jthread([this](const std::stop_token& stop) {
      for (; !stop.stop_requested(); std::this_thread::sleep_for(std::chrono::milliseconds(1))) server_.serve();
    });
  }

  tests::FakeServer server_;  // the thread's, once that runs
  tests::Proxy proxy_{config(server_)};
  tests::Shuffle shuffle_{proxy_.workers()};

 private:
  std::jthread serving_;
};

TEST_F(MovingClients, KeepsAllThatItHasSet) {
  BlockingClient client = proxy_.connect();
  const auto id = client.command({"CLIENT", "ID"}).integer;
  EXPECT_EQ(client.command({"CLIENT", "SETNAME", "traveller"}).text, "OK");
  EXPECT_EQ(client.command({"CLIENT", "SETINFO", "LIB-NAME", "boots"}).text, "OK");
  EXPECT_EQ(client.command({"SELECT", "3"}).text, "OK");
  EXPECT_EQ(client.command({"HELLO", "3"}).type, resp::Type::kMap);
  for (int i = 0; i < 100; ++i) {
    const std::string info = client.command({"CLIENT", "INFO"}).text;
    ASSERT_TRUE(info.starts_with("id=" + std::to_string(id) + " ")) << info;
    ASSERT_NE(info.find(" name=traveller "), info.npos) << info;
    ASSERT_NE(info.find(" lib-name=boots "), info.npos) << info;
    ASSERT_NE(info.find(" db=3 "), info.npos) << info;
    ASSERT_NE(info.find(" resp=3 "), info.npos) << info;
  }
  EXPECT_GE(tests::sum_of_workers(client, "clients_handed_over"), 50U);
  EXPECT_EQ(tests::sum_of_workers(client, "clients_accepted"), 1U);
}

TEST_F(MovingClients, AreCountedOnce) {
  std::vector<BlockingClient> others;
  for (std::uint32_t i = 1; i < kMostClients; ++i) others.push_back(proxy_.connect());
  for (int i = 0; i < 50; ++i) {
    // There is room for one more as soon as the last one has gone.
    BlockingClient last = proxy_.connect();
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (last.command({"PING"}).text != "PONG") {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      last = proxy_.connect();
    }
    for (int j = 0; j < 3; ++j) ASSERT_EQ(last.command({"ECHO", "here"}).text, "here");
    ASSERT_EQ(others[0].command({"ECHO", "there"}).text, "there");
    if (i % 10 == 0) {
      ASSERT_EQ(proxy_.connect().command({"PING"}).text, "ERR max number of clients reached");
    }
  }
}

// The front knows where they are.
TEST_F(MovingClients, LeaveRoomForNewOnes) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  std::vector<BlockingClient> clients;
  for (std::uint32_t i = 0; i < kMostClients / kWorkers; ++i) clients.push_back(proxy_.connect());
  shuffle_.gather();
  while (tests::each_worker(clients[0], "clients") != std::vector<std::uint64_t>{kMostClients / kWorkers, 0, 0}) {
    for (BlockingClient& client : clients) ASSERT_EQ(client.command({"PING"}).text, "PONG");
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
  }
  shuffle_.stop();
  while (clients.size() < kMostClients) clients.push_back(proxy_.connect());
  const std::vector<std::uint64_t> even(kWorkers, kMostClients / kWorkers);
  while (tests::each_worker(clients[0], "clients") != even) ASSERT_LT(std::chrono::steady_clock::now(), deadline);
}

// What it sends may come while it is about to go, and cut in two.
TEST_F(MovingClients, NeedNotWaitForTheirReplies) {
  constexpr int kRequests = 20'000;
  for (const bool drains : {false, true}) {
    shuffle_.start(drains);
    BlockingClient client = proxy_.connect();
    std::jthread sender([&] {
      std::minstd_rand random(std::random_device{}());
      const auto wait = [&] {
        const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(random() / 7 % 50);
        while (std::chrono::steady_clock::now() < until) continue;
      };
      for (int i = 0; i < kRequests; ++i) {
        std::string request;
        resp::write_request(request, {drains ? "GET" : "ECHO", std::to_string(i)});
        const std::size_t cut = random() / 7 % request.size();
        client.send(request.substr(0, cut));
        wait();
        client.send(request.substr(cut));
        wait();
      }
    });
    for (int i = 0; i < kRequests; ++i) {
      const std::string reply = client.read().text;
      if (reply == (drains ? "GET " : "") + std::to_string(i)) continue;
      ADD_FAILURE() << reply << " instead of " << i;
      break;
    }
    sender.join();
    EXPECT_GT(tests::sum_of_workers(client, "clients_handed_over"), 100U);
  }
}

// It is waited for a moment, not until its reply has come.
TEST_F(MovingClients, AreReadWhileTheyWait) {
  constexpr std::uint64_t kMore = 1'000;
  shuffle_.start(true);
  BlockingClient observer = proxy_.connect();
  BlockingClient client = proxy_.connect();
  std::string requests;
  resp::write_request(requests, {"ECHO", "first"});
  resp::write_request(requests, {"GET", "never"});
  client.send(requests);
  ASSERT_EQ(client.read().text, "first");
  requests.clear();
  for (std::uint64_t i = 0; i < kMore; ++i) resp::write_request(requests, {"ECHO", "more"});
  client.send(requests);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (tests::sum_of_workers(observer, "requests_in_flight") < kMore)
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
}

// Always with so many requests under way that they are never answered all; they are only when nothing more is read.
TEST_F(MovingClients, MayHaveRequestsUnderWayAllTheTime) {
  constexpr int kUnderWay = 100;
  constexpr int kRequests = 3'000;
  shuffle_.start(true);
  BlockingClient client = proxy_.connect();
  const auto send = [&](int i) {
    std::string request;
    resp::write_request(request, {"GET", std::to_string(i)});
    client.send(request);
  };
  for (int i = 0; i < kUnderWay; ++i) send(i);
  for (int i = 0; i < kRequests; ++i) {
    ASSERT_EQ(client.read().text, "GET " + std::to_string(i));
    send(i + kUnderWay);
  }
  for (int i = 0; i < kUnderWay; ++i) ASSERT_EQ(client.read().text, "GET " + std::to_string(kRequests + i));
  EXPECT_GT(tests::sum_of_workers(client, "clients_handed_over"), 5U);
}

TEST_F(MovingClients, StillAskForNoReplies) {
  BlockingClient client = proxy_.connect();
  const auto send = [&](std::initializer_list<std::string_view> words) {
    std::string request;
    resp::write_request(request, words);
    client.send(request);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));  // it may move meanwhile
  };
  for (int i = 0; i < 30; ++i) {
    send({"CLIENT", "REPLY", "OFF"});
    for (int j = 0; j < 3; ++j) send({"PING"});
    send({"CLIENT", "REPLY", "ON"});
    ASSERT_EQ(client.read().text, "OK");
    send({"CLIENT", "REPLY", "SKIP"});
    send({"PING"});
    send({"ECHO", std::to_string(i)});
    ASSERT_EQ(client.read().text, std::to_string(i));
  }
  EXPECT_GT(tests::sum_of_workers(client, "clients_handed_over"), 100U);
}

// Nobody waits for them, and nothing of them is left behind.
TEST(ProxyWithMovingClients, Stops) {
  const tests::FakeServer server;
  for (int i = 0; i < 10; ++i) {
    auto proxy = std::make_unique<tests::Proxy>(config(server));
    tests::Shuffle(proxy->workers()).start();
    std::vector<std::jthread> threads;
    for (int j = 0; j < 4; ++j) {
      threads.emplace_back([client = proxy->connect()]() mutable {
        try {
          while (client.command({"ECHO", "x"}).text == "x") continue;
        } catch (const std::exception&) {  // it is closed
        }
      });
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20 + 3 * i));
    const auto begin = std::chrono::steady_clock::now();
    proxy.reset();
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(4)) << "a client was waited for";
  }
}

}  // namespace
}  // namespace sluice
