# Language level, warnings, sanitizers, compiler cache.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${CCACHE_PROGRAM}")
endif()

# Linked by every target of ours; generated code does without.
add_library(steelyard_warnings INTERFACE)
target_compile_options(steelyard_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wshadow
  # Options are named one by one: {.epsilon = 0.1} leaves the rest at defaults.
  -Wno-missing-field-initializers)
if(STEELYARD_WARNINGS_AS_ERRORS)
  target_compile_options(steelyard_warnings INTERFACE -Werror)
endif()

if(STEELYARD_SANITIZE)
  # Instrumented code confuses g++ 12's flow analysis: it calls members of
  # std::regex and std::function uninitialised that are not.
  add_compile_options(-fsanitize=${STEELYARD_SANITIZE} -fno-omit-frame-pointer
    -Wno-maybe-uninitialized)
  add_link_options(-fsanitize=${STEELYARD_SANITIZE})
  if(STEELYARD_SANITIZE MATCHES "undefined")
    add_compile_options(-fno-sanitize-recover=undefined)
  endif()
endif()
