// Streams that receive straight into a place of their owner's, in turn with leases.
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "tests/support/loopback.h"
#include "tests/support/stream_probe.h"
#include "tests/support/turns.h"

namespace uring {
namespace {

using tests::pattern;
using tests::StreamProbe;
using tests::Turns;

class StreamPlace : public testing::TestWithParam<bool> {
 protected:
  StreamPlace() : probe_(turns_, GetParam() ? tests::tcp_pair() : tests::unix_pair()) {
    // The first receive knows no bound: it has to end before others are seen to.
    probe_.stream->receive_at_most(100);
    probe_.stream->pause();
    EXPECT_TRUE(turns_.until([&] { return probe_.stream->input_is_free(); }));
  }

  /// All of it arrives, whatever it is received with.
  [[nodiscard]] bool receives(const std::string& bytes) {
    probe_.received.clear();
    std::string_view rest = bytes;
    return turns_.until([&] {
      rest.remove_prefix(probe_.peer.send(rest.substr(0, 5000)));
      return probe_.received.size() >= bytes.size();
    }) && probe_.received == bytes;
  }

  Turns turns_;
  StreamProbe probe_;
};

INSTANTIATE_TEST_SUITE_P(Sockets, StreamPlace, testing::Bool(),
                         [](const auto& tcp) { return tcp.param ? "tcp" : "unix"; });

TEST_P(StreamPlace, IsFilledBetweenLeases) {
  probe_.fill = 3000;
  probe_.stream->resume();
  EXPECT_TRUE(receives(pattern(1 << 20)));
  EXPECT_GT(probe_.fills, 100);
  turns_.turn(3);
  EXPECT_TRUE(probe_.stream->is_filling());
  probe_.fill = 0;
  const int fills = probe_.fills;
  EXPECT_TRUE(receives(pattern(100'000)));
  EXPECT_EQ(probe_.fills, fills + 1) << "the one that was under way";
  EXPECT_FALSE(probe_.stream->is_filling());
}

TEST_P(StreamPlace, IsTheOwnersAgainWhilePaused) {
  probe_.fill = 3000;
  probe_.stream->resume();
  probe_.peer.send("1");
  ASSERT_TRUE(turns_.until([&] { return probe_.stream->is_filling(); }));
  probe_.stream->pause();
  ASSERT_TRUE(turns_.until([&] { return probe_.stream->input_is_free(); }));
  EXPECT_FALSE(probe_.stream->is_filling());
  probe_.peer.send("2");
  turns_.turn(3);
  EXPECT_EQ(probe_.received, "1");
  probe_.stream->resume();
  ASSERT_TRUE(turns_.until([&] { return probe_.received == "12"; }));
}

TEST_P(StreamPlace, IsNotFilledBesideAnotherReceive) {
  probe_.stream->receive_at_most(0);
  probe_.fill = 3000;
  probe_.stream->resume();
  EXPECT_TRUE(receives(pattern(1000)));
  EXPECT_EQ(probe_.fills, 0) << "the one with buffers goes on";
}

}  // namespace
}  // namespace uring
