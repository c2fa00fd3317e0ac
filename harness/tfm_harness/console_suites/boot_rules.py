"""Rules for the lines that TF-M, MCUboot and Zephyr print at a start, a refused image or a fault, for all suites."""

from __future__ import annotations

from tfm_harness.console_suites.grammar import Rule, Step

__all__ = ["BOOT_RULES", "FAULT_RULES"]

# How a log line begins: MCUboot in TF-M, MCUboot and Zephyr with minimal logging, Zephyr's log with its stamp.
_INFO = r"(?:\[INF\] ?|I: |(?:\[[\d:.,]+\] )?<inf> \w+: )"
_ERROR = r"(?:\[ERR\] ?|ERROR: +|E: |(?:\[[\d:.,]+\] )?<err> \w+: )"

# Order and presence vary with TF-M's version and log levels (a Release build prints none of them).
BOOT_RULES: tuple[Rule, ...] = (
    Rule.of(Step.BOOT, rf"{_INFO}Starting bootloader.*"),
    Rule.of(Step.BOOT, r"\[INF\] (?:Beginning|Start(?:ing)?) (?:BL1\w*|BL2|TF-M) provisioning.*"),
    Rule.of(Step.BOOT, r"\[INF\] Starting TF-M BL1.*"),
    Rule.of(Step.BOOT, r"\[INF\] Jumping to (?:BL1_2|BL2|the first image slot)"),
    Rule.of(Step.BOOT, r"\[WRN\].*DUMMY_PROVISIONING.*"),
    Rule.of(Step.BOOT, r"(?:\[(?:INF|NOT|NOTICE)\] ?|(?:NOTICE|INFO): +|[NI]: )?Booting (?P<version>TF-?M v?\d\S*).*"),
    Rule.of(Step.BOOT, r"\[Sec Thread\] Secure image initializing!"),
    Rule.of(Step.BOOT, r"TF-M isolation level is: .*"),
    # Zephyr's banner; an application may put its own name there.
    Rule.of(Step.BOOT, r"\*\*\* Booting (?P<version>.+?)(?: \*\*\*)?"),
    Rule.of(Step.BOOT, r"\*\*\* Using .+? \*\*\*"),  # a second line of the same banner; the first may be lost
    Rule.of(Step.BOOT_NONSECURE, r"Non-Secure system starting\.\.\."),
    Rule.of(Step.REFUSED, rf"{_ERROR}Image in the (?:primary|secondary) slot is not valid.*"),
    Rule.of(Step.REFUSED, rf"{_ERROR}Unable to find bootable image.*"),
    Rule.of(Step.REFUSED, rf"{_ERROR}No slot to load for image \d.*"),
    # BL1 of TF-M. If it refuses both banks, the line for the first one already reports it.
    Rule.of(
        Step.REFUSED,
        rf"{_ERROR}(?:BL1_2|BL2) image (?:\w+ )?(?:failed to (?:validate|decrypt|copy)|binding verification failed).*",
    ),
    Rule.of(Step.REFUSED, rf"{_ERROR}(?:Signature validation failed|Image ROTPK hash (?:size )?mismatch).*"),
    # nRF Connect SDK's immutable boot loader
    Rule.of(Step.BOOT, r"Attempting to boot slot \d+\."),
    Rule.of(Step.REFUSED, r"No bootable image found\. Aborting boot\."),
    Rule.of(Step.REFUSED, r"Failed to validate, permanently invalidating!"),
    Rule.of(Step.STUCK, rf"{_ERROR}(?:BL1 provision\w* (?:necessity check )?failed|FIH panic|panic!).*"),
    Rule.of(Step.STUCK, rf"{_ERROR}OTP system initialization failed.*"),
    Rule.of(Step.STUCK, rf"{_ERROR}(?:Platform init|NV counter|Failed to initialize|Failed to init).*"),
)

_ZEPHYR = r"(?:E: |(?:\[[\d:.,]+\] )?<err> \w+: )?"

FAULT_RULES: tuple[Rule, ...] = (
    Rule.of(Step.FAULT, r"(?:\[ERR\] ?)?FATAL ERROR: .*"),
    Rule.of(Step.FAULT, r"Oops.*"),
    # Zephyr prints it as plain text, with minimal logging (E: ...) or through its log ([stamp] <err> os: ...).
    Rule.of(Step.FAULT, rf"{_ZEPHYR}ASSERTION FAIL.*"),
    Rule.of(Step.FAULT, rf"{_ZEPHYR}\*{{5}} \w+ FAULT.*"),
    Rule.of(Step.FAULT, rf"{_ZEPHYR}>>> ZEPHYR FATAL ERROR.*"),
)
