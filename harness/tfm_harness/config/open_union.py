"""A part of a configuration file whose tag decides its form; packages can add forms."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError, ValidationInfo
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, PydanticKnownError, core_schema

from tfm_harness.config.nearest import nearest
from tfm_harness.errors import HarnessBug
from tfm_harness.extensions import POINTS, find, load, names, wrong_type

__all__ = ["OpenUnion"]


@dataclass(frozen=True, slots=True)
class OpenUnion:
    """Metadata for ``Annotated[Base, OpenUnion(...)]``.

    Attributes:
        built_in: the tagged union of the built-in forms.
        base: the base class of every form.
        key: the tag.
        point: the extension point that adds forms, a key of `tfm_harness.extensions.POINTS`; the class that is added
            has its form as ``config_model``.
    """

    built_in: Any
    base: type[BaseModel]
    key: str
    point: str

    def __get_pydantic_core_schema__(self, _source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401 - pydantic's signature
        return core_schema.with_info_wrap_validator_function(
            self._validate,
            handler.generate_schema(self.built_in),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda made: made.model_dump(mode="json")),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        known = sorted(POINTS[self.point].built_in)
        other = {
            "type": "object",
            "title": f"{POINTS[self.point].thing} of a package",
            "required": [self.key],
            "properties": {self.key: {"type": "string", "not": {"enum": known}}},
        }
        return {"anyOf": [handler(schema["schema"]), other]}

    def _validate(self, value: Any, handler: core_schema.ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:  # noqa: ANN401 - pydantic's signature
        if isinstance(value, self.base):
            return value
        tag = value.get(self.key) if isinstance(value, Mapping) else None
        if not isinstance(tag, str) or tag in POINTS[self.point].built_in:
            return handler(value)
        known = names(self.point)
        if tag not in known:
            offered = ", ".join(repr(name) for name in known)
            raise PydanticKnownError(
                "union_tag_invalid", {"discriminator": repr(self.key), "tag": tag, "expected_tags": offered}
            )
        model = self._added(tag)
        try:
            return model.model_validate_json(json.dumps(value), strict=True, context=info.context)
        except ValidationError as error:
            raise ValidationError.from_exception_data(
                error.title, [_named(item, model) for item in error.errors()]
            ) from None

    def _added(self, name: str) -> type[BaseModel]:
        """The form of the installed extension of that name. Raises `ExtensionError`."""
        extension = find(self.point, name)
        if extension is None:
            raise HarnessBug(f"no package adds the {POINTS[self.point].thing} {name!r}", kind="extension-gone")
        made = load(extension)
        model = getattr(made, "config_model", None)
        if not (isinstance(model, type) and issubclass(model, self.base)):
            raise wrong_type(extension, made)
        return model


def _named(item: Any, model: type[BaseModel]) -> InitErrorDetails:  # noqa: ANN401 - pydantic's own mapping
    """An error of an extension's form. For an unknown key it names the nearest known key, which only the form knows."""
    kind: str | PydanticCustomError = item["type"]
    context = item.get("ctx", {})
    if kind == "extra_forbidden":
        near = nearest(str(item["loc"][-1]), model.model_fields)
        guess = f"did you mean {near!r}?" if near else f"known here: {', '.join(sorted(model.model_fields))}"
        kind, context = PydanticCustomError("extension_key", "unknown key; {guess}", {"guess": guess}), {}
    elif kind not in _KNOWN:
        kind, context = PydanticCustomError("extension_value", "{said}", {"said": item["msg"]}), {}
    return InitErrorDetails(type=kind, loc=item["loc"], input=item["input"], ctx=context)


_KNOWN = frozenset({"missing", "string_type", "int_type", "float_type", "bool_type"})
"""Errors that are passed on unchanged; of the others only the text is passed on."""
