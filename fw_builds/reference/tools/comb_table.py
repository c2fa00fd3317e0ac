"""The table of P-256's generator for spe/crypto/p256_point.c: prints p256_comb.h.

Entry d - 1 of half h is the sum of 2^(64 t + 32 h) G over the bits t that are set in d; x and y in Montgomery form.
"""

from __future__ import annotations

PRIME = 2**256 - 2**224 + 2**192 + 2**96 - 1
GENERATOR = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
TEETH, SPACING, HALVES = 4, 64, 2

Point = tuple[int, int]


def add(p: Point, q: Point) -> Point:
    """The sum of two points, neither of which is the other's negative (SEC 1, 2.2.1)."""
    rise, run = (3 * p[0] * p[0] - 3, 2 * p[1]) if p == q else (q[1] - p[1], q[0] - p[0])
    slope = rise * pow(run, -1, PRIME)
    x = (slope * slope - p[0] - q[0]) % PRIME
    return x, (slope * (p[0] - x) - p[1]) % PRIME


def powers() -> list[Point]:
    """2^i G for each bit of a number."""
    found = [GENERATOR]
    while len(found) < TEETH * SPACING:
        found.append(add(found[-1], found[-1]))
    return found


def entries(doubles: list[Point], half: int) -> list[Point]:
    """The 15 points of one half."""
    found: list[Point] = []
    for digit in range(1, 1 << TEETH):
        parts = [doubles[SPACING * t + SPACING // HALVES * half] for t in range(TEETH) if digit >> t & 1]
        point = parts[0]
        for part in parts[1:]:
            point = add(point, part)
        found.append(point)
    return found


def words(number: int) -> str:
    """A coordinate in Montgomery form, as C."""
    montgomery = (number << 256) % PRIME
    return "{ { " + ", ".join(f"0x{montgomery >> 32 * i & 0xFFFFFFFF:08X}" for i in range(8)) + " } }"


def main() -> None:
    """Print the header."""
    doubles = powers()
    print("/* SPDX-License-Identifier: Apache-2.0 */")
    print("/* Made by tools/comb_table.py. */")
    print("/* clang-format off */")
    print('#ifndef P256_COMB_H\n#define P256_COMB_H\n\n#include "p256_point.h"\n')
    print(f"static const struct p256_affine p256_comb[{HALVES}][{(1 << TEETH) - 1}] = {{")
    for half in range(HALVES):
        print("\t{")
        for x, y in entries(doubles, half):
            print(f"\t\t{{ {words(x)},\n\t\t  {words(y)} }},")
        print("\t},")
    print("};\n\n#endif")


if __name__ == "__main__":
    main()
