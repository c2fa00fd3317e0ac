/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nn_run MODEL ARENA_BYTES [describe | trace]
 * nn_run serve
 *
 * Runs the model on each input tensor read from standard input and writes each output tensor to standard
 * output. trace: the outputs of all operators, in order, instead of the last alone. describe: one line of
 * JSON about the model. A refused model: its status on standard error, exit code 10 + status.
 * serve: for each line MODEL, ARENA_BYTES, mode, and files for standard input, output and error (with tabs between
 * them) a forked process does that; then its exit code is written, or minus the signal that ended it. The start of a
 * process with sanitizers takes longer than most runs.
 */
#define _POSIX_C_SOURCE 200809L

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../partition/nn/nn.h"
#include "nn_host.h"

static struct nn_model model;

static void print_info(const char *name, const struct nn_tensor_info *info)
{
	printf("\"%s\": {\"scale\": %.9g, \"zero_point\": %d, \"shape\": [", name, (double)info->scale,
	       (int)info->zero_point);
	for (uint32_t i = 0; i < info->rank; i++) {
		printf("%s%d", i ? ", " : "", (int)info->shape[i]);
	}
	printf("]}, ");
}

static void describe(void)
{
	struct nn_tensor_info input, output;
	uint64_t work = 0;

	nn_input_info(&model, &input);
	nn_output_info(&model, &output);
	printf("{");
	print_info("input", &input);
	print_info("output", &output);
	printf("\"ops\": [");
	for (uint32_t i = 0; i < nn_op_count(&model); i++) {
		printf("%s\"%s\"", i ? ", " : "", nn_op_name(nn_op_code(&model, i)));
		work += model.op[i].work;
	}
	printf("], \"sizes\": [");
	for (uint32_t i = 0; i < nn_op_count(&model); i++) {
		printf("%s%u", i ? ", " : "", (unsigned)model.tensor[model.op[i].output].elements);
	}
	printf("], \"arena\": %zu, \"work\": %llu, \"model_struct\": %zu}\n", nn_arena_used(&model),
	       (unsigned long long)work, sizeof(model));
}

static void write_op(void *ctx, unsigned op_index, uint32_t builtin_code, const int8_t *out, size_t len)
{
	(void)ctx;
	if (nn_op_code(&model, op_index) != builtin_code || fwrite(out, 1, len, stdout) != len) {
		abort();
	}
}

static int run(const char *path, const char *arena_bytes, const char *mode)
{
	enum nn_status status;
	uint8_t *bytes, *arena;
	size_t size, arena_size, in_len, out_len;

	bytes = nn_host_read_file(path, &size);
	arena_size = strtoul(arena_bytes, NULL, 0);
	arena = malloc(arena_size ? arena_size : 1);
	status = nn_model_init(&model, bytes, size, arena, arena_size);
	if (status != NN_OK) {
		fprintf(stderr, "%s\n", nn_status_text(status));
		free(bytes);
		free(arena);
		return 10 + (int)status;
	}
	if (strcmp(mode, "describe") == 0) {
		describe();
	}
	if (strcmp(mode, "trace") == 0) {
		nn_set_observer(&model, write_op, NULL);
	}
	nn_input(&model, &in_len);
	while (strcmp(mode, "describe") != 0 && fread(nn_input(&model, NULL), 1, in_len, stdin) == in_len) {
		const int8_t *out;

		if (nn_model_invoke(&model) != NN_OK) {
			return 1;
		}
		out = nn_output(&model, &out_len);
		if (strcmp(mode, "trace") != 0 && fwrite(out, 1, out_len, stdout) != out_len) {
			return 1;
		}
	}
	free(bytes);
	free(arena);
	return 0;
}

static void redirect(const char *path, const char *how, FILE *stream)
{
	if (!freopen(path, how, stream)) {
		_exit(2);
	}
}

static int serve(void)
{
	enum { MODEL, ARENA, MODE, IN, OUT, ERR, FIELDS };
	char *line = NULL, *field[FIELDS];
	size_t room = 0;
	ssize_t length;

	while ((length = getline(&line, &room, stdin)) > 0) {
		char *rest = line;
		int status;
		pid_t child;

		line[length - 1] = '\0'; /* the end of the line */
		for (int i = 0; i < FIELDS; i++) {
			field[i] = rest;
			rest = strchr(rest, i + 1 < FIELDS ? '\t' : '\0');
			if (!rest) {
				return 2;
			}
			*rest++ = '\0';
		}
		child = fork();
		if (child == 0) {
			redirect(field[IN], "rb", stdin);
			redirect(field[OUT], "wb", stdout);
			redirect(field[ERR], "wb", stderr);
			status = run(field[MODEL], field[ARENA], field[MODE]);
			free(line);
			exit(status);
		}
		if (child < 0 || waitpid(child, &status, 0) != child) {
			return 2;
		}
		printf("%d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
		fflush(stdout);
	}
	free(line);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "serve") == 0) {
		return serve();
	}
	if (argc < 3) {
		fprintf(stderr, "usage: nn_run MODEL ARENA_BYTES [describe | trace]\n       nn_run serve\n");
		return 2;
	}
	return run(argv[1], argv[2], argc > 3 ? argv[3] : "");
}
