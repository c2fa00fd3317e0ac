/*
 * Prints the transcript it was linked with on UART0 of the MPS2+ AN521, then stops: a device for tests of console suites.
 * Sources: Arm DAI 0521 (UART0 at 0x50200000, secure view), Arm DDI 0479 (CMSDK UART).
 */
extern const unsigned char transcript[], transcript_end[];
extern unsigned int stack_top;

static volatile unsigned int *const uart = (volatile unsigned int *)0x50200000u;

void reset(void)
{
	uart[4] = 16; /* divider: the smallest allowed */
	uart[2] = 1;  /* transmit enabled */
	for (const unsigned char *p = transcript; p < transcript_end; p++) {
		while (uart[1] & 1u) {
		}
		uart[0] = *p;
	}
	for (;;) {
		__asm__ volatile("wfi");
	}
}

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = { &stack_top, (const void *)reset };

__asm__(".section .rodata\n.global transcript\n.global transcript_end\ntranscript: .incbin \"transcript.bin\"\ntranscript_end:\n");
