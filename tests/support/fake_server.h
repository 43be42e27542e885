// A scripted server for tests of the pool: it reads requests off its connections and answers as the test says, byte by
// byte if need be. It runs in the test's own thread, whenever serve() is called, so every interleaving can be made.
// Thread: one.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "resp/reply_scanner.h"
#include "resp/value.h"
#include "tests/support/loopback.h"
#include "tests/support/turns.h"

namespace tests {

/// A request's words, joined by blanks: "SET key value".
inline std::optional<std::string> take_request(std::string& bytes) {
  resp::ReplyScanner scanner;
  const auto result = scanner.scan(bytes);
  if (result.status != resp::ScanStatus::kComplete) return std::nullopt;
  const auto value = resp::parse_value(std::string_view(bytes).substr(0, result.length));
  bytes.erase(0, result.length);
  std::string words;
  for (const resp::Value& word : value->elements) words += (words.empty() ? "" : " ") + word.text;
  return words;
}

class FakeServer {
 public:
  struct Connection {
    explicit Connection(int fd) : socket(fd) {}
    Peer socket;
    std::string unread;  ///< of a request that has not come whole
    std::string output;  ///< replies on their way
  };

  /// How a request is answered: the reply's bytes; nothing: not now.
  using Script = std::function<std::optional<std::string>(const std::string& request)>;

  /// What servers say to the hand-shake; nullopt for every other request.
  static std::optional<std::string> handshake(const std::string& request) {
    if (request.starts_with("AUTH") || request.starts_with("CLIENT") || request.starts_with("SELECT") ||
        request == "READONLY") {
      return "+OK\r\n";
    }
    if (request == "HELLO 2") {
      return "*6\r\n$7\r\nversion\r\n$5\r\n7.0.1\r\n$5\r\nproto\r\n:2\r\n$17\r\navailability_zone\r\n$2\r\nz1\r\n";
    }
    if (request == "HELLO 3") return "%2\r\n$7\r\nversion\r\n$5\r\n7.0.1\r\n$17\r\navailability_zone\r\n$2\r\nz1\r\n";
    return std::nullopt;
  }
  /// The hand-shake, and every other request's words back as a bulk string.
  static std::optional<std::string> echo(const std::string& request) {
    if (auto reply = handshake(request)) return reply;
    return bulk(request);
  }
  static std::string bulk(std::string_view text) {
    return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n";
  }

  [[nodiscard]] std::uint16_t port() const { return listener_.port(); }

  /// Accepts, reads, answers. What the peers have closed is dropped.
  void serve() {
    if (!accepting) return;
    for (int fd = listener_.accept(); fd >= 0; fd = listener_.accept()) {
      connections.push_back(std::make_unique<Connection>(fd));
      ++accepted;
    }
    for (auto& connection : connections) {
      if (reading) read(*connection);
      if (writing) write(*connection);
    }
    std::erase_if(connections, [](const auto& each) { return !each->socket.is_open() || each->socket.ended(); });
  }

  /// Sends bytes nobody asked for to every connection.
  void say(std::string_view bytes) {
    for (auto& connection : connections) connection->output += bytes;
  }

  /// Ends all connections. What they have been sent so far is read first: the server has seen it.
  void kill(bool by_reset = true) {
    for (auto& connection : connections) {
      seen += connection->socket.receive();
      if (by_reset && connection->socket.is_open()) connection->socket.reset();
    }
    connections.clear();
  }
  void stop_listening() { listener_.close(); }

  Script script = echo;
  std::vector<std::string> requests;  ///< whole ones, in the order they came
  std::string seen;                   ///< every byte that came
  std::vector<std::unique_ptr<Connection>> connections;
  std::size_t accepted = 0;
  bool accepting = true;
  bool reading = true;
  bool writing = true;
  std::size_t piece = SIZE_MAX;        ///< bytes of a reply that go out with one serve()
  std::size_t read_limit = SIZE_MAX;   ///< bytes in all that are ever read, then all connections end
  std::size_t write_limit = SIZE_MAX;  ///< likewise of those written

 private:
  void read(Connection& connection) {
    const std::string bytes = connection.socket.receive(read_limit - seen.size());
    seen += bytes;
    connection.unread += bytes;
    while (auto request = take_request(connection.unread)) {
      requests.push_back(*request);
      if (auto reply = script(*request)) connection.output += *reply;
    }
    if (seen.size() >= read_limit) connection.socket.close();
  }

  void write(Connection& connection) {
    if (!connection.socket.is_open()) return;
    const std::size_t wanted = std::min({connection.output.size(), piece, write_limit - written_});
    const std::size_t sent = connection.socket.send(std::string_view(connection.output).substr(0, wanted));
    connection.output.erase(0, sent);
    written_ += sent;
    if (written_ >= write_limit) connection.socket.close();
  }

  LoopbackListener listener_;
  std::size_t written_ = 0;
};

}  // namespace tests
