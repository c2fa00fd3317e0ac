/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine on an emulated Cortex-M55 (QEMU mps3-an547): a bare-metal program that reads its files through
 * semihosting, in QEMU's working directory: model in `model.0`, input tensors in `inputs.0`; the output tensors go to
 * `outputs.0`. Then `model.1`, and so on up to 9, as long as there is one. Exit code: 0; 10 + status when a model is
 * refused; 2 otherwise.
 */
#include <string.h>

#include "../../../partition/nn/nn.h"

enum { SYS_OPEN = 0x01, SYS_CLOSE = 0x02, SYS_WRITE = 0x05, SYS_READ = 0x06, SYS_EXIT_EXTENDED = 0x20 };
enum { MODE_READ = 1, MODE_WRITE = 5 }; /* fopen's "rb" and "wb" */

static uint8_t file[96 * 1024];
static uint8_t arena[128 * 1024];
static struct nn_model model;

extern uint32_t __stack_top, __bss_start, __bss_end;
void reset(void);

/* Arm semihosting: operation in r0, argument block in r1, BKPT 0xAB. */
static int32_t semihost(int32_t operation, const void *arguments)
{
	register int32_t r0 __asm__("r0") = operation;
	register const void *r1 __asm__("r1") = arguments;

	__asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
	return r0;
}

static void leave(uint32_t code)
{
	const uint32_t stopped_application_exit = 0x20026;
	const uint32_t block[2] = { stopped_application_exit, code };

	semihost(SYS_EXIT_EXTENDED, block);
	for (;;)
		;
}

/* Negative: there is no such file. */
static int32_t find_file(const char *name, uint32_t mode)
{
	const uint32_t block[3] = { (uint32_t)name, mode, (uint32_t)strlen(name) };

	return semihost(SYS_OPEN, block);
}

static uint32_t open_file(const char *name, uint32_t mode)
{
	int32_t handle = find_file(name, mode);

	if (handle < 0) {
		leave(2);
	}
	return (uint32_t)handle;
}

static void close_file(uint32_t handle)
{
	semihost(SYS_CLOSE, &handle);
}

/* Bytes read; both calls answer the number of bytes that were not transferred. */
static uint32_t read_file(uint32_t handle, void *to, uint32_t size)
{
	const uint32_t block[3] = { handle, (uint32_t)to, size };

	return size - (uint32_t)semihost(SYS_READ, block);
}

static void write_file(uint32_t handle, const void *from, uint32_t size)
{
	const uint32_t block[3] = { handle, (uint32_t)from, size };

	if (semihost(SYS_WRITE, block) != 0) {
		leave(2);
	}
}

static void run(uint32_t handle, const char *inputs_name, const char *outputs_name)
{
	uint32_t size = read_file(handle, file, sizeof(file));
	enum nn_status status = nn_model_init(&model, file, size, arena, sizeof(arena));
	uint32_t inputs, outputs;
	size_t in_size, out_size;

	if (status != NN_OK) {
		leave(10 + (uint32_t)status);
	}
	inputs = open_file(inputs_name, MODE_READ);
	outputs = open_file(outputs_name, MODE_WRITE);
	nn_input(&model, &in_size);
	while (read_file(inputs, nn_input(&model, NULL), (uint32_t)in_size) == in_size) {
		const int8_t *out;

		if (nn_model_invoke(&model) != NN_OK) {
			leave(2);
		}
		out = nn_output(&model, &out_size);
		write_file(outputs, out, (uint32_t)out_size);
	}
	close_file(inputs);
	close_file(outputs);
}

static void run_all(void)
{
	char names[3][10] = { "model.0", "inputs.0", "outputs.0" };

	for (char number = '0'; number <= '9'; number++) {
		int32_t handle;

		for (unsigned i = 0; i < 3; i++) {
			names[i][strlen(names[i]) - 1] = number;
		}
		handle = find_file(names[0], MODE_READ);
		if (handle < 0) {
			leave(number == '0' ? 2 : 0);
		}
		run((uint32_t)handle, names[1], names[2]);
		close_file((uint32_t)handle);
	}
	leave(0);
}

void reset(void)
{
	volatile uint32_t *cpacr = (volatile uint32_t *)0xE000ED88;

	*cpacr |= 0xFu << 20; /* CP10, CP11: floating point and MVE */
	__asm__ volatile("dsb\n\tisb" ::: "memory");
	memset(&__bss_start, 0, (size_t)((char *)&__bss_end - (char *)&__bss_start));
	run_all();
}

static void fault(void)
{
	leave(3);
}

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
	&__stack_top,        (const void *)reset, (const void *)fault, (const void *)fault,
	(const void *)fault, (const void *)fault, (const void *)fault, (const void *)fault,
};
