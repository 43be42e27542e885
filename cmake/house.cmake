# What every target of this house is compiled with, and how a room (a library) is declared.

add_library(house INTERFACE)
target_include_directories(house INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(house INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -Werror
                       -fno-omit-frame-pointer)
# g++ 12 sees overlaps in std::string's operator+ that are not there (GCC bug 105329), and uninitialized strings in
# initializer lists.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(house INTERFACE -Wno-restrict -Wno-maybe-uninitialized)
endif()
# Bugs are crashes, in release too: assert stays on.
string(REPLACE "-DNDEBUG" "" CMAKE_CXX_FLAGS_RELEASE "${CMAKE_CXX_FLAGS_RELEASE}")
string(REPLACE "-DNDEBUG" "" CMAKE_CXX_FLAGS_RELWITHDEBINFO "${CMAKE_CXX_FLAGS_RELWITHDEBINFO}")
if(SLUICE_SANITIZE)
  target_compile_options(house INTERFACE -fsanitize=${SLUICE_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(house INTERFACE -fsanitize=${SLUICE_SANITIZE})
endif()

# compiled_as_a_whole(<room> <source>...): with SLUICE_UNITY, these are one translation unit, the room's others each one.
function(compiled_as_a_whole name)
  set_target_properties(${name} PROPERTIES UNITY_BUILD ${SLUICE_UNITY} UNITY_BUILD_MODE GROUP)
  set_source_files_properties(${ARGN} PROPERTIES UNITY_GROUP ${name})
endfunction()

# room(<name> <libraries it may use>...): the library of all .cc files in the current folder.
function(room name)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  if(sources)
    add_library(${name} STATIC ${sources})
    target_link_libraries(${name} PUBLIC house ${ARGN})
    compiled_as_a_whole(${name} ${sources})
  else()
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE house ${ARGN})
  endif()
endfunction()
