# How test programs become CTest entries.
#
#   etcd3_unit_test(test_pb)    tests/unit/test_pb.c    entries unit.pb.<test>
#   etcd3_fake_test(test_kv)    tests/fake/test_kv.c    entries fake.kv.<test>
#   etcd3_real_test(test_kv)    tests/real/test_kv.c    entries real-3.4.kv.<test>, real-3.5.kv.<test>, ... one per server
#   etcd3_fuzz_target(fuzz_pb)  tests/fuzz/fuzz_pb.c    entry fuzz.pb, with the corpus in tests/fuzz/corpus/fuzz_pb/
#   etcd3_check(layers COMMAND ...)                     entry check.layers
#
# Optional arguments of all:
#   TIMEOUT seconds   of one test (default 60, real 120); longer under sanitizers and valgrind
#   SERIAL            never at the same time as another test
#   LABELS names      beside the level: "threads" also runs under ThreadSanitizer, "no_valgrind" does not run under valgrind
#   SOURCES files     more sources
#   LIBRARIES names   more libraries
#
# The names of the tests are read from the `cmocka_unit_test(...)` lines of the source; the build runs CMake again when it changes.
# A test sees in its environment: ETCD3_TEST_SLOWDOWN, how many times slower than usual this build may be (1: not); real tests
# ETCD3_TEST_ETCD, the server's program, and ETCD3_TEST_ETCD_VERSION, "3.6".

set(ETCD3_TEST_LAUNCHER "" CACHE STRING "Command in front of every unit, fake and real test, such as valgrind")

if(ETCD3_TEST_LAUNCHER)
    set(slowdown 10)
elseif(ETCD3_SANITIZE)
    set(slowdown 4)
else()
    set(slowdown 1)
endif()

# Reads the names of the cmocka tests in a source file.
function(etcd3_read_tests source out)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})
    file(READ ${source} text)
    string(REGEX MATCHALL "cmocka_unit_test[a-z_]*\\([ \n]*[A-Za-z0-9_]+" found "${text}")
    list(TRANSFORM found REPLACE "^.*\\([ \n]*" "")
    if(NOT found)
        message(FATAL_ERROR "${source} lists no cmocka_unit_test(...)")
    endif()
    set(${out} ${found} PARENT_SCOPE)
endfunction()

# Builds tests/<level>/<name>.c into the program tests/<level>_<name> (a fuzz target: tests/<name>). Sets in the caller's scope: program, short_name, and test_* of the
# optional arguments.
macro(etcd3_test_program level name)
    cmake_parse_arguments(test "SERIAL" "TIMEOUT" "LABELS;SOURCES;LIBRARIES" ${ARGN})
    if(test_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR "${name}: unknown arguments ${test_UNPARSED_ARGUMENTS}")
    endif()
    string(REGEX REPLACE "^(test|fuzz)_" "" short_name ${name})
    set(program ${level}_${name})
    if(${level} STREQUAL fuzz)
        set(program ${name})
    endif()
    add_executable(${program} ${CMAKE_CURRENT_SOURCE_DIR}/${level}/${name}.c ${test_SOURCES})
    target_link_libraries(${program} PRIVATE etcd3_harness ${test_LIBRARIES})
endmacro()

# Gives a CTest entry what all have in common; reads test_* of the caller's scope.
function(etcd3_entry_properties entry default_timeout labels environment)
    if(NOT test_TIMEOUT)
        set(test_TIMEOUT ${default_timeout})
    endif()
    math(EXPR timeout "${test_TIMEOUT} * ${slowdown}")
    set_tests_properties(${entry} PROPERTIES
        TIMEOUT ${timeout}
        LABELS "${labels};${test_LABELS}"
        RUN_SERIAL "${test_SERIAL}"
        ENVIRONMENT "ETCD3_TEST_SLOWDOWN=${slowdown};${environment}"
        SKIP_REGULAR_EXPRESSION "\\[  SKIPPED \\]")
endfunction()

# Registers every test of a program as <prefix>.<short_name>.<test>.
function(etcd3_register_tests prefix source default_timeout labels environment)
    etcd3_read_tests(${source} tests)
    foreach(test IN LISTS tests)
        set(entry ${prefix}.${short_name}.${test})
        add_test(NAME ${entry} COMMAND ${ETCD3_TEST_LAUNCHER} $<TARGET_FILE:${program}> ${test})
        etcd3_entry_properties(${entry} ${default_timeout} "${labels}" "${environment}")
    endforeach()
endfunction()

function(etcd3_unit_test name)
    etcd3_test_program(unit ${name} ${ARGN})
    etcd3_register_tests(unit ${CMAKE_CURRENT_SOURCE_DIR}/unit/${name}.c 60 "unit" "")
endfunction()

function(etcd3_fake_test name)
    etcd3_test_program(fake ${name} ${ARGN})
    etcd3_register_tests(fake ${CMAKE_CURRENT_SOURCE_DIR}/fake/${name}.c 60 "fake" "")
endfunction()

function(etcd3_real_test name)
    etcd3_test_program(real ${name} ${ARGN})
    foreach(server IN LISTS ETCD3_SERVERS)
        string(REGEX MATCH "^([^=]*)=(.*)$" matched ${server})
        set(version ${CMAKE_MATCH_1})
        etcd3_register_tests(real-${version} ${CMAKE_CURRENT_SOURCE_DIR}/real/${name}.c 120 "real;real-${version}"
            "ETCD3_TEST_ETCD=${CMAKE_MATCH_2};ETCD3_TEST_ETCD_VERSION=${version}")
    endforeach()
endfunction()

# With ETCD3_FUZZ: a libFuzzer program. Else a program that runs the corpus and a fixed number of mutations of it.
function(etcd3_fuzz_target name)
    etcd3_test_program(fuzz ${name} ${ARGN})
    if(ETCD3_FUZZ)
        target_link_options(${program} PRIVATE -fsanitize=fuzzer)
        add_dependencies(fuzz_targets ${program})
    else()
        target_sources(${program} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/driver.c)
        add_test(NAME fuzz.${short_name} COMMAND ${program} ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/${name})
        etcd3_entry_properties(fuzz.${short_name} 120 "fuzz" "")
    endif()
endfunction()

# A check of the tree or of what was built: etcd3_check(<name> [TIMEOUT s] [SERIAL] [LABELS ...] COMMAND ...)
function(etcd3_check name)
    cmake_parse_arguments(test "SERIAL" "TIMEOUT" "LABELS;COMMAND" ${ARGN})
    add_test(NAME check.${name} COMMAND ${test_COMMAND} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    etcd3_entry_properties(check.${name} 120 "check" "")
endfunction()

# The servers under test as a list of "<version>=<path>": what scripts/build-etcd has, else the etcd on the PATH.
function(etcd3_find_servers out)
    set(servers "")
    execute_process(COMMAND ${PROJECT_SOURCE_DIR}/scripts/build-etcd --list OUTPUT_VARIABLE lines OUTPUT_STRIP_TRAILING_WHITESPACE)
    if(lines)
        string(REGEX REPLACE "([^ \n]+) +([^\n]+)" "\\1=\\2" servers "${lines}")
        string(REPLACE "\n" ";" servers "${servers}")
    endif()
    message(STATUS "etcd servers under test: ${servers}")
    set(${out} "${servers}" PARENT_SCOPE)
endfunction()

add_custom_target(fuzz_targets)
etcd3_find_servers(ETCD3_SERVERS)
