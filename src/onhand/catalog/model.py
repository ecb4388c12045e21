"""Values of the catalogue: an item as stored, and the strict documents that callers write."""

# ruff: noqa: RUF012 - pydantic copies a default for each document

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field

from onhand.base.fields import Attributes, Code, Currency, Moment, Money, Name, ShortText, Strict

WEIGHT_MAX_G: Final = 100_000_000  # 100 t
LENGTH_MAX_MM: Final = 100_000  # 100 m: a volume still fits in 64 bits
COMPONENTS_MAX: Final = 100
COMPONENT_QUANTITY_MAX: Final = 10_000

_Length = Annotated[int, Field(ge=0, le=LENGTH_MAX_MM)]


class ComponentIn(Strict):
    """Part of a bundle."""

    sku: Code
    quantity: Annotated[int, Field(ge=1, le=COMPONENT_QUANTITY_MAX, description="per bundle")]


class ItemIn(Strict):
    """What a caller says of an item; the whole of it, what is left out returns to its default."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Enamel mug, blue",
                    "weight_g": 340,
                    "length_mm": 120,
                    "width_mm": 90,
                    "height_mm": 85,
                    "unit_cost_minor": 310,
                    "price_minor": 1250,
                    "currency": "EUR",
                    "category": "kitchen",
                },
                {
                    "name": "Breakfast set",
                    "price_minor": 3900,
                    "currency": "EUR",
                    "components": [
                        {"sku": "MUG-BLUE", "quantity": 2},
                        {"sku": "PLATE-BLUE", "quantity": 2},
                    ],
                },
            ]
        }
    )

    name: Name
    weight_g: Annotated[int, Field(ge=0, le=WEIGHT_MAX_G)] = 0
    length_mm: _Length = 0
    width_mm: _Length = 0
    height_mm: _Length = 0
    unit_cost_minor: Annotated[
        Money | None, Field(description="what a unit costs you; the margin is the price less it")
    ] = None
    price_minor: Annotated[Money | None, Field(description="what a unit is usually sold for")] = None
    currency: Annotated[Currency | None, Field(description="required with a price or a unit cost")] = None
    category: Annotated[ShortText | None, Field(description="items that sell alike: forecasts and plans use it")] = None
    hs_code: Annotated[str | None, Field(pattern=r"^[0-9][0-9. ]{1,15}$", description="customs tariff number")] = None
    release_at: Annotated[Moment | None, Field(description="before this moment orders wait in the preorder queue")] = (
        None
    )
    components: Annotated[
        list[ComponentIn],
        Field(max_length=COMPONENTS_MAX, description="makes it a bundle, which holds no stock"),
    ] = []
    attributes: Attributes = {}


class ItemRow(ItemIn):
    """An item of a batch."""

    sku: Code


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """Units of an item in one bundle."""

    sku: str
    quantity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """An item as last committed. `item_id` is dense and never changes; a bundle has components."""

    item_id: int
    sku: str
    name: str
    weight_g: int
    length_mm: int
    width_mm: int
    height_mm: int
    unit_cost_minor: int | None
    price_minor: int | None
    currency: str | None
    category: str | None
    hs_code: str | None
    release_at: datetime | None
    components: tuple[Component, ...] = ()
    attributes: dict[str, Any] = field(default_factory=dict[str, Any])
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def is_bundle(self) -> bool:
        return bool(self.components)

    @property
    def volume_mm3(self) -> int:
        return self.length_mm * self.width_mm * self.height_mm

    def content(self) -> tuple[object, ...]:
        """All that a caller can write: equal content means nothing to write."""
        return (
            self.name,
            self.weight_g,
            self.length_mm,
            self.width_mm,
            self.height_mm,
            self.unit_cost_minor,
            self.price_minor,
            self.currency,
            self.category,
            self.hs_code,
            self.release_at,
            {c.sku: c.quantity for c in self.components},
            # As text: Python takes true and 1 for equal.
            json.dumps(self.attributes, sort_keys=True) if self.attributes else "{}",
        )
