"""`Value`: what `dataclass(frozen=True)` makes, for the warm path, which cannot pay for importing `dataclasses` (12 ms)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, ClassVar, Self, dataclass_transform
else:

    def dataclass_transform(**_: bool) -> Callable[[type], type]:
        return lambda kind: kind


@dataclass_transform(frozen_default=True)
class Value:
    """A frozen value. A subclass annotates its fields, with defaults where it has any; one gives them in order or by name.

    Two are equal when they are of one class and all fields are equal. Raises TypeError for a field that is missing or
    unknown, AttributeError when one is set.
    """

    _fields: ClassVar[tuple[str, ...]] = ()
    _needed: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls) -> None:
        cls._fields = tuple(cls.__annotations__)
        cls._needed = frozenset(name for name in cls._fields if not hasattr(cls, name))

    def __init__(self, *values: Any, **named: Any) -> None:
        state = self.__dict__
        state.update(zip(self._fields, values, strict=False))
        state.update(named)
        if len(state) != len(values) + len(named) or not self._needed <= state.keys() <= set(self._fields):
            wanted = f"{type(self).__name__}({', '.join(self._fields)})"
            raise TypeError(f"{wanted} does not take {len(values)} values and {sorted(named)}")

    def to_json(self) -> Any:
        """What a store keeps of it: the fields in order, unless a class says otherwise."""
        return list(self._values())

    @classmethod
    def from_json(cls, record: Any) -> Self:
        """The value that `to_json` gave. Quick, since a base has pieces by the hundred."""
        made = cls.__new__(cls)
        made.__dict__.update(zip(cls._fields, record, strict=True))
        return made

    def replace(self, **changes: Any) -> Self:
        """This value with other fields."""
        return type(self)(**{name: getattr(self, name) for name in self._fields} | changes)

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self._fields)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{name} of a {type(self).__name__} cannot be set: it is a frozen value")

    def __delattr__(self, name: str) -> None:
        self.__setattr__(name, None)

    def __eq__(self, other: object) -> bool:
        return (
            self._values() == other._values()
            if isinstance(other, Value) and type(other) is type(self)
            else NotImplemented
        )

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self._fields)})"
