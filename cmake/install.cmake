# What `make install` installs: headers, both libraries, the pkg-config and the CMake package, man pages.
include(CMakePackageConfigHelpers)

install(DIRECTORY include/etcd3 TYPE INCLUDE FILES_MATCHING PATTERN "*.h")
install(TARGETS etcd3 EXPORT etcd3Targets)
install(TARGETS etcd3_static EXPORT etcd3StaticTargets)

# etcd3.pc finds its prefix from where it is, so the tree may be installed anywhere and moved.
string(REPLACE ";" ", " pc_requires "${ETCD3_REQUIRES}")
file(RELATIVE_PATH pc_up "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
string(REGEX REPLACE "/$" "" pc_up "${pc_up}")
configure_file(cmake/etcd3.pc.in etcd3.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/etcd3.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/etcd3)
configure_package_config_file(cmake/etcd3Config.cmake.in etcd3Config.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(etcd3ConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/etcd3Config.cmake ${PROJECT_BINARY_DIR}/etcd3ConfigVersion.cmake DESTINATION ${package_dir})
install(EXPORT etcd3Targets NAMESPACE etcd3:: DESTINATION ${package_dir})
install(EXPORT etcd3StaticTargets NAMESPACE etcd3:: DESTINATION ${package_dir})

# Man pages are made from the headers' comments by a script that needs Python only.
find_package(Python3 3.9 COMPONENTS Interpreter QUIET)
if(Python3_FOUND)
    file(GLOB public_headers CONFIGURE_DEPENDS include/etcd3/*.h)
    set(generate_man ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/scripts/gen-man)
    add_custom_command(OUTPUT man/stamp
        COMMAND ${generate_man} --version ${PROJECT_VERSION} --output man/man3 ${public_headers}
        COMMAND ${CMAKE_COMMAND} -E touch man/stamp
        DEPENDS ${public_headers} scripts/gen-man scripts/public_headers.py
        COMMENT "Generating man pages" VERBATIM)
    add_custom_target(man ALL DEPENDS man/stamp)
    install(DIRECTORY ${PROJECT_BINARY_DIR}/man/man3 DESTINATION ${CMAKE_INSTALL_MANDIR})
endif()
