// Every command of the table, many requests each: find_keys must name the keys that a real server's COMMAND GETKEYS
// names. Skipped for a server that is not installed.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <initializer_list>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "resp/command_description.h"
#include "resp/key_finder.h"
#include "resp/writer.h"
#include "tests/support/server_process.h"

namespace {

using resp::Command;
using resp::KeySpec;
using tests::BlockingClient;
using tests::ServerProcess;
using Words = std::vector<std::string>;

constexpr int kRequestsPerCommand = 500;

/// Makes requests: mostly well formed, as far as the row tells, now and then not. The same ones in every run.
class RequestMaker {
 public:
  Words make(const Command& command) {
    if (command.name == "sort") return make_sort();
    if (command.name == "migrate") return make_migrate();
    Words words = words_of_name(command.name);
    const auto least = static_cast<std::size_t>(std::abs(command.arity));
    const std::size_t count = least + (command.arity < 0 ? below(8) : 0);
    while (words.size() < count) words.push_back(plain_word());
    for (const KeySpec& spec : command.key_specs) satisfy(spec, words);
    if (chance(5)) words.push_back(plain_word());  // One too many for a command of fixed arity.
    if (chance(5) && words.size() > 2) words.pop_back();
    if (chance(10)) words.back() = any_of({"STORE", "streams", "KEYS", "0", "-1", ""});
    return words;
  }

 private:
  std::size_t below(std::size_t bound) { return std::uniform_int_distribution<std::size_t>(0, bound - 1)(random_); }
  bool chance(std::size_t percent) { return below(100) < percent; }
  std::string any_of(std::initializer_list<std::string> words) { return words.begin()[below(words.size())]; }

  /// A word of its own, so that a key found in the wrong place differs from the right one.
  std::string plain_word() { return "w" + std::to_string(++words_made_); }

  std::string in_random_case(std::string_view text) {
    std::string spelled(text);
    for (char& c : spelled) {
      if (chance(50)) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    return spelled;
  }

  static Words words_of_name(std::string_view name) {
    const auto bar = name.find('|');
    if (bar == std::string_view::npos) return {std::string(name)};
    return {std::string(name.substr(0, bar)), std::string(name.substr(bar + 1))};
  }

  /// Puts the keyword or the number of keys where the specification looks for it.
  void satisfy(const KeySpec& spec, Words& words) {
    const int size = static_cast<int>(words.size());
    int begin = spec.begin_position;
    if (spec.begin == KeySpec::Begin::kKeyword) {
      if (chance(30)) return;
      const int lowest = begin > 0 ? begin : 1;
      if (lowest >= size) return;
      begin = lowest + static_cast<int>(below(static_cast<std::size_t>(size - lowest)));
      words[static_cast<std::size_t>(begin)] = in_random_case(spec.keyword);
      ++begin;
    }
    const int counted = begin + spec.key_num_index;
    if (spec.find != KeySpec::Find::kKeyNum || counted >= size) return;
    const int rest = size - begin - spec.first_key;
    words[static_cast<std::size_t>(counted)] =
        chance(10) ? any_of({"many", "-1", "99999999999999999999", "1000000"})
                   : std::to_string(below(static_cast<std::size_t>(std::max(rest, 0) + 2)));
  }

  Words make_sort() {
    Words words = {"sort", plain_word()};
    for (std::size_t options = below(6); options > 0; --options) {
      const std::string option = any_of({"ASC", "ALPHA", "LIMIT", "BY", "GET", "STORE", "STORE"});
      words.push_back(in_random_case(option));
      if (option == "LIMIT") words.push_back("0");
      if (option != "ASC" && option != "ALPHA") words.push_back(plain_word());
    }
    return words;
  }

  Words make_migrate() {
    const bool many = chance(60);
    const bool wrong = chance(10);
    Words words = {"migrate", "host", "1", many != wrong ? "" : plain_word(), "0", "10"};
    if (chance(30)) words.push_back(in_random_case("COPY"));
    if (chance(30)) words.insert(words.end(), {in_random_case("AUTH"), plain_word()});
    if (chance(30)) words.insert(words.end(), {in_random_case("AUTH2"), plain_word(), plain_word()});
    if (!many) return words;
    words.push_back(in_random_case("KEYS"));
    for (std::size_t keys = 1 + below(4); keys > 0; --keys) words.push_back(plain_word());
    return words;
  }

  std::mt19937_64 random_{7};
  std::size_t words_made_ = 0;
};

std::string text_of(const Words& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + (word.empty() ? "''" : word);
  return text;
}

/// The server's keys; none when it answers with an error.
Words keys_of(const resp::Value& reply) {
  Words keys;
  for (const resp::Value& element : reply.elements) keys.push_back(element.text);
  return keys;
}

Words found_keys(const Command& command, const std::vector<std::string_view>& arguments) {
  std::vector<std::size_t> indices;
  Words keys;
  if (!resp::find_keys(command, arguments, indices)) return keys;
  for (const std::size_t index : indices) keys.emplace_back(arguments.at(index));
  return keys;
}

class KeyFinderServer : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!tests::find_program(GetParam())) GTEST_SKIP() << GetParam() << " is not installed";
    server_ = std::make_unique<ServerProcess>(tests::ServerOptions{.program = GetParam()});
    client_ = server_->connect();
  }

  /// nullptr: the server does not know the command.
  std::unique_ptr<resp::LearnedCommand> description_of(const Command& command) {
    const auto reply = client_.command({"COMMAND", "INFO", command.name});
    return reply.elements.empty() ? nullptr : resp::read_description(reply.elements.front());
  }

  /// Asks about all requests in one pipeline.
  std::vector<Words> ask(const std::vector<Words>& requests) {
    std::string pipeline;
    for (const Words& request : requests) {
      std::vector<std::string_view> arguments = {"COMMAND", "GETKEYS"};
      arguments.insert(arguments.end(), request.begin(), request.end());
      resp::write_request(pipeline, arguments);
    }
    client_.send(pipeline);
    std::vector<Words> answers;
    for (std::size_t i = 0; i < requests.size(); ++i) answers.push_back(keys_of(client_.read()));
    return answers;
  }

  std::unique_ptr<ServerProcess> server_;
  BlockingClient client_;
  RequestMaker maker_;
};

