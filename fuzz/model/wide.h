// Numbers so wide that a model need not think of overflow.
#pragma once

namespace model {

__extension__ typedef __int128 Wide;

}  // namespace model
