#include "pool/handshake.h"

#include "pool/pool.h"
#include "resp/writer.h"

namespace pool {

std::string Handshake::begin(const Settings& settings, const LaneKey& key) {
  *this = {};
  std::string out;
  if (!settings.username.empty()) {
    ask(out, {"AUTH", settings.username, settings.password}, false);  // a user may have none (nopass)
  } else if (!settings.password.empty()) {
    ask(out, {"AUTH", settings.password}, false);
  }
  // RESP2 is what every server speaks without HELLO; it is sent for what it tells about the server.
  const bool resp3 = key.protocol == resp::Protocol::kResp3;
  ask(out, {"HELLO", resp3 ? "3" : "2"}, !resp3);
  ask(out, {"CLIENT", "SETNAME", "sluice"}, true);
  const std::string database = std::to_string(key.database);
  if (key.database != 0) ask(out, {"SELECT", database}, false);
  if (key.read_only && settings.read_only_replicas) ask(out, {"READONLY"}, false);
  if (settings.ask_zone) ask(out, {"INFO", "server"}, true);
  return out;
}

void Handshake::ask(std::string& out, std::initializer_list<std::string_view> request, bool optional) {
  resp::write_request(out, request);
  ++left_;
  optional_ = static_cast<std::uint8_t>(optional_ << 1 | (optional ? 1 : 0));
}

bool Handshake::accept(std::string_view reply) {
  --left_;
  return reply[0] != '-' || (optional_ >> left_ & 1) != 0;
}

}  // namespace pool
