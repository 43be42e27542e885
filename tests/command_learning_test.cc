// Commands the table does not know: what a client hears of them is what a real server would have said, and names that
// cannot be learned end the asking.
#include "src/command_learning.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "resp/writer.h"
#include "tests/support/proxy.h"
#include "tests/support/server_process.h"

namespace sluice {
namespace {

using tests::BlockingClient;
using Words = std::vector<std::string_view>;

const std::string kLong(300, 'x');
const std::string kLong100(100, 'y');

/// Requests for commands that no server has.
std::vector<Words> unknown_requests() {
  return {{"nosuch"},
          {"NoSuch", "a", "b"},
          {"nosuch", ""},
          {"nosuch", kLong},
          {"nosuch", kLong100, kLong100, "c"},
          {"nosuch", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j",  "k",  "l",  "m",  "n",  "o",  "p",
           "q",      "r", "s", "t", "u", "v", "w", "x", "y", "z", "aa", "bb", "cc", "dd", "ee", "ff", "gg"},
          {kLong, "a"},
          {"no\r\nsuch", "a\nb"},
          {std::string_view("no\0such", 7), std::string_view("a\0b", 3)},
          {"client|kill"},
          {"client|kill", "a"},
          {"get|x", "key"}};
}

class CommandLearningTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!tests::find_program("redis-server")) GTEST_SKIP() << "redis-server is not installed";
    server_ = std::make_unique<tests::ServerProcess>(tests::ServerOptions{});
  }
  std::unique_ptr<tests::ServerProcess> server_;
};

TEST_F(CommandLearningTest, UnknownCommandsAreRefusedInTheServersWords) {
  BlockingClient client = server_->connect();
  for (const Words& words : unknown_requests()) {
    std::string reply;
    resp::Writer(reply, resp::Protocol::kResp2).error(unknown_command_error(words, false));
    EXPECT_EQ(resp::parse_value(reply)->text, client.command(words).text);
  }
}

TEST_F(CommandLearningTest, UnknownSubcommandsAreRefusedInTheServersWords) {
  BlockingClient client = server_->connect();
  for (const Words& words : {Words{"client", "nosuch"}, Words{"Config", "no\r\nsuch", "a"}, Words{"object", kLong},
                             Words{"xgroup", "", "a"}}) {
    std::string reply;
    resp::Writer(reply, resp::Protocol::kResp2).error(unknown_command_error(words, true));
    EXPECT_EQ(resp::parse_value(reply)->text, client.command(words).text);
  }
}

TEST_F(CommandLearningTest, TheProxyAnswersThemAll) {
  Config config;
  config.workers = 1;
  config.backend.kind = BackendKind::kStandalone;
  config.backend.nodes = {{"127.0.0.1", server_->port()}};
  const tests::Proxy proxy(config);
  BlockingClient direct = server_->connect();
  BlockingClient client = proxy.connect();
  // Twice: the first time the server is asked, the second time its answer is remembered.
  for (int round = 0; round < 2; ++round) {
    for (const Words& words : unknown_requests()) {
      EXPECT_EQ(client.command(words).text, direct.command(words).text);
    }
  }
  EXPECT_EQ(client.command({"PING"}).text, "PONG");
}

}  // namespace
}  // namespace sluice
