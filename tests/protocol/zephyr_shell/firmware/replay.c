/* Firmware for the client's tests on QEMU: answers each line with what was recorded, and really resets.
 *
 * replies.h is made by the test: BOOT, and REPLIES, each a line with all that is sent back for it.
 * With FORGETS the device has another identity after each reset that keeps RAM.
 */
#include "uart.h"

#include "replies.h"

#define LINE_SIZE 80u

static uint32_t starts; /* RAM survives a warm reset */

static void send(const struct bytes *bytes)
{
    for (uint32_t i = 0; i < bytes->size; i++) {
        char c = (char)bytes->data[i];
#ifdef FORGETS
        if (starts > 1 && c == '4') {
            c = '5';
        }
#endif
        put(UART0, c);
    }
}

static int same(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

static void obey(const char *line)
{
    if (same(line, "kernel reboot cold")) {
        REG(AIRCR) = 0x05FA0004u;
    }
    for (uint32_t i = 0; i < sizeof REPLIES / sizeof *REPLIES; i++) {
        if (same(line, REPLIES[i].line)) {
            send(&REPLIES[i].reply);
            return;
        }
    }
    send(&UNKNOWN);
}

static void run(void)
{
    static char line[LINE_SIZE];
    uint32_t size = 0;

    starts++;
    speak(UART0);
    listen(); /* before it speaks: what is typed at its first prompt may come before the last one */
    send(&BOOT);
    for (;;) {
        char c = get();
        if (c == 3) {
            size = 0;
            send(&INTERRUPTED);
        } else if (c == '\r') {
            line[size] = 0;
            size = 0;
            obey(line);
        } else if (size + 1 < LINE_SIZE) {
            line[size++] = c;
        }
    }
}
