/* SPDX-License-Identifier: Apache-2.0 */
	.section .rodata.fixed_model, "a"
	.balign 16
	.global fixed_model
fixed_model:
	.incbin FIXED_MODEL_FILE
