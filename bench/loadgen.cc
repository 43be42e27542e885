// A client that keeps to a timetable: connections that together send SETs and GETs at a fixed rate, whatever the server
// does. Request k leaves on connection k % connections at a time fixed in advance, and its latency counts from that
// time, so a server that stalls pays for every request that it kept waiting. Prints one line of JSON.
//   loadgen <host> <port> <connections> <requests per second> <seconds> <tick_us> <GETs per SET> <value bytes> <keys>
// Requests leave in ticks: all of one tick at its beginning, as the timers of most load generators do it.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bench/histogram.h"

namespace {

using bench::Histogram;
using bench::Nanoseconds;
using bench::now;
constexpr Nanoseconds kSecond = 1'000'000'000;
constexpr Nanoseconds kGrace = 2 * kSecond;  // how long we wait for the last replies

struct Options {
  std::string host;
  std::uint64_t port, connections, rate, seconds, tick_us, gets_per_set, value_bytes, keys;
};

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "loadgen: %s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

/// Finds the ends of replies to SET and GET (a line, or a bulk string) in a stream cut anywhere.
class ReplyCounter {
 public:
  struct Count {
    std::uint64_t replies = 0, errors = 0;
  };
  Count scan(std::string_view bytes) {
    Count count;
    while (!bytes.empty()) {
      if (skip_ > 0) {
        const std::size_t skipped = std::min(skip_, bytes.size());
        skip_ -= skipped;
        bytes.remove_prefix(skipped);
        if (skip_ == 0) ++count.replies;
        continue;
      }
      const std::size_t end = bytes.find('\n');
      line_.append(bytes.substr(0, end));
      if (end == std::string_view::npos) break;
      bytes.remove_prefix(end + 1);
      finish_line(count);
    }
    return count;
  }

 private:
  void finish_line(Count& count) {
    long length = -1;
    if (line_.starts_with('$')) std::from_chars(line_.data() + 1, line_.data() + line_.size(), length);
    if (length >= 0) {
      skip_ = static_cast<std::size_t>(length) + 2;
    } else {
      ++count.replies;
      if (line_.starts_with('-')) ++count.errors;
    }
    line_.clear();
  }

  std::string line_;      // of the reply that has begun, without its end
  std::size_t skip_ = 0;  // bytes of a bulk string still to come, its line end included
};

struct Connection {
  int fd = -1;
  std::string unsent;
  std::uint64_t answered = 0;  // its next reply belongs to its request of this number
  ReplyCounter replies;
};

class Load {
 public:
  explicit Load(const Options& options)
      : options_(options),
        value_(options.value_bytes, 'x'),
        connections_(options.connections),
        epoll_(epoll_create1(0)) {
    for (std::size_t i = 0; i < connections_.size(); ++i) open(i);
  }

  void run() {
    start_ = now();
    const std::uint64_t total = options_.rate * options_.seconds;
    const Nanoseconds end = due(total) + kGrace;
    while (latency_.count() < total && now() < end) {
      while (next_ < total && due(next_) <= now()) send_request(next_++);
      wait(next_ < total ? due(next_) : end);
    }
  }

  void print() const {
    const std::uint64_t total = options_.rate * options_.seconds;
    std::printf("{\"requests\": %lu, \"errors\": %lu, \"unanswered\": %lu, \"seconds\": %.3f, ", total, errors_,
                total - latency_.count(), static_cast<double>(last_reply_ - start_) / 1e9);
    std::printf("\"avg_ms\": %.3f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"p999_ms\": %.3f, ", latency_.average_ms(),
                latency_.percentile_ms(0.5), latency_.percentile_ms(0.99), latency_.percentile_ms(0.999));
    std::printf("\"max_ms\": %.3f, \"late_p99_ms\": %.3f}\n", latency_.max_ms(), lateness_.percentile_ms(0.99));
  }

 private:
  /// The timetable: when request k leaves.
  [[nodiscard]] Nanoseconds due(std::uint64_t k) const {
    const auto exact = static_cast<Nanoseconds>(static_cast<double>(k) / static_cast<double>(options_.rate) * 1e9);
    const auto tick = std::max<Nanoseconds>(static_cast<Nanoseconds>(options_.tick_us) * 1000, 1);
    return start_ + exact / tick * tick;
  }

