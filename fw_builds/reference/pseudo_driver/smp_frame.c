/* SPDX-License-Identifier: Apache-2.0 */
#include "smp_frame.h"

#include <string.h>

#define MARKER_SIZE 2u
#define LENGTH_SIZE 2u
/* A full line: marker, 31 base64 quads, LF. */
#define QUADS_PER_LINE 31u
#define RAW_PER_LINE (3u * QUADS_PER_LINE)

static const uint8_t first_marker[MARKER_SIZE] = { 0x06, 0x09 };
static const uint8_t next_marker[MARKER_SIZE] = { 0x04, 0x14 };
static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* CRC-16/XMODEM: polynomial 0x1021, initial value 0, not reflected. */
static uint16_t crc16_update(uint16_t crc, const uint8_t *data, size_t len)
{
	static const uint16_t nibble[16] = {
		0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5, 0x60c6, 0x70e7,
		0x8108, 0x9129, 0xa14a, 0xb16b, 0xc18c, 0xd1ad, 0xe1ce, 0xf1ef,
	};

	for (size_t i = 0; i < len; i++) {
		crc = (uint16_t)(crc << 4) ^ nibble[(crc >> 12) ^ (data[i] >> 4)];
		crc = (uint16_t)(crc << 4) ^ nibble[(crc >> 12) ^ (data[i] & 0x0f)];
	}
	return crc;
}

uint16_t smp_crc16(const uint8_t *data, size_t len)
{
	return crc16_update(0, data, len);
}

