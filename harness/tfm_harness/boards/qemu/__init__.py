"""Board kind ``qemu``."""
