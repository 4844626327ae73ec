"""What a template books, as lines of the source that it is compiled into: its legs, holds, what
counts against limits, the payer's consent, what rests, what is exchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ledger.domain import expressions

_RECORDS = ("original", "parent", "contract", "hold", "tariff")


class PlanSource:
    """One template's. `known` are the names of its fields and context, `lets` its own, `accounts`
    the sources of accounts of parties that its legs use."""

    spec: Mapping[str, Any]
    known: list[str]
    lets: dict[str, Any]
    accounts: dict[str, None]

    def _source(self, text: Any) -> str:
        return expressions.source(text, [*self.known, *self.lets], _RECORDS)

    def _text(self, text: str, *more: str) -> str:
        return expressions.text_source(text, [*self.known, *self.lets, *more], _RECORDS)

    def _account(self, text: str, *more: str) -> str:
        code, colon, rest = text.partition(":")
        shown = self._text(rest, *more) if colon else None
        if "books" in self.spec:
            if shown is None:
                return f"codes[{code!r}]"
            made = "f\"{codes['" + code + "']}:" + shown.removeprefix('f"')
        elif shown is None:
            return repr(code)
        else:
            made = self._text(text, *more)
        if not more:
            self.accounts[made] = None
        return made

    def _once(self, lines: list[str]) -> list[str]:
        """The lines, with the name of an account that they use more than once put together once."""
        text, found = "\n".join(lines), []
        for number, made in enumerate(self.accounts):
            if text.count(made) > 1:
                name = f"account_{chr(ord('a') + number)}"
                found.append(f"{name} = {made}")
                text = text.replace(made, name)
        return [*found, *text.split("\n")]

    def _legs(self) -> list[str]:
        lines = []
        for leg in self.spec.get("legs", ()):
            sides = [s for s in ("debit", "credit") if s in leg]
            if len(sides) != 1:
                raise KeyError("a leg has a debit or a credit account")
            side = sides[0]
            reference = leg.get("reference")
            if "each" in leg:  # a leg for each (party, amount) of a list
                account = self._account(leg[side], "party")
                currency = self._source(leg.get("currency", "currency_code"))
                lines += [
                    f"for party, amount_ in {self._source(leg['each'])}:",
                    "    if amount_:",
                    f"        legs.append([{account}, {currency}, {side[0].upper()!r}, amount_, "
                    f"{leg['component']!r}, None])",
                ]
                continue
            lines.append(f"amount_ = {self._source(leg['amount'])}")
            condition = "amount_"
            if "when" in leg:
                condition += f" and ({self._source(leg['when'])})"
            shown = "None" if reference is None else self._text(reference)
            currency = self._source(leg.get("currency", "currency_code"))
            lines += [
                f"if {condition}:",
                f"    legs.append([{self._account(leg[side])}, {currency}, "
                f"{side[0].upper()!r}, amount_, {leg['component']!r}, {shown}])",
            ]
        return lines

    def _filled(
        self, name: str, entries: Iterable[Mapping[str, Any]],
        item: Callable[[Mapping[str, Any]], str],
    ) -> list[str]:
        """A list, each item on its own condition."""
        lines = [f"{name} = []"]
        for entry in entries:
            append = f"{name}.append({item(entry)})"
            if "when" in entry:
                lines += [f"if {self._source(entry['when'])}:", f"    {append}"]
            else:
                lines.append(append)
        return lines

    def _hold(self, hold: Mapping[str, Any]) -> str:
        action = hold["action"]
        if action not in ("place", "capture", "release", "free"):
            raise KeyError(f"hold action {action!r} is not known")
        account = self._account(hold["account"]) if "account" in hold else "None"
        kind = self._text(hold["kind"]) if "kind" in hold else "None"
        case = self._source(hold["case"]) if "case" in hold else "None"
        amount = "0" if action == "free" else self._source(hold["amount"])
        return f"({action!r}, {kind}, {self._text(hold['id'])}, {account}, {amount}, {case})"

    def _use(self, use: Mapping[str, Any]) -> str:
        account, amount = self._account(use["account"]), self._source(use["amount"])
        return f"({use['scene']!r}, {account}, {amount})"

    def _result(self) -> list[str]:
        spec = self.spec
        parts = ["legs"]
        for key in ("set", "set_parent"):
            counters = spec.get(key)
            parts.append("None" if not counters else "{" + ", ".join(
                f"{name!r}: {self._source(text)}" for name, text in counters.items()
            ) + "}")
        lines: list[str] = []
        if spec.get("holds"):
            lines += self._filled("holds", spec["holds"], self._hold)
            parts.append("holds")
        else:
            parts.append("None")
        uses = spec.get("uses")
        if uses:
            lines += self._filled("uses", uses, self._use)
            parts.append("uses")
        else:
            parts.append("None")
        auth = spec.get("authorisation")
        if auth:
            shown = (
                f"(authorisation, {self._source(auth['payer'])}, "
                f"{self._source(auth['payee'])}, {self._source(auth['amount'])}, "
                f"{auth.get('kind', 'authorisation')!r})"
            )
            when = self._source(auth["when"]) if "when" in auth else "True"
            parts.append(f"({shown} if {when} else None)")
        else:
            parts.append("None")
        quiet, position = spec.get("quiet"), spec.get("position")
        if quiet and position:
            raise KeyError("a template has quiet or position")
        if quiet:
            made = (
                f"[['quiet', {self._account(quiet['account'])}, "
                f"{self._source(quiet.get('currency', 'currency_code'))}, "
                f"{self._source(quiet['payment'])}, {self._source(quiet['amount'])}, "
                f"{self._source(quiet['rests'])}]]"
            )
            when = quiet.get("when")
            parts.append(f"({made} if {self._source(when)} else None)" if when else made)
        elif position:
            parts.append(
                "[['position', currency_code, bought_currency_code, "
                f"{self._source(position['sold'])}, {self._source(position['bought'])}]]"
            )
        else:
            parts.append("None")
        while parts[-1] == "None":
            parts.pop()
        return [*lines, f"return Plan({', '.join(parts)})"]
