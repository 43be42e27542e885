// One client of big_load: a connection with a key of its own, whose values nobody else has, and which looks at every
// byte that it is sent. A byte that should not be there ends the program.
#pragma once

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "bench/histogram.h"

namespace bench {

constexpr int kFailed = 1, kWrongBytes = 2;  // how the program ends

/// Ends the program at once, from whichever thread.
[[noreturn]] inline void end(int status, const std::string& what) {
  std::fprintf(stderr, "big_load: %s\n", what.c_str());
  std::_Exit(status);
}

[[noreturn]] inline void fail(const char* what) {
  end(kFailed, std::string(what) + ": " + std::strerror(errno));
}

/// Random bytes, made once. Every value is a window of them, each at a place of its own: no two are alike at any
/// offset, and a hundred values of 10 MB cost 10 MB.
class Values {
 public:
  Values(std::uint64_t seed, std::size_t count, std::size_t size) : bytes_(size + count * kStride, '\0') {
    std::mt19937_64 random(seed);
    for (std::size_t at = 0; at < bytes_.size(); at += sizeof(std::uint64_t)) {
      const std::uint64_t word = random();
      std::memcpy(bytes_.data() + at, &word, std::min(sizeof word, bytes_.size() - at));
    }
  }
  [[nodiscard]] std::string_view get(std::size_t index, std::size_t size) const {
    assert(index * kStride + size <= bytes_.size());
    return std::string_view(bytes_).substr(index * kStride, size);
  }

 private:
  static constexpr std::size_t kStride = 4099;  // prime, so that no alignment is spared
  std::string bytes_;
};

/// Bytes to be sent or to be met with, without copying the value between their two ends.
struct Message {
  std::string head;
  std::string_view value;
  std::string_view tail;
  std::size_t done = 0;  // <= size()

  [[nodiscard]] std::size_t size() const { return head.size() + value.size() + tail.size(); }
  [[nodiscard]] bool complete() const { return done == size(); }

  /// What is not done yet of its next part.
  [[nodiscard]] std::string_view next() const {
    std::size_t before = 0;
    for (const std::string_view part : {std::string_view(head), value, tail}) {
      if (done < before + part.size()) return part.substr(done - before);
      before += part.size();
    }
    return {};
  }
};

enum class Command { kSet, kGet, kRemove };
constexpr const char* name_of(Command command) {
  return command == Command::kSet ? "SET" : command == Command::kGet ? "GET" : "DEL";
}

/// One connection with one key and one command under way, made of its request and the only reply that it may get.
class Client {
 public:
  Client(int fd, std::string key, std::size_t index, const Values& values, std::size_t value_bytes)
      : fd_(fd), key_(std::move(key)), index_(index), values_(values), value_bytes_(value_bytes) {}

  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] bool sending() const { return !request_.complete(); }
  [[nodiscard]] bool finished() const { return reply_.complete(); }
  [[nodiscard]] std::size_t index() const { return index_; }
  [[nodiscard]] std::size_t begun() const { return begun_; }                       // commands
  [[nodiscard]] std::size_t moved() const { return request_.done + reply_.done; }  // bytes of this command
  [[nodiscard]] Nanoseconds began() const { return began_; }

  /// A SET writes the other one of the key's two values; a GET is to find the one written last.
  void begin(Command command) {
    assert(finished());
    command_ = command;
    began_ = now();
    ++begun_;
    if (command == Command::kSet) ++version_;
    const std::string_view value = values_.get(2 * index_ + version_ % 2, value_bytes_);
    const std::string size = "$" + std::to_string(value_bytes_) + "\r\n";
    const std::string words = std::string(command == Command::kSet ? "*3" : "*2") + "\r\n$3\r\n" + name_of(command) +
                              "\r\n$" + std::to_string(key_.size()) + "\r\n" + key_ + "\r\n";
    switch (command) {
      case Command::kSet:
        request_ = {.head = words + size, .value = value, .tail = "\r\n"};
        reply_ = {.head = "+OK\r\n", .value = {}, .tail = {}};
        break;
      case Command::kGet:
        request_ = {.head = words, .value = {}, .tail = {}};
        reply_ = {.head = size, .value = value, .tail = "\r\n"};
        break;
      case Command::kRemove:
        request_ = {.head = words, .value = {}, .tail = {}};
        reply_ = {.head = ":1\r\n", .value = {}, .tail = {}};
        break;
    }
  }

  /// Hands the kernel what it takes now.
  void send() {
    while (sending()) {
      const std::string_view part = request_.next();
      const bool last = request_.done + part.size() == request_.size();
      const ssize_t sent = ::send(fd_, part.data(), part.size(), MSG_DONTWAIT | MSG_NOSIGNAL | (last ? 0 : MSG_MORE));
      if (sent < 0 && errno == EAGAIN) return;
      if (sent < 0) give_up(std::string("send: ") + std::strerror(errno));
      request_.done += static_cast<std::size_t>(sent);
      if (static_cast<std::size_t>(sent) < part.size()) return;
    }
  }

  /// Reads once, into the buffer, and compares.
  void receive(std::span<char> buffer) {
    const ssize_t got = recv(fd_, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return;
    if (got < 0) give_up(std::string("receive: ") + std::strerror(errno));
    if (got == 0) give_up("the connection was closed");
    compare({buffer.data(), static_cast<std::size_t>(got)});
  }

  [[noreturn]] void give_up(const std::string& why, int status = kFailed) const {
    end(status, std::string(name_of(command_)) + " " + key_ + " (" + std::to_string(request_.done) + " of " +
                    std::to_string(request_.size()) + " bytes sent, " + std::to_string(reply_.done) + " of " +
                    std::to_string(reply_.size()) + " received, SET " + std::to_string(version_) + " times): " + why);
  }

 private:
  void compare(std::string_view bytes) {
    while (!bytes.empty()) {
      if (reply_.complete()) give_up("WRONG BYTES: more than the reply: " + printable(bytes), kWrongBytes);
      const std::string_view wanted = reply_.next().substr(0, bytes.size());
      if (std::memcmp(wanted.data(), bytes.data(), wanted.size()) != 0) on_difference(wanted, bytes);
      reply_.done += wanted.size();
      bytes.remove_prefix(wanted.size());
    }
  }

  [[noreturn]] void on_difference(std::string_view wanted, std::string_view bytes) {
    if (reply_.done == 0 && bytes.starts_with('-')) give_up("refused: " + printable(bytes, 200));
    const auto [expected, came] = std::mismatch(wanted.begin(), wanted.end(), bytes.begin());
    reply_.done += static_cast<std::size_t>(expected - wanted.begin());
    const auto from = static_cast<std::size_t>(came - bytes.begin());
    give_up("WRONG BYTES: " + printable(bytes.substr(from)) + " instead of " + printable(wanted.substr(from)),
            kWrongBytes);
  }

  static std::string printable(std::string_view bytes, std::size_t most = 24) {
    std::string text = "\"";
    for (const char byte : bytes.substr(0, most)) {
      std::array<char, 8> code{};
      std::snprintf(code.data(), code.size(), "\\x%02x", static_cast<unsigned char>(byte));
      text += byte >= ' ' && byte <= '~' ? std::string(1, byte) : std::string(code.data());
    }
    return text + '"';
  }

  const int fd_;
  const std::string key_;
  const std::size_t index_;
  const Values& values_;
  const std::size_t value_bytes_;
  std::size_t begun_ = 0, version_ = 0;  // commands; how many of them were SET
  Command command_ = Command::kGet;
  Message request_, reply_;
  Nanoseconds began_ = 0;
};

}  // namespace bench