  void open(std::size_t index) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(options_.port));
    if (inet_pton(AF_INET, options_.host.c_str(), &address.sin_addr) != 1) fail("an IPv4 address is needed");
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fail("connect");
    epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLET, .data = {.u64 = index}};
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl");
    connections_[index].fd = fd;
  }

  void send_request(std::uint64_t k) {
    Connection& connection = connections_[k % connections_.size()];
    std::array<char, 128> head;
    const bool set = k % (options_.gets_per_set + 1) == 0;
    const auto key = static_cast<unsigned>(random_() % options_.keys);
    const int size = std::snprintf(head.data(), head.size(), "*%d\r\n$3\r\n%s\r\n$16\r\nkey:%012u\r\n", set ? 3 : 2,
                                   set ? "SET" : "GET", key);
    connection.unsent.append(head.data(), static_cast<std::size_t>(size));
    if (set) connection.unsent.append("$" + std::to_string(value_.size()) + "\r\n" + value_ + "\r\n");
    lateness_.record(now() - due(k));
    flush(connection);
  }

  static void flush(Connection& connection) {
    while (!connection.unsent.empty()) {
      const ssize_t sent =
          send(connection.fd, connection.unsent.data(), connection.unsent.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent < 0 && errno == EAGAIN) return;
      if (sent < 0) fail("send");
      connection.unsent.erase(0, static_cast<std::size_t>(sent));
    }
  }

  void receive(std::size_t index) {
    Connection& connection = connections_[index];
    std::array<char, 16384> buffer;
    ssize_t got = 0;
    while ((got = recv(connection.fd, buffer.data(), buffer.size(), MSG_DONTWAIT)) > 0) {
      const auto count = connection.replies.scan({buffer.data(), static_cast<std::size_t>(got)});
      last_reply_ = now();
      for (std::uint64_t i = 0; i < count.replies; ++i) {
        latency_.record(last_reply_ - due(connection.answered++ * connections_.size() + index));
      }
      errors_ += count.errors;
    }
    if (got == 0) errno = ECONNRESET;
    if (errno != EAGAIN) fail("receive");
  }

  void wait(Nanoseconds until) {
    const Nanoseconds left = std::max<Nanoseconds>(until - now(), 0);
    const timespec timeout{.tv_sec = left / kSecond, .tv_nsec = left % kSecond};
    std::array<epoll_event, 256> events;
    const int count = epoll_pwait2(epoll_, events.data(), static_cast<int>(events.size()), &timeout, nullptr);
    if (count < 0 && errno != EINTR) fail("epoll_pwait2");
    for (int i = 0; i < count; ++i) {
      const std::size_t index = events[static_cast<std::size_t>(i)].data.u64;
      flush(connections_[index]);
      receive(index);
    }
  }

  const Options options_;
  const std::string value_;
  std::vector<Connection> connections_;
  const int epoll_;
  Nanoseconds start_ = 0, last_reply_ = 0;
  std::uint64_t next_ = 0, errors_ = 0;
  Histogram latency_, lateness_;
  std::minstd_rand random_{1};
};

}  // namespace

int main(int argc, char** argv) {
  const std::span<char*> words(argv, static_cast<std::size_t>(argc));
  if (words.size() != 10) {
    errno = EINVAL;
    fail("host port connections rate seconds tick_us gets_per_set value_bytes keys");
  }
  const auto number = [&](std::size_t i) { return std::strtoull(words[i], nullptr, 10); };
  const Options options{.host = words[1],
                        .port = number(2),
                        .connections = number(3),
                        .rate = number(4),
                        .seconds = number(5),
                        .tick_us = number(6),
                        .gets_per_set = number(7),
                        .value_bytes = number(8),
                        .keys = number(9)};
  if (options.connections == 0 || options.rate == 0 || options.keys == 0) {
    errno = EINVAL;
    fail("connections, rate and keys must not be 0");
  }
  prctl(PR_SET_TIMERSLACK, 1UL);  // the default lets every wake-up be 50 us late
  Load load(options);
  load.run();
  load.print();
}
