// What CLIENT INFO says of a client, and what its socket says of itself.
// Source: https://redis.io/docs/latest/commands/client-list/
#pragma once

#include <cstdint>
#include <string>

#include "cluster/topology.h"
#include "src/session.h"

namespace sluice {

/// "id=3 addr=127.0.0.1:60000 laddr=... name=... age=... idle=... db=0 resp=2 lib-name=... lib-ver=..."; no newline.
[[nodiscard]] std::string describe_client(const Session& session, std::uint32_t now_ms);

/// The address a client connects from, and the one it connected to; 127.0.0.1 port 0 for a unix socket.
[[nodiscard]] cluster::Address remote_address(int fd);
[[nodiscard]] cluster::Address local_address(int fd);

/// At most 64 bytes of a client's word for an error text; what cannot be printed becomes '?'.
[[nodiscard]] std::string quotable(std::string_view word);

}  // namespace sluice
