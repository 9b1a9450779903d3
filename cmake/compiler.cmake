# The language, the warnings and the instrumentation of every target of this project.
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON) # gnu11: POSIX functions
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# Linked by our own targets only, so that nothing of it reaches users of the library.
add_library(etcd3_flags INTERFACE)
target_compile_options(etcd3_flags INTERFACE
    -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wvla
    -Wwrite-strings -Wcast-qual -Wformat=2
    $<$<C_COMPILER_ID:GNU>:-Wno-format-truncation> # messages for people are cut on purpose
    $<$<BOOL:${ETCD3_WERROR}>:-Werror>)

if(ETCD3_SANITIZE)
    set(instrument -fsanitize=${ETCD3_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_compile_options(etcd3_flags INTERFACE ${instrument})
    target_link_options(etcd3_flags INTERFACE ${instrument})
endif()
if(ETCD3_COVERAGE)
    target_compile_options(etcd3_flags INTERFACE --coverage -fprofile-update=atomic)
    target_link_options(etcd3_flags INTERFACE --coverage)
endif()
if(ETCD3_FUZZ)
    target_compile_options(etcd3_flags INTERFACE -fsanitize=fuzzer-no-link)
    target_link_options(etcd3_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
