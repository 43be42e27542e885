#include "src/command_learning.h"

#include <algorithm>
#include <cctype>

#include "resp/value.h"
#include "resp/writer.h"
#include "src/limits.h"

namespace sluice {
namespace {

constexpr std::size_t kShownBytes = 128;  // of a name, and of the arguments together, as Redis

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

/// "name", or "name|subcommand" where the container is known.
std::string asked_name(const resp::CommandTable& table, std::span<const std::string_view> arguments) {
  const bool container = is_container(table, arguments[0]) && arguments.size() > 1;
  std::string name = lower(arguments[0].substr(0, limits::kMaxCommandNameBytes));
  if (container) name += '|' + lower(arguments[1].substr(0, limits::kMaxCommandNameBytes));
  return name;
}

}  // namespace

bool is_container(const resp::CommandTable& table, std::string_view name) {
  return name.find('|') == std::string_view::npos && table.find_name(name) != nullptr;
}

CommandLearning::CommandLearning(resp::CommandTable& table, Redirection& redirection, pool::Pool& pool,
                                 pool::PendingReplies& pending, LearningListener& listener)
    : table_(table), redirection_(redirection), pool_(pool), pending_(pending), listener_(listener) {}

void CommandLearning::tick() {
  if (pool_.now_ms() - forgot_ms_ < limits::kUnknownCommandMs) return;
  forgot_ms_ = pool_.now_ms();
  forget_unknown();
}

CommandLearning::Verdict CommandLearning::ask(std::span<const std::string_view> arguments, std::uint32_t salt) {
  const std::string name = asked_name(table_, arguments);
  if (name.size() > 2 * limits::kMaxCommandNameBytes || unknown_.contains(name)) return Verdict::kNoCommand;
  if (unanswered_.contains(name)) return Verdict::kNobodyToAsk;
  if (asked_.contains(name)) return Verdict::kAsked;

  // A subcommand is learned as one of its container, which the server describes with all of them.
  std::string request;
  if (const std::size_t bar = name.find('|'); bar != std::string::npos && is_container(table_, arguments[0])) {
    resp::write_request(request, {"COMMAND", "INFO", name, std::string_view(name).substr(0, bar)});
  } else {
    resp::write_request(request, {"COMMAND", "INFO", name});
  }
  pool::PendingReply& pending = pending_.take();
  pending.sink = this;
  pending.kind.read_only = true;
  pending.salt = salt;
  pending.waiting.started_ms = pool_.now_ms();
  if (!redirection_.submit(pending, request)) {
    pending_.release(pending);
    return Verdict::kNobodyToAsk;
  }
  asked_.insert(name);
  return Verdict::kAsked;
}

void CommandLearning::on_reply(pool::PendingReply& pending, std::string_view reply) {
  if (reply[0] == '-' && redirection_.takes_error(pending, reply)) return;
  settle(pending, reply);
}

void CommandLearning::on_lost(pool::PendingReply& pending, pool::Loss, std::string_view) {
  if (!redirection_.park(pending)) settle(pending, {});
}

void CommandLearning::settle(pool::PendingReply& pending, std::string_view reply) {
  // The request itself says which name was asked: COMMAND INFO name, or COMMAND INFO name container.
  const auto request = resp::parse_value(pending.request_bytes());
  const std::string name = request->elements[2].text;
  pending_.release(pending);
  asked_.erase(name);
  const auto value = reply.empty() ? std::nullopt : resp::parse_value(reply);
  if (!value || value->elements.size() != request->elements.size() - 2) {
    if (unanswered_.size() >= limits::kMaxUnknownCommands) unanswered_.clear();
    unanswered_.insert(name);
  } else if (table_.learn(value->elements.back()) == nullptr || table_.find_name(name) == nullptr) {
    if (unknown_.size() >= limits::kMaxUnknownCommands) unknown_.clear();
    unknown_.insert(name);
  }
  listener_.on_command_learned();
}

std::string unknown_command_error(std::span<const std::string_view> arguments, bool known_container) {
  // As printf("%.*s") shows a word.
  const auto shown = [](std::string_view text, std::size_t most = kShownBytes) {
    return std::string(text.substr(0, std::min(most, text.find('\0'))));
  };
  if (known_container && arguments.size() > 1) {
    std::string upper(arguments[0]);
    std::transform(upper.begin(), upper.end(), upper.begin(),
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    return "ERR unknown subcommand '" + shown(arguments[1]) + "'. Try " + upper + " HELP.";
  }
  std::string rest;
  for (std::size_t i = 1; i < arguments.size() && rest.size() < kShownBytes; ++i) {
    rest += "'" + shown(arguments[i], kShownBytes - rest.size()) + "' ";
  }
  return "ERR unknown command '" + shown(arguments[0]) + "', with args beginning with: " + rest;
}

}  // namespace sluice
