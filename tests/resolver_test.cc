// Names to addresses by another thread: each question is answered once, unless it is withdrawn.
#include "uring/resolver.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/turns.h"

namespace uring {
namespace {

using tests::Turns;

struct Asker final : ResolveHandler {
  void on_resolved(std::vector<SocketAddress> addresses) override {
    ++answers;
    if (!addresses.empty()) last = addresses.front();
    if (then) then();
  }
  std::size_t answers = 0;
  std::optional<SocketAddress> last;
  std::function<void()> then;
};

TEST(Resolver, KnowsLocalhost) {
  Turns turns;
  Resolver resolver;
  Asker asker;
  const auto question = resolver.resolve("localhost", 6379, turns.ring.fd(), asker);
  ASSERT_TRUE(turns.until([&] { return asker.answers == 1; }));
  ASSERT_TRUE(asker.last);
  if (asker.last->family() == AF_INET) {
    const auto* address = reinterpret_cast<const sockaddr_in*>(asker.last->get());
    EXPECT_EQ(address->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    EXPECT_EQ(address->sin_port, htons(6379));
  } else {
    ASSERT_EQ(asker.last->family(), AF_INET6);
    EXPECT_EQ(reinterpret_cast<const sockaddr_in6*>(asker.last->get())->sin6_port, htons(6379));
  }
}

TEST(Resolver, BeginsLateWhenTheProcessIsShortOfDescriptors) {
  Turns turns;
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const int next = ::dup(0);
  ::close(next);
  const rlimit none{.rlim_cur = static_cast<rlim_t>(next), .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  Resolver resolver;
  Asker asker;
  const auto question = resolver.resolve("localhost", 6379, turns.ring.fd(), asker);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(asker.answers, 0U);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_TRUE(turns.until([&] { return asker.answers == 1; }));
  EXPECT_TRUE(asker.last);
}

TEST(Resolver, EndsEvenWhenItCouldNotBegin) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  { const Resolver resolver; }
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
}

// RFC 6761 keeps "invalid" free of names; this one is too long to be asked for at all.
TEST(Resolver, AnImpossibleNameHasNoAddress) {
  Turns turns;
  Resolver resolver;
  Asker asker;
  const auto question = resolver.resolve(std::string(300, 'x') + ".invalid", 1, turns.ring.fd(), asker);
  ASSERT_TRUE(turns.until([&] { return asker.answers == 1; }));
  EXPECT_FALSE(asker.last);
}

TEST(Resolver, AWithdrawnQuestionIsNotAnswered) {
  Turns turns;
  Resolver resolver;
  Asker withdrawn;
  Asker asker;
  for (int i = 0; i < 20; ++i) {
    auto question = resolver.resolve("localhost", 1, turns.ring.fd(), withdrawn);
    if (i % 2 == 0) turns.turn();
    // An answer that has been delivered in the meantime is an answer; from here on there is none.
    const std::size_t before = withdrawn.answers;
    question.reset();
    const auto last = resolver.resolve("localhost", 1, turns.ring.fd(), asker);
    ASSERT_TRUE(turns.until([&] { return asker.answers == static_cast<std::size_t>(i) + 1; }));
    EXPECT_EQ(withdrawn.answers, before);
  }
}

TEST(Resolver, TheAskerMayEndItsQuestionInTheAnswer) {
  Turns turns;
  Resolver resolver;
  Asker asker;
  auto question = resolver.resolve("localhost", 1, turns.ring.fd(), asker);
  asker.then = [&] { question.reset(); };
  ASSERT_TRUE(turns.until([&] { return asker.answers == 1; }));
  EXPECT_EQ(question, nullptr);
}

// More answers than the resolver's own ring has room for completions.
TEST(Resolver, AnswersManyQuestionsInOneRing) {
  Turns turns;
  Resolver resolver;
  Asker asker;
  std::vector<std::unique_ptr<Resolution>> questions;
  for (int i = 0; i < 500; ++i) questions.push_back(resolver.resolve("localhost", 1, turns.ring.fd(), asker));
  ASSERT_TRUE(turns.until([&] { return asker.answers == 500; }));
}

TEST(Resolver, AnswersManyThreads) {
  Resolver resolver;
  const auto ask = [&resolver] {
    Turns turns;
    for (std::size_t i = 1; i <= 50; ++i) {
      Asker asker;
      const auto question = resolver.resolve("localhost", 1, turns.ring.fd(), asker);
      EXPECT_TRUE(turns.until([&] { return asker.answers == 1; }));
    }
  };
  std::thread first(ask);
  std::thread second(ask);
  first.join();
  second.join();
}

TEST(Resolver, MayEndWithQuestionsLeft) {
  Turns turns;
  Asker asker;
  std::vector<std::unique_ptr<Resolution>> questions;
  {
    Resolver resolver;
    for (int i = 0; i < 100; ++i) {
      questions.push_back(resolver.resolve("localhost", 1, turns.ring.fd(), asker));
    }
    for (auto& question : questions) question.reset();
  }
  // Answers that were under way arrive, and end, with nobody to hear them.
  turns.turn(5);
  EXPECT_EQ(asker.answers, 0U);
}

}  // namespace
}  // namespace uring
