# The lanes of native/c: one unit of C, compiled for AVX-512 IFMA and, beside it, in portable C that checks
# every operand. Nothing else is compiled for more than the oldest processor, and nothing inline is shared.
#
# A compiler or processor that has no AVX-512 leaves the first out; the second is for tests alone.

option(DVTFAST_CHECKED_LANES "the checked build of the lanes, for tests" OFF)

include(CheckCCompilerFlag)
set(lanes_flags -mavx512f -mavx512dq -mavx512bw -mavx512ifma -mbmi2)
set(CMAKE_REQUIRED_FLAGS "-Werror")
check_c_compiler_flag("-mavx512f -mavx512dq -mavx512bw -mavx512ifma -mbmi2" DVTFAST_COMPILES_IFMA)
unset(CMAKE_REQUIRED_FLAGS)

set(DVTFAST_LANES_OPTIONS "" CACHE STRING "further options of the compiler for the lanes")
set(lanes_options -std=gnu11 -O2 -Wall -Wextra ${DVTFAST_LANES_OPTIONS})
# gcc would move the instructions of two products apart until its registers run out.
check_c_compiler_flag(-fno-schedule-insns2 DVTFAST_KEEPS_ORDER)
if(DVTFAST_KEEPS_ORDER AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
  list(APPEND lanes_options -fno-schedule-insns2)
endif()
file(GLOB lanes_headers CONFIGURE_DEPENDS "${CMAKE_CURRENT_LIST_DIR}/c/*.h")
set(lanes_source "${CMAKE_CURRENT_LIST_DIR}/c/operations.c")

# add_lanes(lanes_ifma flag...): the object library of one build.
function(add_lanes name)
  add_library(${name} OBJECT "${lanes_source}")
  target_compile_options(${name} PRIVATE ${lanes_options} ${ARGN})
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET hidden)
endfunction()

# add_primitives(lanes_ifma flag...): their functions and operations as a library for tests, from c/testing.
function(add_primitives name)
  set(folder "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/c")
  add_library(${name}_primitives MODULE "${folder}/testing/primitives.c" "${folder}/testing/primitives_points.c"
              $<TARGET_OBJECTS:${name}>)
  target_link_libraries(${name}_primitives PRIVATE blst)
  target_include_directories(${name}_primitives PRIVATE "${folder}")
  target_compile_options(${name}_primitives PRIVATE ${lanes_options} -Wno-unused-function ${ARGN})
  set_target_properties(${name}_primitives PROPERTIES PREFIX "" C_VISIBILITY_PRESET hidden)
  install(TARGETS ${name}_primitives DESTINATION dvtfast/_native)
endfunction()

if(DVTFAST_COMPILES_IFMA)
  add_lanes(lanes_ifma ${lanes_flags})
endif()
if(DVTFAST_CHECKED_LANES)
  add_lanes(lanes_checked -O3 -DLANES_CHECKED)
  add_primitives(lanes_checked -O3 -DLANES_CHECKED)
  if(DVTFAST_COMPILES_IFMA)
    add_primitives(lanes_ifma ${lanes_flags})
  endif()
  # The same with blst, which those are compared with.
  add_library(blst_primitives MODULE "${CMAKE_CURRENT_LIST_DIR}/c/testing/reference.c")
  target_compile_options(blst_primitives PRIVATE ${lanes_options})
  target_link_libraries(blst_primitives PRIVATE blst)
  set_target_properties(blst_primitives PROPERTIES PREFIX "" C_VISIBILITY_PRESET hidden)
  install(TARGETS blst_primitives DESTINATION dvtfast/_native)
endif()

# link_lanes(kernels): the builds there are, and who says whether they run here.
function(link_lanes target)
  target_sources(${target} PRIVATE native/c/cpu.c native/c/generator.c)
  if(TARGET lanes_ifma)
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:lanes_ifma>)
    target_compile_definitions(${target} PRIVATE WITH_LANES_IFMA)
  endif()
  if(TARGET lanes_checked)
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:lanes_checked>)
    target_compile_definitions(${target} PRIVATE WITH_LANES_CHECKED)
  endif()
endfunction()
