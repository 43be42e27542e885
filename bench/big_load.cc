// Clients that move large values, and look at every byte that comes back.
//   big_load <host> <port> <set|get|both> <clients> <value bytes> <seconds> <key prefix> <seed>
//            <small clients> <slow reader's bytes/s>
// Each client has a key of its own and one command under way: SET, GET, or the two in turn. Beside them, as far as
// asked for: clients with GETs of 32 bytes, whose latency is measured, and one reader that takes its value at so many
// bytes/s. Puts its values in place, prints "ready" and waits for a line; runs, prints one line of JSON and waits
// again; looks at what it wrote last and removes its keys. After the last second no command begins; those under way are
// finished. Ends with status 1 when it was refused or stalled, and with 2 when bytes came back other than they were
// sent.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "bench/big_client.h"
#include "bench/histogram.h"

namespace {

using bench::Client;
using bench::Command;
using bench::end;
using bench::fail;
using bench::Histogram;
using bench::kFailed;
using bench::Nanoseconds;
using bench::now;
using bench::Values;
constexpr Nanoseconds kSecond = 1'000'000'000;
constexpr Nanoseconds kPatience = 10 * kSecond;  // without a byte for anybody, we call it a stall
constexpr std::size_t kReceive = 256UL << 10U;   // at once: stays in the second-level cache, where it is compared
constexpr std::size_t kSmall = 32;               // bytes of a small value
constexpr std::size_t kSlowTick = 10;            // how often in a second the slow reader reads
constexpr int kSlowSocket = 32 << 10;            // its receive buffer, lest the kernel reads ahead in its place

struct Options {
  std::string host;
  std::uint16_t port;
  std::string commands;
  std::size_t clients, value_bytes;
  double seconds;
  std::string prefix;
  std::uint64_t seed;
  std::size_t small_clients, slow_bytes_per_second;
};

int connect_to(const Options& options, int receive_buffer = 0) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(options.port);
  if (inet_pton(AF_INET, options.host.c_str(), &address.sin_addr) != 1) end(kFailed, "an IPv4 address is needed");
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (receive_buffer > 0) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fail("connect");
  return fd;
}

/// Clients that one thread serves.
class Crowd {
 public:
  Crowd(const Options& options, const std::string& kind, std::size_t count, const Values& values,
        std::size_t value_bytes)
      : value_bytes_(value_bytes), epoll_(epoll_create1(0)), buffer_(kReceive) {
    for (std::size_t i = 0; i < count; ++i) {
      clients_.emplace_back(connect_to(options), options.prefix + kind + ":" + std::to_string(i), i, values,
                            value_bytes);
      epoll_event event{.events = EPOLLIN, .data = {.u64 = i}};
      if (epoll_ctl(epoll_, EPOLL_CTL_ADD, clients_[i].fd(), &event) != 0) fail("epoll_ctl");
    }
  }

  /// One command of every client.
  void once(Command command) {
    run(0, [command](const Client&) { return command; });
  }

  /// Commands until the time has come, at least one of every client, and until the last of them is answered.
  template <typename Next>
  void run(Nanoseconds until, const Next& next) {
    latency_ = {};
    last_moved_ = now();
    for (std::size_t i = 0; i < clients_.size(); ++i) begin(i, next(clients_[i]));
    while (under_way_ > 0) {
      std::array<epoll_event, 128> events;
      const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 100);
      if (count < 0 && errno != EINTR) fail("epoll_wait");
      for (const epoll_event& event : std::span(events.data(), static_cast<std::size_t>(std::max(count, 0)))) {
        const std::size_t index = event.data.u64;
        if (!serve(index)) continue;
        latency_.record(now() - clients_[index].began());
        --under_way_;
        if (now() < until) begin(index, next(clients_[index]));
      }
      if (count > 0) last_moved_ = now();
      if (now() - last_moved_ > kPatience) stalled();
    }
  }

  [[nodiscard]] const Histogram& latency() const { return latency_; }  // of the last run
  [[nodiscard]] std::uint64_t value_bytes() const { return latency_.count() * value_bytes_; }

 private:
  void begin(std::size_t index, Command command) {
    ++under_way_;
    clients_[index].begin(command);
    clients_[index].send();
    if (clients_[index].sending()) watch(index, EPOLLIN | EPOLLOUT);
  }

  /// Returns whether its command is finished now.
  bool serve(std::size_t index) {
    Client& client = clients_[index];
    if (client.sending()) {
      client.send();
      if (!client.sending()) watch(index, EPOLLIN);
    }
    const bool was_finished = client.finished();
    client.receive(buffer_);
    return client.finished() && !was_finished;
  }

  void watch(std::size_t index, std::uint32_t events) {
    epoll_event event{.events = events, .data = {.u64 = index}};
    if (epoll_ctl(epoll_, EPOLL_CTL_MOD, clients_[index].fd(), &event) != 0) fail("epoll_ctl");
  }

  [[noreturn]] void stalled() const {
    const auto client =
        std::find_if(clients_.begin(), clients_.end(), [](const Client& one) { return !one.finished(); });
    client->give_up("STALLED with " + std::to_string(under_way_) + " commands under way");
  }

  const std::size_t value_bytes_;
  const int epoll_;
  std::vector<char> buffer_;
  std::vector<Client> clients_;
  std::size_t under_way_ = 0;
  Nanoseconds last_moved_ = 0;
  Histogram latency_;
};

