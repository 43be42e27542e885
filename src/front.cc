#include "src/front.h"

#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "src/errand.h"
#include "src/limits.h"
#include "src/worker.h"

namespace sluice {
namespace {

/// Names are looked up once, at start, where waiting is no harm.
std::vector<uring::SocketAddress> socket_addresses(const ListenAddress& address) {
  const auto one = address.is_unix() ? uring::SocketAddress::unix_path(address.path)
                                     : uring::SocketAddress::numeric(address.host, address.port);
  if (one) return {*one};
  if (address.is_unix()) return {};
  return uring::SocketAddress::of_name(address.host, address.port);
}

/// A name may have addresses that this machine does not.
bool is_absent_here(const std::error_code& error) {
  return error == std::errc::address_not_available || error == std::errc::address_family_not_supported;
}

}  // namespace

void Front::set_workers(std::vector<Worker*> workers) {
  workers_ = std::move(workers);
  load_.assign(workers_.size(), 0);
  used_.assign(workers_.size(), 0);
  gives_.assign(workers_.size(), false);
  balance_ = Balance(workers_.size());
}

std::optional<std::string> Front::listen(uring::Ring& ring) {
  for (const Listener& each : config_.listen) {
    const std::string cannot = "cannot listen on " + each.address.text() + ": ";
    const auto addresses = socket_addresses(each.address);
    if (addresses.empty()) return cannot + "the host name cannot be resolved";
    const std::size_t before = listeners_.size();
    std::error_code error;
    for (const uring::SocketAddress& socket : addresses) {
      auto listener = std::make_unique<uring::Listener>(ring, *this);
      error = listener->open(socket);
      if (!error) listeners_.push_back(std::move(listener));
      if (error && !is_absent_here(error)) return cannot + error.message();
    }
    if (listeners_.size() == before) return cannot + error.message();
  }
  return std::nullopt;
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
    warn_of_refusal();
    // A fresh socket's buffer takes this; whether it arrives is of no consequence.
    static_cast<void>(::send(fd, kFull.data(), kFull.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
    ::close(fd);
    return;
  }
  const std::size_t index = balance_.choose(load_);
  ++load_[index];
  ++clients_;
  Worker& worker = *workers_[index];
  run_in(worker, *workers_[0], [&worker, fd] { worker.adopt(fd); });
}

void Front::warn_of_refusal() {
  const std::uint32_t now_ms = workers_[0]->now_ms();
  if (refused_ > 1 && now_ms - warned_ms_ < limits::kWarnGapMs) return;
  warned_ms_ = now_ms;
  spdlog::warn("max_clients ({}) reached: further clients are refused, {} so far", config_.max_clients, refused_);
}

void Front::client_gone(Worker& worker) {
  run_in(*workers_[0], worker, [this, index = worker.index()] {
    --load_[index];
    --clients_;
  });
}

void Front::client_moved(unsigned from, Worker& worker) {
  run_in(*workers_[0], worker, [this, from, to = worker.index()] {
    --load_[from];
    ++load_[to];
  });
}

void Front::note_use(Worker& worker, double used) {
  run_in(*workers_[0], worker, [this, index = worker.index(), used] {
    used_[index] = used;
    if (index == 0) balance();
  });
}

void Front::balance() {
  const std::size_t before = balance_.in_use();
  std::vector<std::vector<Balance::Share>> shares = balance_.plan(used_);
  if (const std::size_t now = balance_.in_use(); now != before) {
    spdlog::debug("{} of {} workers serve the active clients", now, workers_.size());
    for (Worker* each : workers_) run_in(*each, *workers_[0], [each, now] { each->share_load(now); });
  }
  for (std::size_t i = 0; i < shares.size(); ++i) {
    const bool gives = !shares[i].empty();
    if (!gives && !gives_[i]) continue;
    gives_[i] = gives;
    Worker& giver = *workers_[i];
    // One that is in use hands clients over because it is busy.
    Worker::HandOver order{
        .shares = std::move(shares[i]), .least_age_ms = limits::kLeastAgeMs, .drains = i < balance_.in_use()};
    run_in(giver, *workers_[0], [&giver, order = std::move(order)] { giver.hand_over(order); });
  }
}

}  // namespace sluice
