# cmake -DREADELF=... -DIMAGE=tfm_s.axf -DREGIONS=regions.o -P check_sections.cmake
#
# Fails when a section that can be written stands outside of secure RAM, or takes its size in flash, too. TF-M's linker
# script has no place for sections of other names than its own: the linker then puts them where it likes, stores their
# zeros in flash, which nobody copies, and says nothing as long as they fit.

foreach(file IMAGE REGIONS)
  execute_process(COMMAND ${READELF} -SsW ${${file}} OUTPUT_VARIABLE ${file}_text RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "${READELF} cannot read ${${file}}")
  endif()
endforeach()

foreach(end start limit)
  if(NOT REGIONS_text MATCHES "([0-9a-f]+) +[0-9]+ +NOTYPE +GLOBAL +DEFAULT +ABS +inference_ram_${end}")
    message(FATAL_ERROR "${REGIONS} does not say where secure RAM is: no symbol inference_ram_${end}")
  endif()
  set(ram_${end} 0x${CMAKE_MATCH_1})
  math(EXPR ${end} "${ram_${end}}")
endforeach()

# [Nr] name type address offset size entry-size flags. A list of CMake's does not stand a bracket alone.
string(REPLACE "]" ">" IMAGE_text "${IMAGE_text}")
string(REGEX MATCHALL "> [^ \n]+ +[A-Z_]+ +[0-9a-f]+ [0-9a-f]+ [0-9a-f]+ [0-9a-f]+ +[A-Za-z]*" sections "${IMAGE_text}")
set(writable 0)
set(outside "")
foreach(section IN LISTS sections)
  string(REGEX MATCH "> ([^ \n]+) +([A-Z_]+) +([0-9a-f]+) [0-9a-f]+ ([0-9a-f]+) [0-9a-f]+ +([A-Za-z]*)" _ "${section}")
  set(name ${CMAKE_MATCH_1})
  set(type ${CMAKE_MATCH_2})
  set(address 0x${CMAKE_MATCH_3})
  set(size 0x${CMAKE_MATCH_4})
  set(flags "${CMAKE_MATCH_5}")
  math(EXPR bytes "${size}")
  if(NOT flags MATCHES "W" OR NOT flags MATCHES "A" OR bytes EQUAL 0)
    continue()
  endif()
  math(EXPR writable "${writable} + 1")
  math(EXPR first "${address}")
  math(EXPR last "${address} + ${size} - 1")
  if(first LESS start OR last GREATER limit)
    string(APPEND outside "\n  ${name}: ${bytes} bytes at ${address}")
  elseif(type STREQUAL PROGBITS AND NOT name MATCHES "^\\.(ER_)?(TFM|tfm)_")
    string(APPEND outside "\n  ${name}: ${bytes} bytes at ${address}, stored in flash")
  endif()
endforeach()

if(writable EQUAL 0)
  message(FATAL_ERROR "${IMAGE} has no section that can be written: this is not TF-M's secure image, or ${READELF} writes another form")
endif()
if(outside)
  message(FATAL_ERROR "Sections that can be written stand outside of secure RAM (${ram_start} to ${ram_limit}), or in flash:${outside}\n"
    "Name them in tfm_memory_sections.h so that TF-M's linker script places them (.bss.*), or give them a place of their own there"
    " and set INFERENCE_RAM_START and INFERENCE_RAM_LIMIT")
endif()