static int base64_value(uint8_t c)
{
	if (c >= 'A' && c <= 'Z') {
		return c - 'A';
	}
	if (c >= 'a' && c <= 'z') {
		return c - 'a' + 26;
	}
	if (c >= '0' && c <= '9') {
		return c - '0' + 52;
	}
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* RFC 4648 base64, padded, unused bits zero. Returns the number of bytes, or -1. `out` may be `in`. */
static int base64_decode(const uint8_t *in, size_t len, uint8_t *out)
{
	int n = 0;

	if (len == 0 || len % 4 != 0) {
		return -1;
	}
	for (size_t i = 0; i < len; i += 4) {
		unsigned padding = 0;
		uint32_t quad = 0;

		if (i + 4 == len && in[i + 3] == '=') {
			padding = in[i + 2] == '=' ? 2 : 1;
		}
		for (unsigned k = 0; k < 4; k++) {
			int value = k >= 4 - padding ? 0 : base64_value(in[i + k]);

			if (value < 0) {
				return -1;
			}
			quad = quad << 6 | (uint32_t)value;
		}
		if ((padding == 2 && (quad & 0xffff) != 0) || (padding == 1 && (quad & 0xff) != 0)) {
			return -1;
		}
		for (unsigned k = 0; k < 3 - padding; k++) {
			out[n++] = (uint8_t)(quad >> (16 - 8 * k));
		}
	}
	return n;
}

void smp_rx_init(struct smp_rx *rx, struct smp_stats *stats)
{
	memset(rx, 0, sizeof(*rx));
	rx->stats = stats;
}

static size_t drop(struct smp_rx *rx, uint32_t *counter)
{
	*counter += 1;
	rx->state = SMP_DROPPING;
	return 0;
}

/* Add a line's decoded bytes to the message. */
static size_t collect(struct smp_rx *rx, const uint8_t *data, size_t len)
{
	while (len > 0 && rx->have < LENGTH_SIZE) {
		rx->length_field[rx->have++] = *data++;
		len--;
		if (rx->have == LENGTH_SIZE) {
			rx->want = (size_t)rx->length_field[0] << 8 | rx->length_field[1];
			if (rx->want > sizeof(rx->message)) {
				return drop(rx, &rx->stats->big);
			}
			if (rx->want <= SMP_CRC_SIZE) {
				return drop(rx, &rx->stats->bad);
			}
		}
	}
	if (rx->have < LENGTH_SIZE) {
		return 0;
	}
	if (len > LENGTH_SIZE + rx->want - rx->have) {
		return drop(rx, &rx->stats->bad);
	}
	memcpy(rx->message + rx->have - LENGTH_SIZE, data, len);
	rx->have += len;
	if (rx->have < LENGTH_SIZE + rx->want) {
		return 0;
	}
	rx->state = SMP_IDLE;
	/* The CRC of a message followed by its CRC is zero. */
	if (smp_crc16(rx->message, rx->want) != 0) {
		rx->stats->crc++;
		return 0;
	}
	rx->stats->rx++;
	return rx->want - SMP_CRC_SIZE;
}

static size_t take_line(struct smp_rx *rx)
{
	uint8_t *text = rx->line + MARKER_SIZE;
	size_t len = rx->line_len;

	if (len > MARKER_SIZE && rx->line[len - 1] == '\r') {
		len--;
	}
	if (len < MARKER_SIZE) {
		return 0;
	}
	if (memcmp(rx->line, first_marker, MARKER_SIZE) == 0) {
		if (rx->state == SMP_COLLECTING) {
			rx->stats->bad++; /* the message before never ended */
		}
		rx->state = SMP_COLLECTING;
		rx->have = 0;
	} else if (memcmp(rx->line, next_marker, MARKER_SIZE) == 0) {
		if (rx->state == SMP_IDLE) {
			return drop(rx, &rx->stats->bad); /* the first line was lost */
		}
		if (rx->state == SMP_DROPPING) {
			return 0;
		}
	} else {
		return 0;
	}
	int n = rx->line_too_long ? -1 : base64_decode(text, len - MARKER_SIZE, text);

	return n < 0 ? drop(rx, &rx->stats->bad) : collect(rx, text, (size_t)n);
}

size_t smp_rx_byte(struct smp_rx *rx, uint8_t byte)
{
	if (byte != '\n') {
		if (rx->line_len < sizeof(rx->line) - 1) { /* one place is the LF's */
			rx->line[rx->line_len++] = byte;
		} else {
			rx->line_too_long = true;
		}
		return 0;
	}
	size_t done = take_line(rx);

	rx->line_len = 0;
	rx->line_too_long = false;
	return done;
}

static size_t base64_encode(const uint8_t *in, size_t len, uint8_t *out)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i += 3) {
		uint32_t quad = (uint32_t)in[i] << 16;

		quad |= i + 1 < len ? (uint32_t)in[i + 1] << 8 : 0;
		quad |= i + 2 < len ? in[i + 2] : 0;
		out[n++] = (uint8_t)alphabet[quad >> 18];
		out[n++] = (uint8_t)alphabet[(quad >> 12) & 63];
		out[n++] = i + 1 < len ? (uint8_t)alphabet[(quad >> 6) & 63] : '=';
		out[n++] = i + 2 < len ? (uint8_t)alphabet[quad & 63] : '=';
	}
	return n;
}

void smp_send(const uint8_t *message, size_t len, void (*put)(const uint8_t *data, size_t len))
{
	uint16_t crc = smp_crc16(message, len);
	const uint8_t length_field[LENGTH_SIZE] = { (uint8_t)((len + SMP_CRC_SIZE) >> 8),
						    (uint8_t)(len + SMP_CRC_SIZE) };
	const uint8_t crc_field[SMP_CRC_SIZE] = { (uint8_t)(crc >> 8), (uint8_t)crc };
	size_t total = LENGTH_SIZE + len + SMP_CRC_SIZE;

	for (size_t at = 0; at < total;) {
		uint8_t raw[RAW_PER_LINE];
		uint8_t line[SMP_LINE_MAX];
		size_t n = 0;

		memcpy(line, at == 0 ? first_marker : next_marker, MARKER_SIZE);
		for (; n < sizeof(raw) && at < total; n++, at++) {
			raw[n] = at < LENGTH_SIZE         ? length_field[at]
				 : at < LENGTH_SIZE + len ? message[at - LENGTH_SIZE]
							  : crc_field[at - LENGTH_SIZE - len];
		}
		n = MARKER_SIZE + base64_encode(raw, n, line + MARKER_SIZE);
		line[n++] = '\n';
		put(line, n);
	}
}
