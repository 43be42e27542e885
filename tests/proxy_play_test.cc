// The whole proxy, its ring and its relays, between a client and a server that chance plays: how large what is sent
// either way is, where it is cut, who reads when, and who goes in the middle of what. Whatever happens, each request
// gets its own reply, byte by byte and in its place, or an error where the server has gone; the server sees a request
// once, whole, and not before its client has sent it; and nothing waits for ever.
//
// What the worker's thread has done by a step is the machine's decision: a seed that fails once may pass the next time.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "resp/writer.h"
#include "src/config.h"
#include "tests/support/fake_server.h"
#include "tests/support/proxy.h"
#include "tests/support/shuffle.h"

namespace sluice {
namespace {

using std::chrono::steady_clock;
using tests::FakeServer;

constexpr std::size_t kThreshold = 20'000;  // of what is relayed
constexpr std::size_t kMostRequests = 12;
constexpr std::size_t kMostSteps = 100;
constexpr int kPlays = 400;
constexpr std::chrono::seconds kPatience{20};

void require(bool holds, const char* what) {
  if (!holds) throw std::logic_error(std::string("not so: ") + what);
}

class Chance {
 public:
  explicit Chance(std::uint32_t seed) : random_(seed) {}
  /// One of 0 .. `choices` - 1.
  [[nodiscard]] std::size_t next(std::size_t choices) { return random_() / 7 % choices; }

 private:
  std::minstd_rand random_;
};

/// Who sends to it is soon held up.
void shrink_receive_buffer(int socket) {
  const int bytes = 40000;
  ::setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

int connect(std::uint16_t port, bool small) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  require(socket >= 0, "a socket");
  if (small) shrink_receive_buffer(socket);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  require(::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0, "a connection");
  const int on = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return socket;
}

std::string bulks(std::span<const std::string> texts) {
  std::string reply = "*" + std::to_string(texts.size()) + "\r\n";
  for (const std::string& text : texts) reply += FakeServer::bulk(text);
  return reply;
}

struct Exchange {
  std::size_t request_hash = 0;  ///< of what FakeServer tells of it
  std::string reply;
  std::size_t end = 0;  ///< of its bytes, in all that the client sends
  bool writes = false;
  std::size_t seen = 0;  ///< how often the server has seen it whole
};

/// One client's.
struct Talk {
  /// Nobody reads the replies any more. Its requests may come still, and be late.
  void shrink() {
    for (Exchange& exchange : exchanges) std::string("-ERR nobody waits for this\r\n").swap(exchange.reply);
  }

  std::vector<Exchange> exchanges;
  std::size_t sent = 0;  ///< bytes of its requests

  /// What the server says to a request that has come whole.
  const std::string& answer(const std::string& request, std::size_t index) {
    require(index < exchanges.size(), "its number");
    Exchange& exchange = exchanges[index];
    require(std::hash<std::string>{}(request) == exchange.request_hash, "the request's bytes");
    require(sent >= exchange.end, "it came after it was sent");
    require(++exchange.seen == 1 || !exchange.writes, "a write is seen once");
    return exchange.reply;
  }
};

/// The proxy and the server behind it, for all plays.
class House {
 public:
  explicit House(std::uint32_t workers) {
    Config config;
    config.workers = workers;
    config.backend.kind = BackendKind::kStandalone;
    config.backend.nodes = {{"127.0.0.1", server.port()}};
    config.large_values.threshold = kThreshold;
    server.script = [this](const std::string& request) { return answer(request); };
    proxy = std::make_unique<tests::Proxy>(config);
  }
  /// A new client's, the one before having gone.
  Talk& next_talk() {
    if (!talks_.empty()) talks_[number].shrink();
    return talks_[++number];
  }

  FakeServer server;
  std::unique_ptr<tests::Proxy> proxy;
  std::uint32_t number = 0;  ///< of the client
  bool was_killed = false;   ///< the server's connections, and the proxy may hear of it just now

 private:
  std::optional<std::string> answer(const std::string& request) {
    if (request == "ROLE") return "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n";
    if (request == "PING") return "+PONG\r\n";
    if (request.starts_with("EXISTS ")) return ":1\r\n";  // whether the slot is served, before a large value
    if (auto reply = FakeServer::handshake(request)) return reply;
    const std::size_t at = request.find(' ') + 1;
    const std::size_t colon = request.find(':', at);
    require(colon != std::string::npos, "a request of ours");
    const auto talk = talks_.find(static_cast<std::uint32_t>(std::stoul(request.substr(at, colon - at))));
    require(talk != talks_.end(), "a request of one of the clients");
    return talk->second.answer(request, std::stoul(request.substr(colon + 1)));
  }

