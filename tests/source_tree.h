// The project's own text as data: its files, and C++ read as far as the rules of tidy_test.cc need it. No compiler's
// view: comments, literals and includes are told apart, and that is all.
#pragma once

#include <regex.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace tests {

namespace fs = std::filesystem;

/// One text file; `path` is relative to the top of the tree, with forward slashes.
struct File {
  std::string path;
  std::string text;
};
using Tree = std::vector<File>;
using Words = std::set<std::string, std::less<>>;

inline std::string room_of(std::string_view path) {
  return std::string(path.substr(0, path.find('/')));
}

inline std::string folder_of(const std::string& path) {
  return fs::path(path).parent_path().generic_string();
}

inline bool is_header(const File& file) {
  return file.path.ends_with(".h");
}

inline bool is_source(const File& file) {
  return is_header(file) || file.path.ends_with(".cc");
}

inline bool is_word_char(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

inline std::size_t line_of(std::string_view text, std::size_t offset) {
  return 1 +
         static_cast<std::size_t>(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(offset), '\n'));
}

inline std::string place(const File& file, std::size_t offset) {
  return file.path + ":" + std::to_string(line_of(file.text, offset));
}

/// Generated files say so in their first lines and need not read like written ones.
inline bool is_generated(const File& file) {
  return file.text.substr(0, 400).find("enerated by") != std::string::npos;
}

struct Match {
  std::size_t offset;
  std::string text;
};

/// What one group (0: all) of a POSIX extended regular expression matches, from left to right. '^' is the start of the
/// text. (Not std::regex: it is slow, and g++ 12 warns of its insides under a sanitizer.)
inline std::vector<Match> matches_of(const char* pattern, std::string_view text, std::size_t group = 0) {
  regex_t compiled;
  if (regcomp(&compiled, pattern, REG_EXTENDED) != 0) throw std::invalid_argument(pattern);
  std::vector<Match> matches;
  std::array<regmatch_t, 5> groups{};
  for (regoff_t at = 0;; at = std::max(groups[0].rm_eo, at + 1)) {
    groups[0] = {at, static_cast<regoff_t>(text.size())};
    if (at > groups[0].rm_eo || regexec(&compiled, text.data(), groups.size(), groups.data(), REG_STARTEND) != 0) break;
    const auto begin = static_cast<std::size_t>(groups[group].rm_so);
    matches.push_back({begin, std::string(text.substr(begin, static_cast<std::size_t>(groups[group].rm_eo) - begin))});
  }
  regfree(&compiled);
  return matches;
}

/// Where the literal or comment that begins at `at` ends; `at` itself when none begins there.
inline std::size_t end_of_quoted(std::string_view text, std::size_t at) {
  const auto behind = [&](std::string_view mark, std::size_t from) {
    const std::size_t found = text.find(mark, from);
    return found == std::string_view::npos ? text.size() : found + mark.size();
  };
  const std::string_view rest = text.substr(at);
  if (rest.starts_with("//")) return std::min(text.find('\n', at), text.size());
  if (rest.starts_with("/*")) return behind("*/", at + 2);
  const bool after_word = at > 0 && is_word_char(text[at - 1]);
  if (rest.starts_with("R\"") && !after_word) {
    const std::size_t paren = rest.find('(');
    return behind(")" + std::string(rest.substr(2, paren - 2)) + "\"", at + paren);
  }
  if (rest.front() != '"' && (rest.front() != '\'' || after_word)) return at;  // 1'000 is a number
  std::size_t end = at + 1;
  while (end < text.size() && text[end] != rest.front() && text[end] != '\n') end += text[end] == '\\' ? 2 : 1;
  return std::min(end + 1, text.size());
}

/// The text with comments, literals and preprocessor lines turned to blanks; offsets and line ends stay.
inline std::string code_of(std::string_view text) {
  std::string code(text);
  const auto blank = [&](std::size_t from, std::size_t to) {
    std::replace_if(
        code.begin() + static_cast<std::ptrdiff_t>(from), code.begin() + static_cast<std::ptrdiff_t>(to),
        [](char c) { return c != '\n'; }, ' ');
  };
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = end_of_quoted(text, at);
    blank(at, end);
    at = std::max(end, at + 1);
  }
  for (std::size_t at = 0; at < code.size();) {
    const std::size_t end = std::min(code.find('\n', at), code.size());
    const std::size_t first = code.find_first_not_of(" \t", at);
    if (first < end && code[first] == '#') blank(at, end);
    at = end + 1;
  }
  return code;
}

struct Include {
  std::string target;  ///< as a path of the tree when it names one of our files, else as written
  std::size_t offset;
};

inline std::vector<Include> includes_of(const File& file, const Words& paths) {
  std::vector<Include> includes;
  for (const Match& match : matches_of("(^|\n)[ \t]*#[ \t]*include[ \t]*[<\"]([^>\"\n]+)[>\"]", file.text, 2)) {
    const std::string beside = (fs::path(folder_of(file.path)) / match.text).lexically_normal().generic_string();
    const bool is_beside = !paths.contains(match.text) && paths.contains(beside);
    includes.push_back({is_beside ? beside : match.text, match.offset});
  }
  return includes;
}

inline Words paths_of(const Tree& tree) {
  Words paths;
  for (const File& file : tree) paths.insert(file.path);
  return paths;
}

/// All text below `top`, without what was built, fetched or is no text.
inline Tree read_tree(const fs::path& top) {
  static const Words kNotOurs = {"build", ".git", ".cache", "node_modules", "__pycache__", "corpus"};
  Tree tree;
  for (auto entry = fs::recursive_directory_iterator(top); entry != fs::recursive_directory_iterator(); ++entry) {
    const std::string path = entry->path().lexically_relative(top).generic_string();
    if (entry->is_directory() && kNotOurs.contains(entry->path().filename().string())) {
      if (path == "fuzz/corpus") {  // seeds are no text of ours: their names are enough
        for (const auto& seed : fs::recursive_directory_iterator(entry->path())) {
          tree.push_back({seed.path().lexically_relative(top).generic_string(), ""});
        }
      }
      entry.disable_recursion_pending();
    } else if (entry->is_regular_file()) {
      std::ifstream stream(entry->path(), std::ios::binary);
      std::string text{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
      if (text.find('\0') != std::string::npos) text.clear();  // a picture: its name is enough
      tree.push_back({path, std::move(text)});
    }
  }
  return tree;
}

}  // namespace tests
