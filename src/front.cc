#include "src/front.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "src/worker.h"

namespace sluice {
namespace {

/// Names are looked up once, at start, where waiting is no harm.
std::optional<uring::SocketAddress> socket_address(const ListenAddress& address) {
  if (address.is_unix()) return uring::SocketAddress::unix_path(address.path);
  if (const auto numeric = uring::SocketAddress::numeric(address.host, address.port)) return numeric;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* list = nullptr;
  if (::getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &list) != 0)
    return std::nullopt;
  uring::SocketAddress found;
  std::memcpy(&found.storage, list->ai_addr, list->ai_addrlen);
  found.length = list->ai_addrlen;
  ::freeaddrinfo(list);
  return found;
}

}  // namespace

/// A client on its way to its worker.
class Front::Arrival final : public uring::Letter {
 public:
  Arrival(Worker& worker, int fd) : worker_(worker), fd_(fd) {}

 private:
  void on_delivered() override {
    const std::unique_ptr<Arrival> self(this);
    worker_.adopt(fd_);
  }
  Worker& worker_;
  int fd_;
};

/// The news that a client is gone, on its way to the first worker.
class Front::Departure final : public uring::Letter {
 public:
  Departure(Front& front, unsigned index) : front_(front), index_(index) {}

 private:
  void on_delivered() override {
    const std::unique_ptr<Departure> self(this);
    front_.count_departure(index_);
  }
  Front& front_;
  unsigned index_;
};

void Front::set_workers(std::vector<Worker*> workers) {
  workers_ = std::move(workers);
  load_.assign(workers_.size(), 0);
}

std::error_code Front::listen(uring::Ring& ring, std::string& address) {
  for (const Listener& each : config_.listen) {
    address = each.address.text();
    const auto socket = socket_address(each.address);
    if (!socket) return std::make_error_code(std::errc::address_not_available);
    auto& listener = listeners_.emplace_back(std::make_unique<uring::Listener>(ring, *this));
    if (const std::error_code error = listener->open(*socket)) return error;
  }
  return {};
}

void Front::start() {
  for (auto& listener : listeners_) listener->start();
}

void Front::stop() {
  for (auto& listener : listeners_) listener->stop();
}

bool Front::in_flight() const {
  return std::ranges::any_of(listeners_, [](const auto& listener) { return listener->in_flight(); });
}

void Front::on_accepted(int fd) {
  if (clients_ >= config_.max_clients) {
    constexpr std::string_view kFull = "-ERR max number of clients reached\r\n";
    ++refused_;
    // A fresh socket's buffer takes this; whether it arrives is of no consequence.
    static_cast<void>(::send(fd, kFull.data(), kFull.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
    ::close(fd);
    return;
  }
  const auto least = static_cast<std::size_t>(std::ranges::min_element(load_) - load_.begin());
  ++load_[least];
  ++clients_;
  if (least == 0) return workers_[0]->adopt(fd);
  auto arrival = std::make_unique<Arrival>(*workers_[least], fd);
  workers_[least]->mailbox().post(workers_[0]->ring(), *arrival.release());
}

void Front::client_gone(Worker& worker) {
  if (worker.index() == 0) return count_departure(0);
  auto departure = std::make_unique<Departure>(*this, worker.index());
  workers_[0]->mailbox().post(worker.ring(), *departure.release());
}

void Front::count_departure(unsigned index) {
  --load_[index];
  --clients_;
}

}  // namespace sluice
