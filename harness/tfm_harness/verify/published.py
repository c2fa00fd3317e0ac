"""Keys whose private halves are published: their signatures prove nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["EXAMPLE_KEYS", "PUBLISHED_P256", "PUBLISHED_POINTS", "PUBLISHED_SYMMETRIC"]

PUBLISHED_POINTS: Final[dict[str, str]] = {
    "fa58755f658627ce5460f29b75296713248cae7ad9e2984b90280efcbcb50248": "TF-M's dummy attestation key",
    "399c843e8d71167061d8fbb1e9423dd857932cb4bc9894ba9793d776a3813e22": "RFC 9783's example key",
    "c449144435a5b82a54b7a31b3057d227173843f331e45e64cf531a5d464e0ceb": "iat-verifier's key-alt.pem",
    "90c71e80304f98d6556a402c0593b33a80acbd08e4aff9c4029f6e17e1039951": "RFC 7517's and Veraison's example key",
    "82316ad6c6598b75d1a8b9fa3bcd2dc704af4de47e6acbfde9b1a89b305fdf45": "the COSE examples' key '11'",
    "b18b86ce1389e46de87aa4a5131ce83c1160fa33c087ab15b863574d31d8ff3c": "RFC 6979's P-256 test key",
    "c8b9a8e7f164515be2e59bce8ef78d1fe1f5d605411be6cda64ef6bc050c192b": "RFC 6979's P-384 test key",
    "698bea63dc44a344663ff1429aea10842df27b6b991ef25866b2c6c02cdcc5be": "the P-256 key with private scalar 1",
    "8c2eb3e0b8d6cc2a197a52c92860f7b1ba71c966e3c88ec6c81900a7308e6266": "the P-384 key with private scalar 1",
    "6775085e97f41b42d29979c15976cfda3261875a7b267107eacab98d201d09bf": "MCUboot's and TF-M's root-ec-p256",
    "aca59e939540dd8f810efaa80f4e3a809090c6bfabd7d6bab0de2f9ee3071deb": "TF-M's root-EC-P256_1",
    "0969dd1fcdb2419accb0d2815abed24bc253eabb3623c3dd6bd479c72ac13df0": "MCUboot's and TF-M's root-ec-p384",
    "010c8f23e5eb4fcfb8b340127ee448d282426dbb938b75b9994480707c1a5ec2": "TF-M's root-EC-P384_1",
    "b12c3dd6f5ba8ce4de49312dc03ef3dad43a4c99dcac2eb94b8ea82bf4d70d20": "MCUboot's sample bad-ec-p256",
    "ba956ea8934e36cddc8498831aa592ee47b9ec6dbdbac1e5e1c468e9f07f3b31": "MCUboot's test plan, key_ec256",
    "aef19e20bf5798f9ae6aec806e214873b69e97062f3d24d471c285a43e28b742": "MCUboot's test plan, key_ec256_2",
    "7a8a4f15228d041c7c996c4c80f2f9e9cbf88e113427a78536390b0e4f99c02a": "MCUboot's enc-ec256",
    "6d99f30a847040282d0fa7380e50aed566de6da46306faa2570639c218f9b20d": "Cypress' test key (MCUboot, TF-M for PSoC 64)",
    "c91bef4d9135083db100ea46b2479100c7292a5029860dcf0c5499e8228f27a1": "TF-M's secure image key for PSoC 64",
}
"""SHA-256 of ``04 || X || Y`` of keys whose private halves are public."""

EXAMPLE_KEYS: Final = frozenset({"RFC 9783's example key", "RFC 7517's and Veraison's example key"})
"""Those of these keys that sign published example tokens with an instance id that is no hash of the key."""

PUBLISHED_SYMMETRIC: Final[dict[str, str]] = {
    "fc15d5755428eb71657cdc8f004f9a82684c5d0f85363e203014c67c7ebc8ba9": "TF-M's dummy symmetric attestation key",
}
"""SHA-256 of symmetric keys that are public."""

PUBLISHED_P256: Final[Mapping[str, int]] = {
    "MCUboot's and TF-M's root-ec-p256": 0xD798D52F8301243BD3542B7E55ED4C74611900B0F9505A824FE1E8EC063BCFF1,
    "TF-M's root-EC-P256_1": 0x4EB79725FEE122A92E389165E8D4BBA60FE370185C391A4F1470BAE38035916C,
    "TF-M's dummy attestation key": 0xA9B454B26D6F90A4EA31193564CBA91FEC6F9A002A7DC0504B92A1937134585F,
    "Cypress' test key (MCUboot, TF-M for PSoC 64)": 0xB91FC9ABA2E3320A7C0D5B44EE92A0BADB4DA3A2F6DFD6847228F318EAF90BBD,
    "TF-M's secure image key for PSoC 64": 0xDB3AB03CFF1B4142049E00AE35DA41B6670CF98C0D317A8F70361FB7A61A4A2A,
    "MCUboot's sample bad-ec-p256": 0xB9AA9A21FACB710684B91372736D53B859D709DCE753082F9DE7A6C7915FBBC9,
    "MCUboot's test plan, key_ec256": 0xDB6AED473DDA519C23DA5C7F053B20459F8ED60A3291B78922F2F2F767DE9D29,
    "MCUboot's test plan, key_ec256_2": 0x20EDF7E50CDCB9EC8676D8CE8EF70064D66AFF59991603C9D2406ABCF1E0E83C,
    "MCUboot's enc-ec256": 0xF61E519DF8FADDA1B7D9A964643B54D03DD01FE578D91798A528CACC6B679E06,
    "RFC 6979's P-256 test key": 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721,
    "the P-256 key with private scalar 1": 1,
}
"""Private scalars of published keys on P-256, to test whether a device accepts what they sign."""
