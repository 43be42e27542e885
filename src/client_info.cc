#include "src/client_info.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>

namespace sluice {
namespace {

cluster::Address address_of(const sockaddr_storage& storage) {
  char text[INET6_ADDRSTRLEN] = "127.0.0.1";
  if (storage.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
    inet_ntop(AF_INET, &v4.sin_addr, text, sizeof(text));
    return {text, ntohs(v4.sin_port)};
  }
  if (storage.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
    inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof(text));
    return {text, ntohs(v6.sin6_port)};
  }
  return {text, 0};
}

/// What getpeername() or getsockname() says of a socket.
cluster::Address address_by(int (*ask)(int, sockaddr*, socklen_t*), int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof(storage);
  ask(fd, reinterpret_cast<sockaddr*>(&storage), &length);
  return address_of(storage);
}

}  // namespace

cluster::Address remote_address(int fd) {
  return address_by(getpeername, fd);
}

cluster::Address local_address(int fd) {
  return address_by(getsockname, fd);
}

std::string quotable(std::string_view word) {
  std::string out(word.substr(0, 64));
  std::ranges::replace_if(
      out, [](char c) { return c < ' ' || c > '~'; }, '?');
  return out;
}

std::string describe_client(const Session& session, std::uint32_t now_ms) {
  static const ClientNames nameless;
  const ClientNames& names = session.names_or_null() == nullptr ? nameless : *session.names_or_null();
  std::string line = "id=" + std::to_string(session.id());
  line += " addr=" + remote_address(session.fd()).text();
  line += " laddr=" + local_address(session.fd()).text();
  line += " fd=" + std::to_string(session.fd());
  line += " name=" + names.name;
  line += " age=" + std::to_string((now_ms - session.opened_ms()) / 1000);
  line += " idle=" + std::to_string((now_ms - session.active_ms()) / 1000);
  line += " flags=N db=" + std::to_string(session.database);
  line += " sub=0 psub=0 ssub=0 multi=-1 watch=0";
  // Not counted here, but clients' parsers expect all that servers name.
  line +=
      " qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=0 events=r cmd=client|info";
  line += " user=default redir=-1 resp=" + std::to_string(static_cast<int>(session.protocol));
  line += " lib-name=" + names.lib_name + " lib-ver=" + names.lib_version;
  return line;
}

}  // namespace sluice
