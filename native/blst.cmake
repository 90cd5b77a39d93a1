# Finds blst or brings it, and defines the static library target `blst`.
#
# BLST_ROOT (CMake or environment variable) names a checkout or an unpacked release: then the build
# needs no network. Otherwise the source comes from the hash-pinned distribution of blst.txt.

set(BLST_ROOT "$ENV{BLST_ROOT}" CACHE PATH "blst sources: the folder with src/server.c; empty: download")

if(NOT BLST_ROOT)
  set(download_dir "${CMAKE_BINARY_DIR}/blst")
  file(GLOB BLST_ROOT LIST_DIRECTORIES true "${download_dir}/ckzg-*/blst")
  if(NOT BLST_ROOT)
    message(STATUS "blst: downloading the pinned source distribution")
    execute_process(
      COMMAND "${Python_EXECUTABLE}" -m pip download --quiet --disable-pip-version-check --no-deps
              --no-binary ckzg --require-hashes --dest "${download_dir}"
              -r "${CMAKE_CURRENT_LIST_DIR}/blst.txt"
      RESULT_VARIABLE failed)
    if(failed)
      message(FATAL_ERROR
        "could not download the blst sources (pip is quoted above). Without network access, unpack a "
        "blst release 0.3.16 from https://github.com/supranational/blst and set the environment "
        "variable BLST_ROOT to its folder, the one with src/server.c.")
    endif()
    file(GLOB archive "${download_dir}/ckzg-*.tar.gz")
    file(ARCHIVE_EXTRACT INPUT "${archive}" DESTINATION "${download_dir}" PATTERNS "*/blst/*")
    file(GLOB BLST_ROOT LIST_DIRECTORIES true "${download_dir}/ckzg-*/blst")
  endif()
endif()

foreach(needed src/server.c build/assembly.S bindings/blst.h bindings/blst_aux.h LICENSE)
  if(NOT EXISTS "${BLST_ROOT}/${needed}")
    message(FATAL_ERROR "BLST_ROOT=${BLST_ROOT} has no ${needed}: it must be the top folder of blst 0.3.16")
  endif()
endforeach()
message(STATUS "blst: ${BLST_ROOT}")

add_library(blst STATIC "${BLST_ROOT}/src/server.c" "${BLST_ROOT}/build/assembly.S")
target_include_directories(blst SYSTEM PUBLIC "${BLST_ROOT}/bindings")
# __BLST_PORTABLE__: instructions are chosen when the program runs, so one wheel fits every x86-64.
target_compile_definitions(blst PRIVATE __BLST_PORTABLE__)
target_compile_options(blst PRIVATE -O2 -fno-builtin -Wno-unused-function -Wno-unused-command-line-argument)
set_target_properties(blst PROPERTIES POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET hidden)
