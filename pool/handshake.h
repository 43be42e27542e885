// What is said first on a connection to a server, in one go, and what its replies are worth.
// Thread: one worker.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "resp/types.h"

namespace pool {

struct Settings;

/// What a connection is set up for; connections that differ in it are never mixed.
struct LaneKey {
  resp::Protocol protocol = resp::Protocol::kResp2;
  bool read_only = false;  ///< READONLY: reads from a replica
  std::uint16_t database = 0;
  bool operator==(const LaneKey&) const = default;
};

class Handshake {
 public:
  /// Begins a new one: the requests, to be sent as they are. At least one.
  [[nodiscard]] std::string begin(const Settings& settings, const LaneKey& key);
  /// The next of the replies. False: the connection cannot become what it is for.
  [[nodiscard]] bool accept(std::string_view reply);
  [[nodiscard]] bool done() const { return left_ == 0; }

 private:
  void ask(std::string& out, std::initializer_list<std::string_view> request, bool optional);

  std::uint8_t left_ = 0;
  std::uint8_t optional_ = 0;  ///< bit i: an error to the i-th reply, counted from the last, is no failure
};

}  // namespace pool
