/* Firmware for the board tests: does on request what firmware must not do.
 *
 * Lines on UART0: `echo TEXT`, `flood LINES`, `mag`, `temp`, `word ADDRESS`, `poke ADDRESS VALUE`, `spin N`,
 * `reset`, `lockup`, `silence`. No .data: everything static starts as zero or is constant.
 */
#include "uart.h"

#define I2C3 0x59206000u
#define COUNTER_ENABLE 0x58100000u
#define COUNTER 0x48101000u
#define SCL 1u
#define SDA 2u

static void text(uint32_t uart, const char *s)
{
    while (*s) {
        put(uart, *s++);
    }
}

static void hex(uint32_t v, int digits)
{
    for (int i = 4 * digits - 4; i >= 0; i -= 4) {
        put(UART0, "0123456789abcdef"[(v >> i) & 15u]);
    }
}

static void set(uint32_t bits)
{
    REG(I2C3) = bits;
}

static void clear(uint32_t bits)
{
    REG(I2C3 + 4) = bits;
}

static void i2c_start(void)
{
    set(SDA);
    set(SCL);
    clear(SDA);
    clear(SCL);
}

static void i2c_stop(void)
{
    clear(SDA);
    set(SCL);
    set(SDA);
}

static int i2c_out(uint8_t byte)
{
    for (int i = 7; i >= 0; i--) {
        if ((byte >> i) & 1) {
            set(SDA);
        } else {
            clear(SDA);
        }
        set(SCL);
        clear(SCL);
    }
    set(SDA);
    set(SCL);
    int refused = (int)((REG(I2C3) >> 1) & 1u);
    clear(SCL);
    return refused;
}

static uint8_t i2c_in(int more)
{
    uint8_t byte = 0;
    set(SDA);
    for (int i = 0; i < 8; i++) {
        set(SCL);
        byte = (uint8_t)((byte << 1) | ((REG(I2C3) >> 1) & 1u));
        clear(SCL);
    }
    if (more) {
        clear(SDA);
    }
    set(SCL);
    clear(SCL);
    set(SDA);
    return byte;
}

static void i2c_idle(void)
{
    set(SDA);
    set(SCL);
    for (int i = 0; i < 9; i++) {
        clear(SCL);
        set(SCL);
    }
    clear(SCL);
    i2c_stop();
}

static void i2c_write(uint8_t address, uint8_t reg, uint8_t value)
{
    i2c_start();
    (void)i2c_out((uint8_t)(address << 1));
    (void)i2c_out(reg);
    (void)i2c_out(value);
    i2c_stop();
}

/* Prints the bytes read, or `nack`. */
static void i2c_read(uint8_t address, uint8_t reg, int count)
{
    i2c_start();
    if (i2c_out((uint8_t)(address << 1))) {
        i2c_stop();
        text(UART0, "nack\n");
        return;
    }
    (void)i2c_out(reg);
    i2c_stop();
    i2c_start();
    (void)i2c_out((uint8_t)(address << 1 | 1));
    for (int i = 0; i < count; i++) {
        hex(i2c_in(i + 1 < count), 2);
    }
    i2c_stop();
    put(UART0, '\n');
}

static uint32_t number(const char **at)
{
    uint32_t v = 0;
    while (**at == ' ') {
        (*at)++;
    }
    for (; **at && **at != ' '; (*at)++) {
        uint32_t c = (uint8_t)**at;
        v = v * 16u + (c >= 'a' ? c - 'a' + 10u : c - '0');
    }
    return v;
}

static int is(const char **at, const char *word)
{
    const char *p = *at;
    while (*word && *p == *word) {
        p++;
        word++;
    }
    if (*word || (*p && *p != ' ')) {
        return 0;
    }
    *at = *p ? p + 1 : p;
    return 1;
}

static void obey(const char *line)
{
    if (is(&line, "echo")) {
        text(UART0, line);
        put(UART0, '\n');
    } else if (is(&line, "flood")) {
        for (uint32_t i = number(&line); i > 0; i--) {
            text(UART0, "all work and no play makes jack a dull log line 0123456789abcde\n");
        }
        text(UART0, "flood end\n");
    } else if (is(&line, "mag")) {
        i2c_read(0x1e, 3, 6);
    } else if (is(&line, "temp")) {
        i2c_write(0x48, 1, 0x60);
        i2c_read(0x48, 0, 2);
    } else if (is(&line, "word")) {
        hex(REG(number(&line)), 8);
        put(UART0, '\n');
    } else if (is(&line, "poke")) {
        uint32_t address = number(&line);
        REG(address) = number(&line);
        text(UART0, "ok\n");
    } else if (is(&line, "reset")) {
        REG(AIRCR) = 0x05FA0004u;
    } else if (is(&line, "lockup")) {
        __asm volatile("udf #0");
    } else if (is(&line, "silence")) {
        for (;;) {
        }
    } else {
        text(UART0, "what?\n");
    }
}

static void run(void)
{
    static char line[256];
    REG(CPACR) |= 0xF00000u;
    REG(COUNTER_ENABLE) = 1;
    speak(UART0);
    speak(UART1);
    i2c_idle();
    text(UART1, "secure log\n");
    uint32_t before = REG(COUNTER);
    for (volatile uint32_t i = 0; i < 20000u; i++) {
    }
    text(UART0, "ready ");
    hex(REG(COUNTER) - before, 8);
    put(UART0, '\n');
    for (volatile uint32_t i = 0; i < 2000000u; i++) {
    }
    listen();
    for (;;) {
        uint32_t length = 0;
        for (char c = get(); c != '\n'; c = get()) {
            if (length < sizeof line - 1) {
                line[length++] = c;
            }
        }
        line[length] = 0;
        obey(line);
    }
}
