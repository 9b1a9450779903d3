# What the library links. One line per dependency: pkg-config module, oldest version that the tests ran with.
# The installed package (etcd3.pc, etcd3Config.cmake) is written from the same list.
set(ETCD3_REQUIRES
    "libnghttp2 >= 1.52"
    "libuv >= 1.44"
    "libcares >= 1.18"
    "openssl >= 3.0"
    "yaml-0.1 >= 0.2")

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
set(ETCD3_DEPENDENCY_TARGETS "")
foreach(requirement IN LISTS ETCD3_REQUIRES)
    string(REGEX MATCH "^[^ ]+" module "${requirement}")
    string(REPLACE " " "" specification "${requirement}")
    string(MAKE_C_IDENTIFIER "ETCD3_${module}" prefix)
    pkg_check_modules(${prefix} REQUIRED IMPORTED_TARGET GLOBAL ${specification})
    list(APPEND ETCD3_DEPENDENCY_TARGETS PkgConfig::${prefix})
endforeach()