  std::map<std::uint32_t, Talk> talks_;
};

class Play {
 public:
  Play(House& house, Chance& chance)
      : house_(house), server_(house.server), talk_(house.next_talk()), number_(house.number), chance_(chance) {
    const std::size_t count = 1 + chance_.next(kMostRequests);
    for (std::size_t i = 0; i < count; ++i) add(i);
    if (chance_.next(2) == 0) server_.piece = 1 + next_part(100'000);
    client_ = tests::Peer(connect(house.proxy->port(), chance_.next(4) == 0));
  }
  ~Play() {
    server_.requests.clear();
    server_.seen.clear();
    let_server_go_on();
    house_.was_killed = kills_ || (was_killed_ && is_gone_);  // else it has heard before the last reply
  }

  void run(std::size_t steps) {
    for (std::size_t i = 0; i < steps && !is_gone_; ++i) step();
    let_server_go_on();
    if (!is_gone_) finish();
  }

 private:
  // --- What is said ---

  [[nodiscard]] std::size_t next_size() {
    static constexpr std::size_t kSizes[] = {0,          1,      100,    4'000,   16'300,  16'400, kThreshold - 10,
                                             kThreshold, 40'000, 66'000, 100'000, 150'000, 300'000};
    // A few are more than one connection brings at a time.
    const std::size_t size = chance_.next(64) == 0 ? 600'000 : kSizes[chance_.next(std::size(kSizes))];
    return size + chance_.next(7);
  }

  std::string next_text() { return tests::pattern(next_size(), number_ * 1000 + texts_++); }

  void add(std::size_t index) {
    Exchange exchange;
    std::vector<std::string> words;
    const std::string key = std::to_string(number_) + ":" + std::to_string(index);
    switch (chance_.next(8)) {
      case 0:
      case 1:
      case 2:
        words = {"GET", key};
        exchange.reply = FakeServer::bulk(next_text());
        break;
      case 3:
      case 4:
        words = {"SET", key, next_text()};
        exchange.reply = "+OK\r\n";
        exchange.writes = true;
        break;
      case 5: {
        words = {"LRANGE", key, "0", "-1"};
        const std::string elements[] = {next_text(), next_text(), next_text()};
        exchange.reply = bulks(elements);
        break;
      }
      case 6:
        words = {"GETSET", key, next_text()};
        exchange.reply = FakeServer::bulk(next_text());
        exchange.writes = true;
        break;
      default:
        words = {"RPUSH", key, next_text(), "x", next_text()};
        exchange.reply = ":3\r\n";
        exchange.writes = true;
    }
    std::string bytes;
    resp::write_request(bytes, std::vector<std::string_view>(words.begin(), words.end()));
    to_send_ += bytes;
    exchange.end = to_send_.size();
    exchange.request_hash = std::hash<std::string>{}(*tests::take_request(bytes));
    talk_.exchanges.push_back(std::move(exchange));
  }

  // --- What happens ---

  [[nodiscard]] std::size_t next_part(std::size_t left) {
    const std::size_t choice = chance_.next(64);
    return choice == 0 ? left : std::min(left, choice < 24 ? choice : (choice - 23) * 2'500);
  }

  void step() {
    switch (chance_.next(16)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
        return send(next_part(to_send_.size() - talk_.sent));
      case 5:
      case 6:
      case 7:
        return receive(next_part(200'000));
      case 8:
        server_.writing = !server_.writing;
        break;
      case 9:
        server_.reading = !server_.reading;
        break;
      case 10:
        server_.piece = 1 + next_part(100'000);
        break;
      case 11:
      case 15:
        // Of several workers one may not have heard of it when another has told its client.
        if (house_.proxy->workers().size() > 1) break;
        if (is_deadly_ && (is_server_writing() || chance_.next(4) == 0)) return kill_server();
        break;
      case 12:
        if (is_deadly_ && chance_.next(3) == 0) return leave();
        break;
      case 13:
        std::this_thread::sleep_for(std::chrono::microseconds(20 * chance_.next(16)));
        break;
      case 14:
        for (auto& each : server_.connections) shrink_receive_buffer(each->socket.fd());
        break;
    }
    server_.serve();
  }

  void send(std::size_t bytes) {
    if (waits_) bytes = std::min(bytes, next_end() - talk_.sent);
    talk_.sent += client_.send(std::string_view(to_send_).substr(talk_.sent, bytes));
    server_.serve();
  }

  /// Of the first request that is not answered.
  std::size_t next_end() {
    static_cast<void>(is_answered());
    return answered_ == talk_.exchanges.size() ? to_send_.size() : talk_.exchanges[answered_].end;
  }

  void receive(std::size_t bytes) { received_ += client_.receive(bytes); }

  void let_server_go_on() {
    server_.reading = server_.writing = true;
    server_.piece = SIZE_MAX;
  }

  [[nodiscard]] bool is_server_writing() const {
    return std::ranges::any_of(server_.connections, [](const auto& each) { return !each->output.empty(); });
  }

  void kill_server() {
    server_.kill(chance_.next(2) == 0);
    kills_ = was_killed_ = true;
  }

  void leave() {
    if (chance_.next(2) == 0) {
      client_.reset();
    } else {
      client_.close();
    }
    is_gone_ = true;
  }

  // --- What must have happened ---

  /// Everything goes on: the replies must come, to the last.
  void finish() {
    const auto deadline = steady_clock::now() + kPatience;
    while (!is_answered() && !client_.ended()) {
      const std::size_t before = received_.size() + talk_.sent;
      send(to_send_.size() - talk_.sent);
      receive(1U << 20);
      server_.serve();
      if (received_.size() + talk_.sent == before) std::this_thread::sleep_for(std::chrono::microseconds(30));
      require(steady_clock::now() < deadline, "all replies come in time");
    }
    require(is_answered() || was_killed_, "no client is closed for nothing");
    require(rest_.empty(), "nothing comes that nobody asked for");
  }

  /// All requests have got theirs. What has come so far is looked at as far as it is whole.
  bool is_answered() {
    rest_ = std::string_view(received_);
    answered_ = 0;
    for (const Exchange& exchange : talk_.exchanges) {
      if (rest_.starts_with(exchange.reply)) {
        rest_.remove_prefix(exchange.reply.size());
      } else if (const std::size_t end = rest_.find("\r\n"); rest_.starts_with('-') && end != rest_.npos) {
        require(was_killed_, "no error without a reason");
        rest_.remove_prefix(end + 2);
      } else {
        require(exchange.reply.starts_with(rest_) || (rest_.starts_with('-') && was_killed_), "the reply's own bytes");
        rest_ = {};
        return false;
      }
      ++answered_;
    }
    return true;
  }

  House& house_;
  FakeServer& server_;
  Talk& talk_;
  const std::uint32_t number_;
  Chance& chance_;
  std::uint32_t texts_ = 0;
  std::string to_send_;
  std::string received_;
  std::string_view rest_;
  std::size_t answered_ = 0;  ///< the first so many requests
  tests::Peer client_;
  const bool is_deadly_ = chance_.next(3) == 0;
  const bool waits_ = chance_.next(2) == 0;  ///< for each reply, before it sends what comes next
  bool kills_ = false;
  bool was_killed_ = house_.was_killed;
  bool is_gone_ = false;
};

void play(House& house, tests::Shuffle* shuffle = nullptr) {
  const std::uint32_t seed = std::random_device{}();
  std::printf("seed %u\n", seed);
  Chance chance(seed);
  for (int i = 0; i < kPlays; ++i) {
    try {
      if (shuffle != nullptr) shuffle->start(chance.next(2) == 0);
      Play(house, chance).run(chance.next(kMostSteps));
    } catch (const std::logic_error& error) {
      FAIL() << "seed " << seed << ", play " << i << ": " << error.what();
    }
  }
}

TEST(ProxyPlay, EachRequestGetsItsOwnReply) {
  House house(1);
  play(house);
}

TEST(ProxyPlay, AndSoItDoesWhileClientsMove) {
  House house(3);
  tests::Shuffle shuffle(house.proxy->workers());
  ASSERT_NO_FATAL_FAILURE(play(house, &shuffle));
  tests::BlockingClient client = house.proxy->connect();
  const std::uint64_t moves = tests::sum_of_workers(client, "clients_handed_over");
  std::printf("%lu moves\n", moves);
  EXPECT_GT(moves, kPlays) << "not just when all is over";
}

}  // namespace
}  // namespace sluice
