"""Changes of the state that can be taken back: each with what was there before."""

from __future__ import annotations

from typing import Any, Final

#: What was there before, where nothing was.
MISSING: Final[Any] = object()


class Undo:
    """Changes since the last that stayed, in order. `made` are they: (dictionary or object, key or
    attribute, value before)."""

    def __init__(self) -> None:
        self.made: list[tuple] = []
        self._kept = 0  # changes that stayed: marks count them too, so that none ever moves

    def set(self, where: dict, key: Any, value: Any) -> None:
        """Set an entry of a dictionary; None drops it."""
        self.made.append((where, key, where.get(key, MISSING)))
        if value is None:
            where.pop(key, None)
        else:
            where[key] = value

    def attribute(self, of: Any, name: str, value: Any) -> None:
        """Set an attribute."""
        self.made.append((of, name, getattr(of, name)))
        setattr(of, name, value)

    def mark(self) -> int:
        """A point to which :meth:`back` can return."""
        return self._kept + len(self.made)

    def back(self, mark: int) -> None:
        """Take back every change since the mark."""
        made = self.made
        left = max(0, mark - self._kept)
        while len(made) > left:
            where, name, old = made.pop()
            if isinstance(where, dict):
                if old is MISSING:
                    where.pop(name, None)
                else:
                    where[name] = old
            else:
                setattr(where, name, old)

    def keep(self, mark: int | None = None) -> None:
        """What was changed, or changed before a mark, stays."""
        staying = len(self.made) if mark is None else mark - self._kept
        del self.made[:staying]
        self._kept += staying
