"""What became of each row of a batch, in the order of the rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar, cast

from pydantic import BaseModel, ValidationError

from onhand.base.fields import reject_reasons

M = TypeVar("M", bound=BaseModel)

RowStatus = Literal["created", "updated", "unchanged", "rejected"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowError:
    """One thing wrong with a row: `path` within it, as in `components[1].sku`."""

    path: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RowResult:
    """What became of one row; `key` is its sku or code as far as it could be read."""

    status: RowStatus
    key: str | None
    errors: list[RowError] = field(default_factory=list[RowError])


def rejected(key: str | None, *errors: tuple[str, str]) -> RowResult:
    """A refused row with its (path, message) pairs."""
    return RowResult(status="rejected", key=key, errors=[RowError(path=p, message=m) for p, m in errors])


def read_rows(raw: Sequence[object], model: type[M], key: str) -> list[M | RowResult]:
    """Each row as `model`, or as the reasons why it is none.

    key  the field that names a row: `sku` or `code`
    """
    rows: list[M | RowResult] = []
    for row in raw:
        try:
            rows.append(model.model_validate(row))
        except ValidationError as error:
            fields = cast("dict[str, object]", row) if isinstance(row, dict) else {}
            name = fields.get(key)
            rows.append(rejected(name if isinstance(name, str) else None, *reject_reasons(error)))
    return rows


def without_repeats(
    rows: Sequence[M | RowResult], key_of: Callable[[M], str], field: str
) -> tuple[dict[int, RowResult], dict[str, int]]:
    """Results of the rows that are refused already, and the number of the first row of each key.

    field  of the row that holds its key, for the message
    """
    results: dict[int, RowResult] = {}
    first: dict[str, int] = {}
    for number, row in enumerate(rows):
        if isinstance(row, RowResult):
            results[number] = row
            continue
        key = key_of(row)
        if key in first:
            message = f"{key!r} stands in this batch already, as row {first[key]}"
            results[number] = rejected(key, (field, message))
        else:
            first[key] = number
    return results, first
