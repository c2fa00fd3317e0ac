"""A Raspberry Pi Pico that plays the I2C sensors of a real board (see README.md)."""