TEST_P(KeyFinderServer, names_the_same_keys) {
  std::size_t known = 0;
  for (Command command : resp::builtin_commands()) {
    const auto described = description_of(command);
    if (described == nullptr) continue;
    ++known;
    command.arity = described->row.arity;  // Older servers know fewer options (ZRANK ... WITHSCORE).
    std::vector<Words> requests;
    for (int i = 0; i < kRequestsPerCommand; ++i) requests.push_back(maker_.make(command));
    const std::vector<Words> answers = ask(requests);
    bool had_keys = false;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      const std::vector<std::string_view> arguments(requests[i].begin(), requests[i].end());
      ASSERT_EQ(found_keys(command, arguments), answers[i]) << text_of(requests[i]);
      const std::size_t first = resp::find_first_key(command, arguments);
      if (answers[i].empty()) continue;
      had_keys = true;
      ASSERT_NE(first, 0U) << text_of(requests[i]);
      ASSERT_EQ(arguments[first], answers[i].front()) << text_of(requests[i]);
    }
    // A comparison of nothing with nothing would prove nothing.
    const bool may_have_keys =
        std::ranges::any_of(command.key_specs, [](const KeySpec& spec) { return !spec.not_key; });
    EXPECT_EQ(had_keys, may_have_keys) << command.name;
  }
  EXPECT_GT(known, 350U);
}

/// What the server says now, in either protocol version, is what the generated rows say.
TEST_P(KeyFinderServer, describes_its_commands_as_the_table_does) {
  for (const char* version : {"2", "3"}) {
    std::size_t known = 0;
    client_.command({"HELLO", version});
    for (const Command& row : resp::builtin_commands()) {
      const auto described = description_of(row);
      if (described == nullptr) continue;
      ++known;
      EXPECT_EQ(described->row.name, row.name);
      EXPECT_EQ(described->row.is(resp::kWrite), row.is(resp::kWrite)) << row.name;
      EXPECT_EQ(described->row.is(resp::kReadOnly), row.is(resp::kReadOnly)) << row.name;
      EXPECT_EQ(described->key_specs.size(), row.key_specs.size()) << row.name;
      for (std::size_t i = 0; i < std::min(described->key_specs.size(), row.key_specs.size()); ++i) {
        EXPECT_EQ(described->key_specs[i], row.key_specs[i]) << row.name;
      }
    }
    EXPECT_GT(known, 350U);
  }
}

INSTANTIATE_TEST_SUITE_P(Installed, KeyFinderServer, testing::Values("redis-server", "valkey-server"),
                         [](const auto& server) { return std::string(server.param).substr(0, 5); });

}  // namespace
