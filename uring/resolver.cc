#include "uring/resolver.h"

#include <netdb.h>

#include <chrono>
#include <cstring>
#include <utility>

namespace uring {
namespace {

constexpr std::chrono::milliseconds kRetry{20};

}  // namespace

/// The question on its way to the resolver's thread, the answer on its way back.
class Resolution::Answer final : public Letter {
 public:
  Answer(std::string host, std::uint16_t port, int asker_fd, ResolveHandler& handler)
      : host_(std::move(host)), port_(port), asker_(asker_fd), handler_(&handler) {}

  /// In the resolver's thread.
  void look_up() {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_ADDRCONFIG;
    addrinfo* list = nullptr;
    if (::getaddrinfo(host_.c_str(), std::to_string(port_).c_str(), &hints, &list) != 0) return;
    std::memcpy(&address_.storage, list->ai_addr, list->ai_addrlen);
    address_.length = list->ai_addrlen;
    found_ = true;
    ::freeaddrinfo(list);
  }
  void post(Ring& from) { asker_.post(from, *this); }

  void withdraw() {
    handler_ = nullptr;
    resolution_ = nullptr;
  }
  void set_resolution(Resolution& resolution) { resolution_ = &resolution; }

 private:
  void on_delivered() override {
    // The asker's thread owns the answer now; it ends with this call, whether or not somebody still wants it.
    const std::unique_ptr<Answer> self(this);
    if (resolution_ != nullptr) resolution_->answer_ = nullptr;
    if (handler_ != nullptr) handler_->on_resolved(found_ ? &address_ : nullptr);
  }

  std::string host_;
  std::uint16_t port_;
  Mailbox asker_;
  ResolveHandler* handler_;           // touched by the asker's thread only
  Resolution* resolution_ = nullptr;  // likewise
  SocketAddress address_;
  bool found_ = false;
};

Resolution::~Resolution() {
  if (answer_ != nullptr) answer_->withdraw();
}

Resolver::Resolver() : thread_([this] { run(); }) {}

Resolver::~Resolver() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
  for (Resolution::Answer* question : questions_) delete question;
}

std::unique_ptr<Resolution> Resolver::resolve(std::string host, std::uint16_t port, int asker_fd,
                                              ResolveHandler& handler) {
  auto answer = std::make_unique<Resolution::Answer>(std::move(host), port, asker_fd, handler);
  std::unique_ptr<Resolution> resolution(new Resolution(*answer));
  answer->set_resolution(*resolution);
  {
    const std::lock_guard lock(mutex_);
    questions_.push_back(answer.release());
  }
  wake_.notify_one();
  return resolution;
}

void Resolver::run() {
  Ring ring;
  std::unique_lock lock(mutex_);
  // Memory or descriptors may be short for a moment: whoever asks meanwhile waits no longer than for a slow name.
  while (ring.open(8)) {
    if (wake_.wait_for(lock, kRetry, [this] { return stopping_; })) return;
  }
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !questions_.empty(); });
    if (stopping_) return;
    Resolution::Answer* question = questions_.front();
    questions_.pop_front();
    lock.unlock();
    question->look_up();
    question->post(ring);
    const std::error_code failed = ring.wait(0, std::chrono::nanoseconds(0));
    assert(!failed);
    // Nobody waits for these completions, but undelivered they would pile up in the kernel.
    ring.deliver();
    lock.lock();
  }
}

}  // namespace uring
