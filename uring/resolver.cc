#include "uring/resolver.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <iterator>
#include <utility>

namespace uring {
namespace {

constexpr std::chrono::milliseconds kRetry{20};

}  // namespace

/// The question on its way to a thread of the resolver's, the answer on its way back.
class Resolution::Answer final : public Letter {
 public:
  Answer(std::string host, std::uint16_t port, int asker_fd, ResolveHandler& handler)
      : host_(std::move(host)), port_(port), asker_(asker_fd), handler_(&handler) {}

  // --- In a thread of the resolver's
  [[nodiscard]] bool asks_the_same(const Answer& other) const { return host_ == other.host_ && port_ == other.port_; }
  [[nodiscard]] bool wanted() const { return wanted_.load(std::memory_order_acquire); }
  [[nodiscard]] std::vector<SocketAddress> look_up() const { return SocketAddress::of_name(host_, port_); }
  void post(Ring& from, const std::vector<SocketAddress>& addresses) {
    addresses_ = addresses;
    asker_.post(from, *this);
  }

  // --- In the asker's
  void withdraw() {
    handler_ = nullptr;
    resolution_ = nullptr;
    wanted_.store(false, std::memory_order_release);  // it may be gone from here on
  }
  void set_resolution(Resolution& resolution) { resolution_ = &resolution; }

 private:
  void on_delivered() override {
    // The asker's thread owns the answer now; it ends with this call, whether or not somebody still wants it.
    const std::unique_ptr<Answer> self(this);
    if (resolution_ != nullptr) resolution_->answer_ = nullptr;
    if (handler_ != nullptr) handler_->on_resolved(std::move(addresses_));
  }

  const std::string host_;
  const std::uint16_t port_;
  Mailbox asker_;
  ResolveHandler* handler_;           // touched by the asker's thread only
  Resolution* resolution_ = nullptr;  // likewise
  std::atomic<bool> wanted_ = true;
  std::vector<SocketAddress> addresses_;
};

Resolution::~Resolution() {
  if (answer_ != nullptr) answer_->withdraw();
}

Resolver::~Resolver() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
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
    // One that is idle may have been woken for an earlier question already.
    if (questions_.size() > idle_ && threads_.size() < kThreads) threads_.emplace_back([this] { run(); });
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
    Resolution::Answer* question = take_question();
    if (stopping_) return;
    if (question == nullptr) {
      ++idle_;
      wake_.wait(lock);
      --idle_;
      continue;
    }
    under_way_.push_back(question);
    lock.unlock();
    const std::vector<SocketAddress> addresses = question->look_up();
    lock.lock();
    std::erase(under_way_, question);
    std::vector<Resolution::Answer*> answered{question};
    std::ranges::copy_if(questions_, std::back_inserter(answered),
                         [&](auto* each) { return question->asks_the_same(*each); });
    std::erase_if(questions_, [&](auto* each) { return question->asks_the_same(*each); });
    lock.unlock();
    for (Resolution::Answer* each : answered) {
      each->post(ring, addresses);
      const std::error_code failed = ring.wait(0, std::chrono::nanoseconds(0));
      assert(!failed);
      // Nobody waits for these completions, but undelivered they would pile up in the kernel.
      ring.deliver();
    }
    lock.lock();
  }
}

/// The first that somebody still wants and that is not being looked up for another; nullptr: none.
Resolution::Answer* Resolver::take_question() {
  std::erase_if(questions_, [](Resolution::Answer* each) {
    const std::unique_ptr<Resolution::Answer> unwanted(each->wanted() ? nullptr : each);
    return unwanted != nullptr;
  });
  const auto found = std::ranges::find_if(questions_, [this](const Resolution::Answer* each) {
    return std::ranges::none_of(under_way_, [&](const auto* other) { return other->asks_the_same(*each); });
  });
  if (found == questions_.end()) return nullptr;
  Resolution::Answer* question = *found;
  questions_.erase(found);
  return question;
}

}  // namespace uring
