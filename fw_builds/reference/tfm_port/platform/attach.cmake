# Adds the port's sources to TF-M's targets. Runs when TF-M has made all of them.

set(port ${CMAKE_CURRENT_LIST_DIR})

# Which keys there are (tfm_builtin_key_ids.h, platform_builtin_key_loader_ids.h): with PLATFORM_DEFAULT_CRYPTO_KEYS=OFF
# TF-M takes both headers from the platform. Only these two may be seen everywhere.
set(key_headers ${CMAKE_BINARY_DIR}/inference_port/key_headers)
foreach(header tfm_builtin_key_ids.h platform_builtin_key_loader_ids.h)
  configure_file(${port}/${header} ${key_headers}/${header} COPYONLY)
endforeach()
# The crypto library does not link psa_interface; both have the platform's regions or the interface.
foreach(target psa_interface platform_region_defs)
  target_include_directories(${target} INTERFACE $<BUILD_INTERFACE:${key_headers}>)
endforeach()

# Loaders of TF-M v2.2 take a context, those of v2.1 do not.
file(STRINGS ${CMAKE_SOURCE_DIR}/platform/include/tfm_plat_crypto_keys.h context REGEX "loader_key_ctx")
target_sources(platform_crypto_keys PRIVATE ${port}/builtin_keys.c ${port}/derive.c)
target_include_directories(platform_crypto_keys PRIVATE ${port} ${CMAKE_BINARY_DIR}/generated/interface/include)
target_compile_definitions(platform_crypto_keys PRIVATE
  $<$<BOOL:${context}>:KEY_LOADERS_TAKE_A_CONTEXT>
  $<$<BOOL:${TFM_PARTITION_INITIAL_ATTESTATION}>:PORT_HAS_IAK>)
target_link_libraries(platform_crypto_keys PRIVATE platform_s)

# The sampling timer's interrupt.
target_sources(tfm_spm PRIVATE ${port}/sampling_timer_irq.c)
foreach(target tfm_spm tfm_partitions)
  get_target_property(type ${target} TYPE)
  set(scope PRIVATE)
  if(type STREQUAL INTERFACE_LIBRARY)
    set(scope INTERFACE)
  endif()
  # VENDOR: your platform's names for what the partition's manifest calls by these.
  target_compile_definitions(${target} ${scope}
    TFM_PERIPHERAL_SENSOR_I2C=TFM_PERIPHERAL_SHIELD1_I2C
    TFM_PERIPHERAL_SAMPLING_TIMER=TFM_PERIPHERAL_TIMER1
    TFM_SAMPLING_TIMER_IRQ=TIMER1_IRQn)
endforeach()

# The ioctls of device_ioctl.h. The platform's own tfm_platform_hal_ioctl() still answers all others. A port whose function
# calls inference_port_ioctl() itself leaves the linker's option out.
target_sources(tfm_s PRIVATE ${port}/platform_ioctl.c ${port}/image_info.c)
configure_file(${port}/../../spe/include/device_ioctl.h ${CMAKE_BINARY_DIR}/inference_port/contract/device_ioctl.h COPYONLY)
target_include_directories(tfm_s PRIVATE ${port} ${port}/../partition ${CMAKE_BINARY_DIR}/inference_port/contract)
target_link_options(tfm_s PRIVATE LINKER:--wrap=tfm_platform_hal_ioctl)

# What can be written must stand in RAM: the build fails if a section does not.
add_library(inference_regions OBJECT ${port}/regions.c)
target_link_libraries(inference_regions PRIVATE platform_s)
target_include_directories(inference_regions PRIVATE ${port}/../partition)
add_custom_target(inference_sections_check ALL
  COMMAND ${CMAKE_COMMAND} -DREADELF=${CMAKE_READELF} -DIMAGE=$<TARGET_FILE:tfm_s>
    -DREGIONS=$<TARGET_OBJECTS:inference_regions> -P ${port}/check_sections.cmake
  DEPENDS tfm_s $<TARGET_OBJECTS:inference_regions>
  VERBATIM)
