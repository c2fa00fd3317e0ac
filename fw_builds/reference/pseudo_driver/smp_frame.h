/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SMP over a console: the framing of MCUmgr's UART transport.
 *
 * A message travels as lines of base64 text: the first begins with 06 09, further ones with 04 14, each ends in LF and
 * has at most 127 bytes. Decoded and joined they hold: 2 bytes big-endian length of all that follows, the SMP message,
 * CRC-16/XMODEM of the message. Any other line is text of someone else and is skipped.
 */
#ifndef SMP_FRAME_H
#define SMP_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SMP_MAX_MESSAGE 4096u /* SMP header included */
#define SMP_LINE_MAX 127u
#define SMP_CRC_SIZE 2u

struct smp_stats {
	uint32_t rx;      /* messages received whole */
	uint32_t crc;     /* messages dropped: CRC */
	uint32_t bad;     /* messages dropped: base64, length, order of lines, SMP header */
	uint32_t big;     /* messages dropped: longer than SMP_MAX_MESSAGE */
	uint32_t cbor;    /* requests refused: CBOR */
	uint32_t overrun; /* bytes that the UART lost */
	uint32_t tx;      /* messages sent */
};

struct smp_rx {
	uint8_t line[SMP_LINE_MAX];
	size_t line_len;
	bool line_too_long;
	enum { SMP_IDLE, SMP_COLLECTING, SMP_DROPPING } state;
	uint8_t length_field[2];
	size_t have; /* bytes decoded so far, length field included */
	size_t want; /* bytes of the message and its CRC; valid once have >= 2 */
	uint8_t message[SMP_MAX_MESSAGE + SMP_CRC_SIZE];
	struct smp_stats *stats;
};

void smp_rx_init(struct smp_rx *rx, struct smp_stats *stats);

/* Take one byte. Returns the length of a message that it completed (now in rx->message), else 0. */
size_t smp_rx_byte(struct smp_rx *rx, uint8_t byte);

/* Send a message of at most SMP_MAX_MESSAGE bytes through `put`. */
void smp_send(const uint8_t *message, size_t len, void (*put)(const uint8_t *data, size_t len));

uint16_t smp_crc16(const uint8_t *data, size_t len);

#endif
