"""Templates: the files of `ledger/data/operations/`, one template an operation, checked whole when
they are loaded and compiled once, so that a posting costs no interpretation. Their keys are
explained in docs/explanation/ledger.md, their language is :mod:`ledger.domain.expressions`. What a
template checks of the command alone comes before what it checks of the original."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ledger.domain import expressions
from ledger.domain.conditions import CONDITIONS
from ledger.domain.expressions import FUNCTIONS, ExpressionError
from ledger.domain.fields import OTHER_KINDS, PATTERNS, Field
from ledger.domain.forms import Form
from ledger.domain.operations import CALLERS, CLASSES, OF_JOURNAL, Operation, Operations, Plan
from ledger.domain.refusals import BY_CODE, Refusal
from ledger.domain.template_plan import PlanSource

OPERATIONS_FORMAT = "paylake-operations/1"
_KEYS = frozenset({
    "zh", "en", "version", "rules", "module", "class", "callers", "about", "fields", "business_key",
    "journal_type", "starts", "books", "merchant", "user", "rail", "original", "let", "checks",
    "authorisation", "approval", "approval_since", "approval_before", "approval_register", "legs",
    "counters", "set", "set_parent", "hold", "holds", "uses", "quiet", "position", "handler",
    "normal",
    "oldest_first", "before_start", "final_payout", "needs_channel", "mode", "outcome", "undo",
})
_UNDO_KEYS = frozenset({"checks", "set", "set_parent", "holds"})
Made = Callable[[str], Mapping[str, Any]]
_WORD = re.compile(r"[A-Za-z_]+")
_CONTEXT = ("booking_date", "mode", "actor", "owner", "scales")
#: Fields that name a party of a command, beside its merchant and user; a user's is one where the
#: template does not say who its user is.
_PARTIES = ("payee_id", "card_id", "payer_id", "user_id")


def compiled(
    library: Mapping[str, Any], documents: Mapping[str, Mapping[str, Any]],
    made_of: Made = lambda source: {},
) -> Operations:
    """All templates.

    :param library: the document of the fields that templates name
    :param documents: of the files, by name
    :param made_of: functions that were made of a source before, by name
    :raises ValueError: naming file, operation and key that is wrong
    """
    by_type: dict[str, Operation] = {}
    fields = _library(library)
    for name, document in documents.items():
        if document.get("format") != OPERATIONS_FORMAT:
            raise ValueError(f"{name}: format is not {OPERATIONS_FORMAT}")
        for type_, spec in document["operations"].items():
            if type_ in by_type:
                raise ValueError(f"{name}: {type_} stands twice")
            try:
                by_type[type_] = _Compiler(type_, spec, fields, made_of).operation()
            except (ExpressionError, KeyError, TypeError, SyntaxError) as error:
                raise ValueError(f"{name}, {type_}: {error!r}") from error
    for operation in by_type.values():
        unknown = operation.original_types - set(by_type)
        if unknown:
            raise ValueError(f"{operation.type}: originals {sorted(unknown)} are unknown")
    return Operations(by_type, {t: o.version for t, o in by_type.items()})


def _library(document: Mapping[str, Any]) -> dict[str, Field]:
    found: dict[str, Field] = {}
    for name, entry in document["fields"].items():
        kind = entry["kind"]
        if kind not in PATTERNS and kind not in OTHER_KINDS:
            raise ValueError(f"field {name}: kind {kind!r} is not known")
        found[name] = Field(
            name, kind, entry["about"], False, tuple(entry.get("of", ())),
            bool(entry.get("sensitive", False)),
        )
    return found


class _Compiler(PlanSource):
    def __init__(
        self, type_: str, spec: Mapping[str, Any], library: Mapping[str, Field], made_of: Made
    ) -> None:
        unknown = set(spec) - _KEYS
        if unknown:
            raise KeyError(f"keys {sorted(unknown)} are not known")
        self.type, self.spec, self.made_of = type_, spec, made_of
        self.fields = tuple(_field(entry, library) for entry in spec["fields"])
        self.names = [f.name for f in self.fields]
        self.lets: dict[str, Any] = dict(spec.get("let", {}))
        self.known = [*self.names, *_CONTEXT]
        self.accounts: dict[str, None] = {}  # sources of accounts of parties
        self.late = {"original", "parent", "hold"}
        for name, text in self.lets.items():
            if self._uses_late(text):
                self.late.add(name)

    def _uses_late(self, text: Any) -> bool:
        return not isinstance(text, int) and bool(
            expressions.names_of(str(text)) & self.late
        )

    def _needs(self, record: str) -> bool:
        return f"{record}." in json.dumps(self.spec)

    # the parts of the functions

    def _head(self) -> list[str]:
        """Values of the command and its context, and what is named of them alone."""
        lines = [f"{field.name} = v.get({field.name!r})" for field in self.fields]
        lines += ["booking_date = c.booking_date", "mode = c.mode", "actor = c.actor",
                  "owner = c.owner", "scales = c.scales",
                  "contract = c.contract", "tariff = c.tariff"]
        return lines + self._named(late=False)

    def _late(self, *known: str) -> list[str]:
        """What is known once the original was looked up, beside records that are known."""
        records = [f"{r} = c.{r}" for r in ("original", "parent", "hold")
                   if r not in known and self._needs(r)]
        return records + self._named(late=True)

    def _named(self, late: bool) -> list[str]:
        return [
            f"{name} = {self._source(text)}" for name, text in self.lets.items()
            if (name in self.late) == late
        ]

    def _not_reversed(self) -> list[str]:
        """What was reversed is there no more: nothing refers to it (rule D0.73)."""
        if "original" not in self.spec:
            return []
        field = self.spec["original"]["field"]
        return ["original = c.original", "if original['reversed']:",
                f"    return Refusal('already_reversed', f\"{{{field}}} was reversed\", {field!r})"]

    def _undo(self) -> list[str]:
        """What a reversal of it does to its original's counters and to those of the original's
        own original; or why it cannot be reversed."""
        undo = self.spec["undo"]
        unknown = set(undo) - _UNDO_KEYS
        if unknown:
            raise KeyError(f"keys {sorted(unknown)} of undo are not known")
        parts = []
        for key in ("set", "set_parent"):
            counters = undo.get(key, {})
            parts.append("{" + ", ".join(
                f"{name!r}: {self._source(text)}" for name, text in counters.items()
            ) + "}")
        return [*self._head(), *self._late(), *self._listed(undo.get("checks", ())),
                f"return {', '.join(parts)}"]

    def _checks(self, late: bool) -> list[str]:
        return self._listed(
            check for check in self.spec.get("checks", ()) if late == (
                self._uses_late(check["when"])
                or bool(expressions.text_names(check["detail"]) & self.late)
            )
        )

    def _listed(self, checks: Iterable[Mapping[str, Any]]) -> list[str]:
        lines = []
        for check in checks:
            when, detail, field = check["when"], check["detail"], check.get("field")
            if check["refuse"] not in BY_CODE:
                raise KeyError(f"{check['refuse']} is not a reason")
            if field is None:
                shown = "None"
            elif field in self.names:
                shown = repr(field)
            else:
                shown = self._source(field)
            lines += [f"if {self._source(when)}:",
                      f"    return Refusal({check['refuse']!r}, {self._text(detail)}, {shown})"]
        return lines

    def operation(self) -> Operation:
        spec = self.spec
        handler = spec.get("handler")
        early = [*self._head(), *self._checks(False)]
        functions: dict[str, list[str]] = {}
        if handler is None:
            reversed_ = self._not_reversed()
            late = self._late("original") if reversed_ else self._late()
            body = [*early, *reversed_, *late, *self._checks(True)]
            if "books" in spec:
                body.append("codes = c.codes")
            functions["plan"] = [*body, *self._once(["legs = []", *self._legs(), *self._result()])]
        elif self._checks(True):
            raise KeyError("the checks of a handler know the command alone")
        elif self._checks(False):
            functions["check"] = [*early, "return None"]
        if "undo" in spec:
            functions["undo"] = self._undo()
        for key in ("merchant", "user", "rail", "books"):
            functions[key] = self._small(key)
        if "outcome" in spec:
            functions["outcome"] = self._small("outcome")
        approval = spec.get("approval")
        register = spec.get("approval_register")
        if register is not None and (
            approval is None or register["condition"] not in CONDITIONS
        ):
            raise KeyError("approval_register stands beside approval and names a condition")
        if "approval_before" in spec and "approval_since" not in spec:
            raise KeyError("approval_before stands beside approval_since")
        for key in ("approval", "approval_before"):
            if key in spec:
                functions[key] = self._condition(spec[key])
        text = "\n\n".join(
            f"def {name}(v, c):\n" + "\n".join(f"    {line}" for line in _needed(lines))
            for name, lines in functions.items()
        )
        space = dict(self.made_of(text))
        if not space:
            space = {"Refusal": Refusal, "Plan": Plan, **FUNCTIONS}
            exec(compile(text, f"<operation {self.type}>", "exec"), space)
        original = spec.get("original", {})
        if spec["class"] not in CLASSES:
            raise KeyError(f"class {spec['class']!r} is not one of {CLASSES}")
        if spec.get("callers") not in CALLERS:
            raise KeyError(f"callers {spec['callers']!r} is not one of {CALLERS}")
        parties = tuple(
            name for name in _PARTIES
            if name in self.names and (name != "user_id" or "user" not in spec)
        )
        key = spec.get("business_key", self.names[0] if self.names else None)
        if key is not None and key not in self.names:
            raise KeyError(f"business key {key!r} is not a field")
        return Operation(
            type=self.type, version=int(spec["version"]), zh=spec["zh"], en=spec["en"],
            about=spec.get("about", ""), rules=tuple(spec["rules"]), module=spec["module"],
            interface_class=spec["class"], callers=spec.get("callers"),
            form=Form(self.type, self.fields), business_key=key,
            further_currencies=tuple(
                f.name for f in self.fields
                if f.kind == "currency" and f.name != "currency_code"
            ),
            journal_type=spec.get("journal_type", self.type), starts=spec.get("starts", True),
            before_start=spec.get("before_start", False),
            final_payout=spec.get("final_payout", False),
            normal=spec.get("normal", False), oldest_first=spec.get("oldest_first"),
            original_field=original.get("field"),
            original_types=frozenset(original.get("of", ())),
            original_missing=original.get("missing", "there is no such original"),
            hold_field=spec.get("hold"), mode_field=spec.get("mode"),
            refers="original" in spec or "hold" in spec or self.type in OF_JOURNAL,
            scenes=frozenset(use["scene"] for use in spec.get("uses", ())),
            scene_codes=frozenset(
                (use["scene"], use["account"].partition(":")[0]) for use in spec.get("uses", ())
            ),
            counters=dict.fromkeys(spec.get("counters", ()), 0),
            approval=space.get("approval"), approval_since=spec.get("approval_since", 1),
            approval_before=space.get("approval_before"),
            approval_register=register and (register["condition"], register["since"]),
            merchant=space["merchant"],
            books=space["books"], user=space["user"], rail=space["rail"],
            by_mandate=spec.get("authorisation", {}).get("kind") == "mandate",
            needs_channel=spec.get("needs_channel", False), outcome=space.get("outcome"),
            parties=parties, books_apart=spec.get("books") not in (
                None, spec.get("merchant"), spec.get("user"), *parties
            ),
            check=space.get("check"), plan=space.get("plan"),
            undo=space.get("undo"), undo_holds=bool(spec.get("undo", {}).get("holds")),
            handler=handler, text=text,
        )

    def _condition(self, text: Any) -> list[str]:
        """When a checker is asked."""
        lines = [
            *self._head(), f"return bool({'True' if text is True else self._source(text)})",
        ]
        asked = set(_WORD.findall(" ".join(_needed(lines))))
        if asked & {"contract", "mode"}:  # `verify` has to be able to judge it again
            raise KeyError("approval depends on the command and the tariff alone")
        return lines

    def _small(self, key: str) -> list[str]:
        text = self.spec.get(key)
        if text is None:
            return ["return None"]
        lines = []
        for name in expressions.names_of(str(text)):
            if name in self.names:
                lines.append(f"{name} = v.get({name!r})")
            elif name in ("original", "hold"):
                lines.append(f"{name} = c.{name} or {{}}")
        return [*lines, f"return {self._source(text)}"]


def _needed(lines: list[str]) -> list[str]:
    """The lines without assignments that nothing after them reads."""
    kept: list[str] = []
    read: set[str] = set()
    for line in reversed(lines):
        name, _, value = line.partition(" = ")
        if name.isidentifier() and not line.startswith(" "):
            if name not in read and name not in ("legs", "holds", "uses", "amount_"):
                continue
            words = value
        else:
            words = line
        read |= set(_WORD.findall(words))
        kept.append(line)
    return kept[::-1]


def _field(entry: Any, library: Mapping[str, Field]) -> Field:
    """A field of the library by name; `name?` is optional; a mapping overrides its text."""
    about = None
    if isinstance(entry, Mapping):
        (entry, about), = entry.items()
    name = entry.rstrip("?")
    base = library[name]
    return Field(
        name, base.kind, about or base.about, entry.endswith("?"), base.of, base.sensitive
    )
