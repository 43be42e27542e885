// What an error reply of a cluster node asks for. Source: Redis Cluster specification, "Redirection and resharding".
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "cluster/topology.h"

namespace cluster {

enum class ErrorKind : std::uint8_t {
  kOther,        ///< the client's business
  kMoved,        ///< -MOVED slot host:port
  kAsk,          ///< -ASK slot host:port
  kTryAgain,     ///< -TRYAGAIN
  kClusterDown,  ///< -CLUSTERDOWN
  kLoading,      ///< -LOADING
  kReadOnly,     ///< -READONLY (a write reached a replica that was a primary)
  kMasterDown,   ///< -MASTERDOWN
};

/// `error` is the reply as received ("-MOVED 3999 127.0.0.1:6381\r\n"; CRLF optional). Constant time for kOther.
[[nodiscard]] ErrorKind classify_error(std::string_view error);

struct Redirect {
  Slot slot = 0;
  /// Host empty ("MOVED 1 :6379"): the host that sent the reply. Host "?": one without a name, where names are
  /// preferred; which one is not said.
  Address address;
};

/// The target of a -MOVED or -ASK; nullopt when malformed.
[[nodiscard]] std::optional<Redirect> parse_redirect(std::string_view error);

}  // namespace cluster
