# Settings of a TF-M build with the inference partition: TFM_EXTRA_CONFIG_PATH names this file (docs/porting.md).
# TF-M reads it before its own defaults. Lines marked VENDOR are yours to fill in; they fit the MPS3 AN547.

get_filename_component(inference_port ${CMAKE_CURRENT_LIST_DIR} ABSOLUTE)
get_filename_component(inference_reference ${inference_port}/.. ABSOLUTE)

# The services that the partition calls. TF-M leaves them out unless they are asked for.
set(TFM_PARTITION_CRYPTO                    ON CACHE BOOL "")
set(TFM_PARTITION_INTERNAL_TRUSTED_STORAGE  ON CACHE BOOL "")
set(TFM_PARTITION_PLATFORM                  ON CACHE BOOL "")
set(TFM_PARTITION_INITIAL_ATTESTATION       ON CACHE BOOL "")

# The partition, a store for one fixed model, and this port.
set(TFM_PARTITION_INFERENCE    ON CACHE BOOL "Inference partition")
set(TFM_PARTITION_MODEL_STORE  ON CACHE BOOL "Model store of one fixed model")
set(TFM_INFERENCE_PLATFORM_DIR ${inference_port}/partition CACHE PATH "Platform files of the inference partition")
set(TFM_EXTRA_MANIFEST_LIST_FILES
  ${inference_reference}/partition/tfm_inference_manifest_list.yaml
  ${inference_port}/model_store/tfm_model_store_manifest_list.yaml
  CACHE STRING "")
set(TFM_EXTRA_PARTITION_PATHS
  ${inference_reference}/partition
  ${inference_port}/model_store
  ${inference_port}/platform
  CACHE STRING "")

# VENDOR: the model that is built in, and its name: what your build.yaml says below `models`.
set(TFM_INFERENCE_MODEL ${inference_reference}/models/tamper.tflite CACHE FILEPATH "The model, a .tflite file")
set(TFM_INFERENCE_MODEL_NAME tamper CACHE STRING "The model's name, at most 15 characters")

# Keys: the platform's table (builtin_keys.c) takes the place of TF-M's.
set(PLATFORM_DEFAULT_CRYPTO_KEYS OFF CACHE BOOL "")

# Buffers (config_port.h).
set(PROJECT_CONFIG_HEADER_FILE ${inference_port}/config_port.h CACHE FILEPATH "")

# VENDOR: secure RAM. The partition takes 597,408 bytes with the largest model (384 KiB) and arena (128 KiB); Corstone-300
# gives TF-M 0x20000 bytes by default. The name of this setting differs from platform to platform.
set(S_DATA_OVERALL_SIZE 0x100000 CACHE STRING "")
