# How test programs become CTest entries.
#
#   etcd3_unit_test(test_pb)    tests/unit/test_pb.c    entries unit.pb.<test>
#   etcd3_fake_test(test_kv)    tests/fake/test_kv.c    entries fake.kv.<test>
#   etcd3_real_test(test_kv)    tests/real/test_kv.c    entries real-3.4.kv.<test>, real-3.5.kv.<test>, ...
#   etcd3_fuzz_target(fuzz_pb)  tests/fuzz/fuzz_pb.c    entry fuzz.pb
#
# Optional arguments: TIMEOUT seconds (of one test), LABELS names (beside the level), SOURCES more files, LIBRARIES more libraries.
# The names of the tests are read from the `cmocka_unit_test(...)` lines of the source; the build runs CMake again when it changes.

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

# Builds tests/<level>/<name>.c into a program <level>_<name>; SOURCES and LIBRARIES are taken from the caller's scope.
macro(etcd3_test_program level name default_timeout)
    cmake_parse_arguments(test "" "TIMEOUT" "LABELS;SOURCES;LIBRARIES" ${ARGN})
    if(test_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR "${name}: unknown arguments ${test_UNPARSED_ARGUMENTS}")
    endif()
    if(NOT test_TIMEOUT)
        set(test_TIMEOUT ${default_timeout})
    endif()
    set(program ${level}_${name})
    add_executable(${program} ${CMAKE_CURRENT_SOURCE_DIR}/${level}/${name}.c ${test_SOURCES})
    target_link_libraries(${program} PRIVATE etcd3_harness ${test_LIBRARIES})
    string(REGEX REPLACE "^(test|fuzz)_" "" short_name ${name})
endmacro()

function(etcd3_unit_test name)
    etcd3_test_program(unit ${name} 60 ${ARGN})
    etcd3_read_tests(${CMAKE_CURRENT_SOURCE_DIR}/unit/${name}.c tests)
    foreach(test IN LISTS tests)
        add_test(NAME unit.${short_name}.${test} COMMAND ${program} ${test})
        set_tests_properties(unit.${short_name}.${test} PROPERTIES TIMEOUT ${test_TIMEOUT} LABELS "unit;${test_LABELS}")
    endforeach()
endfunction()

function(etcd3_fake_test name)
    etcd3_test_program(fake ${name} 60 ${ARGN})
    etcd3_read_tests(${CMAKE_CURRENT_SOURCE_DIR}/fake/${name}.c tests)
    foreach(test IN LISTS tests)
        add_test(NAME fake.${short_name}.${test} COMMAND ${program} ${test})
        set_tests_properties(fake.${short_name}.${test} PROPERTIES TIMEOUT ${test_TIMEOUT} LABELS "fake;${test_LABELS}")
    endforeach()
endfunction()

# The servers under test as a list of "<version>=<path>": from scripts/build-etcd, else the etcd on the PATH.
function(etcd3_find_servers out)
    set(servers "")
    set(lister ${PROJECT_SOURCE_DIR}/scripts/build-etcd)
    if(EXISTS ${lister})
        execute_process(COMMAND ${lister} --list OUTPUT_VARIABLE lines RESULT_VARIABLE failed OUTPUT_STRIP_TRAILING_WHITESPACE)
        if(NOT failed AND lines)
            string(REPLACE "\n" ";" lines "${lines}")
            foreach(line IN LISTS lines)
                string(REGEX REPLACE "^v?([0-9]+\\.[0-9]+)[^ ]* +(.*)$" "\\1=\\2" server "${line}")
                list(APPEND servers "${server}")
            endforeach()
        endif()
    endif()
    if(NOT servers)
        find_program(ETCD3_SYSTEM_ETCD etcd)
        if(ETCD3_SYSTEM_ETCD)
            execute_process(COMMAND ${ETCD3_SYSTEM_ETCD} --version OUTPUT_VARIABLE text)
            if(text MATCHES "etcd Version: ([0-9]+\\.[0-9]+)")
                set(servers "${CMAKE_MATCH_1}=${ETCD3_SYSTEM_ETCD}")
            endif()
        endif()
    endif()
    list(REMOVE_DUPLICATES servers)
    message(STATUS "etcd servers under test: ${servers}")
    set(${out} "${servers}" PARENT_SCOPE)
endfunction()

function(etcd3_real_test name)
    etcd3_test_program(real ${name} 120 ${ARGN})
    etcd3_read_tests(${CMAKE_CURRENT_SOURCE_DIR}/real/${name}.c tests)
    foreach(server IN LISTS ETCD3_SERVERS)
        string(REGEX REPLACE "=.*" "" version ${server})
        string(REGEX REPLACE "^[^=]*=" "" path ${server})
        foreach(test IN LISTS tests)
            set(entry real-${version}.${short_name}.${test})
            add_test(NAME ${entry} COMMAND ${program} ${test})
            set_tests_properties(${entry} PROPERTIES TIMEOUT ${test_TIMEOUT} LABELS "real;real-${version};${test_LABELS}"
                ENVIRONMENT "ETCD3_TEST_ETCD=${path};ETCD3_TEST_ETCD_VERSION=${version}")
        endforeach()
    endforeach()
endfunction()

# With ETCD3_FUZZ: a libFuzzer program. Else a program that runs the corpus and a fixed number of mutations of it.
function(etcd3_fuzz_target name)
    etcd3_test_program(fuzz ${name} 120 ${ARGN})
    if(ETCD3_FUZZ)
        target_link_options(${program} PRIVATE -fsanitize=fuzzer)
        add_dependencies(fuzz_targets ${program})
    else()
        target_sources(${program} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/driver.c)
        add_test(NAME fuzz.${short_name} COMMAND ${program} ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/${name})
        set_tests_properties(fuzz.${short_name} PROPERTIES TIMEOUT ${test_TIMEOUT} LABELS "fuzz;${test_LABELS}")
    endif()
endfunction()

add_custom_target(fuzz_targets)
etcd3_find_servers(ETCD3_SERVERS)
