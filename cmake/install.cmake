# `make install DESTDIR=...`: program, libraries, headers, pkg-config and CMake package files.
if(NOT KWAAI_PROGRAM)
    return()
endif()
install(TARGETS kwaai_program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS kwaai EXPORT kwaaiTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(KWAAI_SHARED)
    install(TARGETS kwaai_shared EXPORT kwaaiTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
install(DIRECTORY include/kwaai DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

configure_file(cmake/kwaai.pc.in kwaai.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/kwaai.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

include(CMakePackageConfigHelpers)
write_basic_package_version_file(kwaaiConfigVersion.cmake COMPATIBILITY SameMinorVersion)
configure_file(cmake/kwaaiConfig.cmake.in kwaaiConfig.cmake @ONLY)
install(EXPORT kwaaiTargets NAMESPACE kwaai:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/kwaai)
install(FILES ${CMAKE_BINARY_DIR}/kwaaiConfig.cmake ${CMAKE_BINARY_DIR}/kwaaiConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/kwaai)