/// Reads a value again and again, but slowly; whatever it holds up is its own fault, and should be nobody else's
/// trouble.
class SlowReader {
 public:
  SlowReader(const Options& options, const Values& values)
      : bytes_per_tick_(options.slow_bytes_per_second / kSlowTick),
        client_(connect_to(options, kSlowSocket), options.prefix + "slow", options.clients, values,
                options.value_bytes) {
    fast(Command::kSet);
  }

  void run(const std::stop_token& stop) {
    std::vector<char> buffer(bytes_per_tick_);
    while (!stop.stop_requested()) {
      if (client_.finished()) client_.begin(Command::kGet);
      client_.send();
      client_.receive(buffer);
      std::this_thread::sleep_for(std::chrono::milliseconds(1000 / kSlowTick));
    }
  }

  /// Takes the rest of its last value at full speed, and removes the key.
  void remove() {
    finish();
    fast(Command::kRemove);
  }

 private:
  void fast(Command command) {
    client_.begin(command);
    finish();
  }

  void finish() {
    std::vector<char> buffer(kReceive);
    Nanoseconds last_moved = now();
    while (!client_.finished()) {
      const std::size_t before = client_.moved();
      client_.send();
      client_.receive(buffer);
      if (client_.moved() != before) last_moved = now();
      if (now() - last_moved > kPatience) client_.give_up("STALLED: the slow reader");
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
  }

  const std::size_t bytes_per_tick_;
  Client client_;
};

/// Of those that take both commands in turn, every other one is a step ahead: both directions are always under way.
Command next_of(const Options& options, const Client& client) {
  if (options.commands == "set") return Command::kSet;
  if (options.commands == "get") return Command::kGet;
  return (client.index() + client.begun()) % 2 == 0 ? Command::kSet : Command::kGet;
}

/// Our caller reads the proxy's clocks before it lets us go on. Its end ends us as well.
void wait_for_line() {
  while (true) {
    const int letter = std::getchar();
    if (letter == '\n') return;
    if (letter == EOF) end(kFailed, "nobody said go");
  }
}

void print(const Crowd& large, const Crowd& small, Nanoseconds took) {
  const auto times = [](const Histogram& latency) {
    std::array<char, 128> text{};
    std::snprintf(text.data(), text.size(), R"("p50_ms": %.3f, "p99_ms": %.3f, "p999_ms": %.3f, "max_ms": %.3f)",
                  latency.percentile_ms(0.5), latency.percentile_ms(0.99), latency.percentile_ms(0.999),
                  latency.max_ms());
    return std::string(text.data());
  };
  std::printf(R"({"seconds": %.6f, "large": {"operations": %lu, "bytes": %lu, %s}, "small": {"operations": %lu, %s}})"
              "\n",
              static_cast<double>(took) / 1e9, large.latency().count(), large.value_bytes(),
              times(large.latency()).c_str(), small.latency().count(), times(small.latency()).c_str());
  std::fflush(stdout);
}

void run(const Options& options) {
  const std::size_t windows = 2 * (std::max(options.clients, options.small_clients) + 1);
  const Values values(options.seed, windows, std::max(options.value_bytes, kSmall));
  Crowd large(options, "large", options.clients, values, options.value_bytes);
  Crowd small(options, "small", options.small_clients, values, kSmall);
  std::vector<SlowReader> slow;
  large.once(Command::kSet);
  small.once(Command::kSet);
  if (options.slow_bytes_per_second > 0) slow.emplace_back(options, values);
  std::puts("ready");
  std::fflush(stdout);
  wait_for_line();

  const Nanoseconds start = now();
  const Nanoseconds until = start + static_cast<Nanoseconds>(options.seconds * 1e9);
  std::vector<std::jthread> beside;
  beside.reserve(slow.size() + 1);
  for (SlowReader& reader : slow) {
    beside.emplace_back([&reader](const std::stop_token& stop) { reader.run(stop); });
  }
  if (options.small_clients > 0) {
    beside.emplace_back([&] { small.run(until, [](const Client&) { return Command::kGet; }); });
  }
  large.run(until, [&](const Client& client) { return next_of(options, client); });
  const Nanoseconds took = now() - start;
  beside.clear();
  print(large, small, took);
  wait_for_line();  // whoever measures has read the clocks

  if (options.commands != "get") large.once(Command::kGet);  // what was SET last is looked at, too

  large.once(Command::kRemove);
  small.once(Command::kRemove);
  for (SlowReader& reader : slow) reader.remove();
}

}  // namespace

int main(int argc, char** argv) {
  const std::span<char*> words(argv, static_cast<std::size_t>(argc));
  if (words.size() != 11) {
    end(kFailed, "host port set|get|both clients value_bytes seconds prefix seed small_clients slow_bytes_per_second");
  }
  const auto number = [&](std::size_t i) { return std::strtoull(words[i], nullptr, 10); };
  const Options options{.host = words[1],
                        .port = static_cast<std::uint16_t>(number(2)),
                        .commands = words[3],
                        .clients = number(4),
                        .value_bytes = number(5),
                        .seconds = std::strtod(words[6], nullptr),
                        .prefix = words[7],
                        .seed = number(8),
                        .small_clients = number(9),
                        .slow_bytes_per_second = number(10)};
  if (options.clients == 0 || options.value_bytes == 0) end(kFailed, "clients and value bytes must not be 0");
  run(options);
}
