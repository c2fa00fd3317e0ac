/* SPDX-License-Identifier: Apache-2.0 */
/*
 * newlib's C start-up names these; nothing here calls them. TF-M's linker options make a missing one an error.
 */
void _close(void);
void _fstat(void);
void _getpid(void);
void _isatty(void);
void _kill(void);
void _lseek(void);
void _read(void);
void _write(void);

#define UNUSED __attribute__((weak))

UNUSED void _close(void)
{
}
UNUSED void _fstat(void)
{
}
UNUSED void _getpid(void)
{
}
UNUSED void _isatty(void)
{
}
UNUSED void _kill(void)
{
}
UNUSED void _lseek(void)
{
}
UNUSED void _read(void)
{
}
UNUSED void _write(void)
{
}
