/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sizes that TF-M's defaults leave too small (PROJECT_CONFIG_HEADER_FILE). TF-M's own defaults fill in the rest.
 */
#ifndef CONFIG_PORT_H
#define CONFIG_PORT_H

/* What an ioctl of device_ioctl.h answers is 264 bytes at most; TF-M's default of 64 refuses it (-129). */
#define PLATFORM_SERVICE_OUTPUT_BUFFER_SIZE 264

/* The platform partition keeps that buffer on its stack; deriving the UUID takes some, too. */
#define PLATFORM_SP_STACK_SIZE 0xA00

#endif
