/* SPDX-License-Identifier: Apache-2.0 */
/* The framing: what is sent is received, whatever stands around it; what was damaged is dropped and counted. */
#include <string.h>

#include "check.h"
#include "smp_frame.h"

static uint8_t wire[8192];
static size_t wire_len;
static struct smp_stats stats;
static struct smp_rx rx;

static void put(const uint8_t *data, size_t len)
{
	CHECK(len <= SMP_LINE_MAX && data[len - 1] == '\n');
	CHECK(wire_len + len <= sizeof(wire));
	memcpy(wire + wire_len, data, len);
	wire_len += len;
}

static void send(const uint8_t *message, size_t len)
{
	wire_len = 0;
	smp_send(message, len, put);
}

static void start(void)
{
	memset(&stats, 0, sizeof(stats));
	smp_rx_init(&rx, &stats);
}

/* Length of the last message completed by these bytes. */
static size_t receive(const uint8_t *bytes, size_t len)
{
	size_t done = 0;

	for (size_t i = 0; i < len; i++) {
		size_t n = smp_rx_byte(&rx, bytes[i]);

		done = n != 0 ? n : done;
	}
	return done;
}

static size_t receive_text(const char *text)
{
	return receive((const uint8_t *)text, strlen(text));
}

static uint32_t dropped(void)
{
	return stats.bad + stats.big + stats.crc;
}

static void crc_is_xmodem(void)
{
	CHECK(smp_crc16((const uint8_t *)"123456789", 9) == 0x31c3);
	CHECK(smp_crc16(NULL, 0) == 0);
}

/* The example that the PyPI package `smp` gives for its encoder: "Hello, world!". */
static void takes_another_implementations_frame(void)
{
	start();
	CHECK(receive_text("\x06\tAA9IZWxsbywgd29ybGQhet4=\n") == 13 && memcmp(rx.message, "Hello, world!", 13) == 0);
	CHECK(receive_text("\x06\tAA9I\n\x04\x14ZWxs\n\x04\x14"
			   "bywg\n\x04\x14"
			   "d29y\n\x04\x14"
			   "bGQh\n\x04\x14"
			   "et4=\n") == 13);
	CHECK(receive_text("\x06\tAA9IZWxsbywgd29ybGQhet4=\r\n") == 13);
	CHECK(stats.rx == 3 && dropped() == 0);
}

static void every_length_comes_through(void)
{
	static uint8_t message[SMP_MAX_MESSAGE];
	uint64_t state = 7;

	start();
	for (size_t len = 1; len <= SMP_MAX_MESSAGE; len += len < 400 ? 1 : 97) {
		for (size_t i = 0; i < len; i++) {
			message[i] = (uint8_t)next_random(&state);
		}
		send(message, len);
		CHECK(receive(wire, wire_len) == len && memcmp(rx.message, message, len) == 0);
	}
	send(message, SMP_MAX_MESSAGE);
	CHECK(receive(wire, wire_len) == SMP_MAX_MESSAGE);
	CHECK(dropped() == 0);
}

static void text_between_lines_is_skipped(void)
{
	static uint8_t message[300] = { 1, 2, 3 };
	uint8_t mixed[2048];
	size_t n = 0;

	send(message, sizeof(message));
	for (size_t i = 0; i < wire_len; i++) {
		mixed[n++] = wire[i];
		if (wire[i] == '\n') {
			static const char *const text =
				"[NS] some log line, longer than the longest line of a frame may "
				"be, so that nobody may take its length for an error: 0123456789 "
				"0123456789 0123456789\n\n";

			memcpy(mixed + n, text, strlen(text));
			n += strlen(text);
		}
	}
	start();
	CHECK(receive(mixed, n) == sizeof(message) && dropped() == 0);
}

static void damaged_frames_are_counted_and_never_delivered(void)
{
	static uint8_t message[200];
	uint64_t state = 99;
	uint32_t delivered = 0;

	for (size_t i = 0; i < sizeof(message); i++) {
		message[i] = (uint8_t)next_random(&state);
	}
	send(message, sizeof(message));
	for (size_t bit = 0; bit < wire_len * 8; bit++) {
		uint8_t damaged[sizeof(wire)];

		memcpy(damaged, wire, wire_len);
		damaged[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		start();
		size_t n = receive(damaged, wire_len);

		if (n != 0) {
			/* only damage that changes no data: LF to another line end does not exist, so none at all */
			CHECK(n == sizeof(message) && memcmp(rx.message, message, n) == 0);
			delivered++;
		}
		/* and the next message comes through */
		CHECK(receive_text("\n\x06\tAA9IZWxsbywgd29ybGQhet4=\n") == 13);
	}
	CHECK(delivered == 0);
}

static void each_fault_has_its_counter(void)
{
	start();
	CHECK(receive_text("\x06\tAA9IZWxsbywgd29ybGQhet5=\n") == 0 && stats.bad == 1); /* unused bits not zero */
	CHECK(receive_text("\x06\tAA9IZWxsbywgd29ybGQhet4\n") == 0 && stats.bad == 2);  /* not padded */
	CHECK(receive_text("\x06\tAA9IZWxsbywgd29ybGQ*et4=\n") == 0 && stats.bad == 3); /* alphabet */
	CHECK(receive_text("\x06\tAA9IZWxsbywgd29ybGQhet8=\n") == 0 && stats.crc == 1); /* CRC */
	CHECK(receive_text("\x06\tAA5IZWxsbywgd29ybGQhet4=\n") == 0 && stats.bad == 4); /* too long for its length */
	CHECK(receive_text("\x06\tAAJIZQ==\n") == 0 && stats.bad == 5);                 /* nothing but a CRC */
	CHECK(receive_text("\x06\t\n") == 0 && stats.bad == 6);
	CHECK(receive_text("\x06\tEANI\n") == 0 && stats.big == 1);                     /* 4099 */
	CHECK(receive_text("\x04\x14ZWxs\n\x04\x14ZWxs\n") == 0 && stats.bad == 6); /* its rest, not counted again */
	CHECK(receive_text("\x06\tAA9I\n\x06\tAA9IZWxsbywgd29ybGQhet4=\n") == 13 && stats.bad == 7); /* never ended */
	CHECK(receive_text("\x04\x14ZWxs\n\x04\x14ZWxs\n") == 0 && stats.bad == 8); /* never began */
	CHECK(stats.rx == 1);
}

static void a_line_may_have_127_bytes(void)
{
	char line[140];

	start();
	memcpy(line, "\x06\t", 2);
	memset(line + 2, 'A', sizeof(line) - 2);
	memcpy(line + 2, "AF9A", 4); /* 95 bytes follow: 91 more than a line of 31 quads holds after its length field */
	line[126] = '\n';
	line[127] = '\0';
	CHECK(receive_text(line) == 0 && dropped() == 0);
	memset(line + 126, 'A', 4);
	line[130] = '\n';
	line[131] = '\0';
	CHECK(receive_text(line) == 0 && stats.bad == 2); /* too long; and the one before never ended */
}

int main(void)
{
	crc_is_xmodem();
	takes_another_implementations_frame();
	every_length_comes_through();
	text_between_lines_is_skipped();
	damaged_frames_are_counted_and_never_delivered();
	each_fault_has_its_counter();
	a_line_may_have_127_bytes();
	return 0;
}
