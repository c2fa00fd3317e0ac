"""A wrong image is refused whatever its name, its version and the images before it are."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tfm_harness import Bench, Check, ModelUpdates
from tfm_harness.testing import ImageRecipe, flip, make_image, with_other_weights
from tfm_harness.verify import PUBLISHED_P256, TlvType, parse_mcuboot

pytestmark = pytest.mark.needs("update", "models", "file-model-signing-key", "factory-reset")

INVALID_SIGNATURE, NOT_PERMITTED = -149, -133
HIGHEST = 0xFFFFFFFF
LONGEST_NAME = "fifteen-letters"
"""As many letters as a name may have (docs/protocol.md, Images)."""

REFUSED = Check(
    id="update.wrong-image-refused",
    title="an image with a wrong signature, hash or key is refused whatever its name, counter, size and forerunner",
    requirement="PSA Security Model 1.1 s.5.4; RFC 9019 s.3.5",
)
OLDER = Check(
    id="update.older-image-refused",
    title="an image with a lower security counter is refused whatever its name, version, size and weights",
    requirement="PSA Security Model 1.1 s.5.4 (anti-rollback)",
)
TAKEN = Check(
    id="update.right-image-taken",
    title="the same images, rightly signed, are taken",
    requirement="tfm-harness: a device that refuses everything proves nothing",
    waivable=False,
)


def unsigned(recipe: ImageRecipe) -> bytes:
    """Without a signature, with the right key's hash."""
    assert recipe.key is not None
    return make_image(recipe.but(key=None, named_key=recipe.key.public_key()))


def foreign(recipe: ImageRecipe) -> bytes:
    """Signed with another key under the right key's hash."""
    assert recipe.key is not None
    return make_image(recipe.but(key=ec.generate_private_key(ec.SECP256R1()), named_key=recipe.key.public_key()))


def of_another(recipe: ImageRecipe) -> bytes:
    """With the signature of an image that has another version."""
    signature = next(
        tlv.value
        for tlv in parse_mcuboot(make_image(recipe.but(version=(9, 9, 9)))).tlvs
        if tlv.type in TlvType.SIGNATURES
    )
    return make_image(recipe.but(signature=signature))


WRONG: dict[str, Callable[[ImageRecipe], bytes]] = {
    "not signed": unsigned,
    "signed with another key": foreign,
    "a changed byte of the model": lambda recipe: flip(recipe.header_size + 64)(make_image(recipe)),
    "another image's signature": of_another,
    "no signature, no key's hash": lambda recipe: make_image(recipe.but(key=None)),
    "signed with another key, and its hash": lambda recipe: make_image(
        recipe.but(key=ec.generate_private_key(ec.SECP256R1()))
    ),
    "signed with a published key": lambda recipe: make_image(
        recipe.but(key=ec.derive_private_key(next(iter(PUBLISHED_P256.values())), ec.SECP256R1()))
    ),
    "the hash of something else": lambda recipe: make_image(recipe.but(hash_of=b"something else")),
}
FEW = 4
"""Ways of being wrong that the quick selection tries, under a name that is new."""


def recipes(updates: ModelUpdates, *, every: bool) -> Iterator[tuple[str, ImageRecipe]]:
    """Rightly signed images: what each is called, and its recipe; name, counter, size and header differ."""
    right = updates.recipe(ahead=1)
    names = {"a new name": "newcomer"}
    if every:
        names |= {
            "the active model's name": right.name, "another model's name": updates.other().name,
            "a name of one letter": "n", "the longest name": LONGEST_NAME,
        }  # fmt: skip
    counters = itertools.cycle((1, HIGHEST, updates.entry.counter + 1, 0x80000000))
    payloads = itertools.cycle((right.payload, with_other_weights(right.payload), right.payload + bytes(1000)))
    for words, name in names.items():
        counter = next(counters) if name not in {right.name, updates.other().name} else HIGHEST
        yield words, right.but(name=name, counter=counter, payload=next(payloads))


@pytest.mark.parametrize(
    "every", [False, pytest.param(True, marks=pytest.mark.thorough(every=False))], ids=["some", "every"]
)
def test_a_wrong_image_is_refused_whatever_it_is_called(updates: ModelUpdates, bench: Bench, every: bool) -> None:
    """First with a factory's model active, then with an update that was taken a moment ago."""
    wrong = dict(itertools.islice(WRONG.items(), None if every else FEW))
    for before in ("a factory's model", "an update") if every else ("a factory's model",):
        if before == "an update":
            updates.checks.equal(TAKEN, updates.attempt(updates.image(ahead=1)), 0, subject="of the active name")
        for words, recipe in recipes(updates, every=every):
            for fault, make in wrong.items():
                subject = f"{fault}, {words}, counter {recipe.counter}, over {before}"
                updates.refuse(REFUSED, make(recipe), INVALID_SIGNATURE, subject=subject)
        updates.old_model_works(f"after the refusals over {before}")
    if updates.changed:
        bench.factory_reset()
    for words, recipe in recipes(updates, every=every):
        updates.checks.equal(TAKEN, updates.attempt(make_image(recipe)), 0, subject=words)


@pytest.mark.parametrize(
    "every", [False, pytest.param(True, marks=pytest.mark.thorough(every=False))], ids=["some", "every"]
)
def test_an_older_image_is_refused_whatever_it_says(updates: ModelUpdates, every: bool) -> None:
    """The security counter alone decides: another version, model or size does not make an older image a newer one."""
    names = [updates.entry.name, updates.other().name, "newcomer"] if every else [updates.entry.name]
    plain = updates.payload(updates.entry.name)
    payloads = {
        "the same model": plain,
        "other weights": with_other_weights(plain),
        "a longer file": plain + bytes(999),
    }
    versions = ((255, 255, 65535), (1, 0, 0), (0, 0, 0))
    cases = list(itertools.product(payloads.items(), versions))
    if not every:
        cases = [(("other weights", payloads["other weights"]), versions[0])]
    for name in names:
        raised = updates.recipe(ahead=9).but(name=name, version=(3, 2, 1))
        assert raised.counter is not None
        updates.checks.equal(TAKEN, updates.attempt(make_image(raised)), 0, subject=f"{name}, counter {raised.counter}")
        for (words, payload), version in cases:
            older = raised.but(counter=raised.counter - 1, payload=payload, version=version)
            subject = f"{name}, {words}, version {'.'.join(map(str, version))}"
            updates.refuse(OLDER, make_image(older), NOT_PERMITTED, subject=subject)
    updates.old_model_works()
