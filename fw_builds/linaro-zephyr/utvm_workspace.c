/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two functions of TVM's runtime that C generated for one model calls (tvm/runtime/c_backend_api.h), for a library
 * on this host. Build it together with the generated C: README.md.
 */
#include <stdint.h>
#include <stdlib.h>

void *TVMBackendAllocWorkspace(int device_type, int device_id, uint64_t size, int type_code, int type_bits);
int TVMBackendFreeWorkspace(int device_type, int device_id, void *memory);

void *TVMBackendAllocWorkspace(int device_type, int device_id, uint64_t size, int type_code, int type_bits)
{
	(void)device_type;
	(void)device_id;
	(void)type_code;
	(void)type_bits;
	return malloc(size);
}

int TVMBackendFreeWorkspace(int device_type, int device_id, void *memory)
{
	(void)device_type;
	(void)device_id;
	free(memory);
	return 0;
}
