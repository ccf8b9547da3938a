# What a builder may choose, and the compile flags that every target shares.
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Release)
endif()
# No tables for unwinding: nothing is thrown through C, a debugger finds them in -g, and they are a fourteenth of the program.
set(CMAKE_C_FLAGS_RELEASE "-O2 -fno-asynchronous-unwind-tables")

option(KWAAI_WERROR "warnings are errors" OFF)
option(KWAAI_SHARED "build libkwaai.so" ON)
option(KWAAI_PROGRAM "build the kwaai program" ON)
option(KWAAI_TESTS "build the tests" ON)
option(KWAAI_EXAMPLES "build the examples" ON)
option(KWAAI_FUZZ "build the fuzz targets (clang)" OFF)
set(KWAAI_SANITIZE "" CACHE STRING "address,undefined or thread")
set(KWAAI_LIBEDIT AUTO CACHE STRING "line editing in the chat: AUTO, ON or OFF")

set(KWAAI_PCRE2 AUTO CACHE STRING "patterns of tokenizers that no matcher was written for: AUTO, ON or OFF")

add_compile_definitions(KWAAI_VERSION="${PROJECT_VERSION}")

# One rounding a product and one a sum, everywhere: contraction would change bits between compilers.
function(kwaai_compile target)
    target_compile_options(${target} PRIVATE -ffp-contract=off -fvisibility=hidden -Wall -Wextra -Wpedantic -Wshadow -Wconversion)
    if(KWAAI_WERROR)
        target_compile_options(${target} PRIVATE -Werror)
    endif()
    if(KWAAI_FUZZ) # the fuzzer sees which branches of the library its inputs take
        target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link)
    endif()
    if(KWAAI_SANITIZE)
        target_compile_options(${target} PRIVATE -fsanitize=${KWAAI_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
        target_link_options(${target} PUBLIC -fsanitize=${KWAAI_SANITIZE})
    endif()
endfunction()
