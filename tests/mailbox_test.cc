// Letters between two threads, each with a ring of its own. Under the thread sanitizer this shows that nothing but
// letters is shared, and that a letter is never touched by two.
#include "uring/mailbox.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "uring/ring.h"

namespace uring {
namespace {

constexpr std::uint32_t kNotes = 500;     // more than a completion queue of 32 entries holds
constexpr std::uint32_t kJourneys = 200;  // of each, the last one home
constexpr std::chrono::seconds kPatience{120};

class Correspondent;

/// Goes back and forth; `payload` is plain memory that the threads hand each other.
class Note final : public Letter {
 public:
  explicit Note(Correspondent& receiver) : receiver_(&receiver) {}
  void address_to(Correspondent& receiver) { receiver_ = &receiver; }
  std::uint64_t payload = 0;

 private:
  void on_delivered() override;
  Correspondent* receiver_;
};

/// One thread's end: a ring, and the letters that have come.
class Correspondent {
 public:
  void open(unsigned entries) { ASSERT_FALSE(ring_.open(entries)); }
  [[nodiscard]] int fd() const { return ring_.fd(); }
  Ring& ring() { return ring_; }

  void turn() {
    ASSERT_FALSE(ring_.wait(2, std::chrono::milliseconds(1)));
    ring_.deliver();
  }
  void receive(Note& note) { arrived.push_back(&note); }
  [[nodiscard]] std::vector<Note*> take() { return std::exchange(arrived, {}); }

 private:
  Ring ring_;
  std::vector<Note*> arrived;
};

void Note::on_delivered() {
  receiver_->receive(*this);
}

TEST(Mailbox, ALetterArrivesInTheOtherRing) {
  Correspondent sender;
  Correspondent receiver;
  sender.open(8);
  receiver.open(8);
  Note note(receiver);
  Mailbox(receiver.fd()).post(sender.ring(), note);
  EXPECT_TRUE(receiver.take().empty());
  sender.turn();
  receiver.turn();
  EXPECT_EQ(receiver.take(), std::vector<Note*>{&note});
}

TEST(Mailbox, ALetterToOneself) {
  Correspondent hermit;
  hermit.open(8);
  Note note(hermit);
  Mailbox(hermit.fd()).post(hermit.ring(), note);
  for (int i = 0; i < 3; ++i) hermit.turn();
  EXPECT_EQ(hermit.take(), std::vector<Note*>{&note});
}

TEST(Mailbox, LettersArriveInTheOrderPosted) {
  Correspondent sender;
  Correspondent receiver;
  sender.open(8);
  receiver.open(8);
  const Mailbox mailbox(receiver.fd());
  std::vector<std::unique_ptr<Note>> notes;
  for (int i = 0; i < 200; ++i) {
    notes.push_back(std::make_unique<Note>(receiver));
    mailbox.post(sender.ring(), *notes.back());
  }
  std::vector<Note*> arrived;
  for (int i = 0; i < 100 && arrived.size() < notes.size(); ++i) {
    sender.turn();
    receiver.turn();
    for (Note* note : receiver.take()) arrived.push_back(note);
  }
  ASSERT_EQ(arrived.size(), notes.size());
  for (std::size_t i = 0; i < notes.size(); ++i) EXPECT_EQ(arrived[i], notes[i].get());
}

/// Sends every letter it gets back, its payload grown by one, unless it has made its last journey.
void answer(Correspondent& self, Correspondent& other, int other_fd) {
  const Mailbox mailbox(other_fd);
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  std::uint32_t arrivals = 0;
  while (arrivals < kNotes * kJourneys / 2 && std::chrono::steady_clock::now() < deadline) {
    self.turn();
    for (Note* note : self.take()) {
      ++arrivals;
      if (++note->payload == kJourneys) continue;
      note->address_to(other);
      mailbox.post(self.ring(), *note);
    }
  }
  // What was posted last leaves with one more turn.
  self.turn();
  EXPECT_EQ(arrivals, kNotes * kJourneys / 2);
}

TEST(Mailbox, AHundredThousandLettersBothWays) {
  Correspondent here;
  here.open(8);
  Correspondent there;
  std::promise<int> there_fd;
  std::promise<void> over;
  std::thread thread([&, ended = over.get_future()]() mutable {
    there.open(8);  // by the thread that uses it
    there_fd.set_value(there.fd());
    answer(there, here, here.fd());
    ended.wait();
  });
  const int fd = there_fd.get_future().get();
  std::vector<std::unique_ptr<Note>> notes;
  for (std::uint32_t i = 0; i < kNotes; ++i) {
    notes.push_back(std::make_unique<Note>(there));
    Mailbox(fd).post(here.ring(), *notes.back());
  }
  answer(here, there, fd);
  over.set_value();
  thread.join();
  for (const auto& note : notes) EXPECT_EQ(note->payload, kJourneys);
}

}  // namespace
}  // namespace uring
