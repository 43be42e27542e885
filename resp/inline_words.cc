#include "resp/inline_words.h"

namespace resp {

namespace {

// Not std::isspace: no locale.
bool is_blank(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

// Vertical tab and form feed separate words only where a word could begin; so does Redis.
bool ends_word(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

char escaped(char c) {
  switch (c) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'b':
      return '\b';
    case 'a':
      return '\a';
    default:
      return c;
  }
}

// Each function takes what it reads off the front of `rest`.

// Behind a backslash within "...".
char take_escape(std::string_view& rest) {
  if (rest.size() >= 3 && rest[0] == 'x' && hex_digit(rest[1]) >= 0 && hex_digit(rest[2]) >= 0) {
    const int byte = hex_digit(rest[1]) * 16 + hex_digit(rest[2]);
    rest.remove_prefix(3);
    return static_cast<char>(byte);
  }
  const char c = escaped(rest.front());
  rest.remove_prefix(1);
  return c;
}

// Behind an opening quote, up to and with the closing one, which has to end the word.
bool take_quoted(std::string_view& rest, char quote, std::string& store) {
  while (!rest.empty()) {
    const char c = rest.front();
    rest.remove_prefix(1);
    if (c == quote) return rest.empty() || is_blank(rest.front());
    if (c == '\\' && quote == '"' && !rest.empty()) {
      store.push_back(take_escape(rest));
    } else if (c == '\\' && quote == '\'' && rest.starts_with('\'')) {
      store.push_back('\'');
      rest.remove_prefix(1);
    } else {
      store.push_back(c);
    }
  }
  return false;
}

bool take_word(std::string_view& rest, std::string& store) {
  while (!rest.empty() && !ends_word(rest.front())) {
    const char c = rest.front();
    rest.remove_prefix(1);
    if (c == '"' || c == '\'') return take_quoted(rest, c, store);
    store.push_back(c);
  }
  return true;
}

}  // namespace

// The line end needs no care: a blank like the others, and within quotes it comes before the missing quote.
bool split_words(std::string_view line, std::string& store, std::vector<std::string_view>& words) {
  words.clear();
  store.clear();
  store.reserve(line.size());  // no word is longer than its spelling: the views stay good
  std::string_view rest = line;
  while (true) {
    while (!rest.empty() && is_blank(rest.front())) rest.remove_prefix(1);
    if (rest.empty()) return true;
    const std::size_t start = store.size();
    if (!take_word(rest, store)) return false;
    words.emplace_back(store.data() + start, store.size() - start);
  }
}

}  // namespace resp
