// The words of an inline command, as a person types them into telnet. Rules: those of Redis (sdssplitargs): blanks
// separate; "..." knows \n \r \t \b \a \xHH and \<any>; '...' knows only \'; a closing quote ends its word.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace resp {

/// Replaces `words` by the words of `line` (its line end may be included), their bytes held by `store`. False when
/// quotes are unbalanced; then both are unspecified.
[[nodiscard]] bool split_words(std::string_view line, std::string& store, std::vector<std::string_view>& words);

}  // namespace resp
