"""The tables (version 3), for every storage. The log and what is signed are append-only, by
triggers, and never purged (rule D0.52); documents, segments and meta are derived from the log or
set by the service."""

from __future__ import annotations

import re
from collections.abc import Callable

SCHEMA_VERSION = 3
#: Alembic's name of each version.
REVISIONS = {1: "0001", 2: "0002", 3: "0003"}

TABLES = """
create table meta (name text primary key, value text not null) without rowid;

create table entry (                      -- the log; ledger/domain/chain.py says what is hashed
    sequence integer primary key,
    journal integer unique,               -- numbers the entries that have legs
    type text not null,
    version integer not null,
    outcome text not null check (outcome in ('posted', 'pending', 'refused')),
    idempotency_key text unique,
    business_key text unique,
    actor text not null,
    evidence text not null,
    booked_at text not null,
    booking_date text not null,
    value_date text not null,
    content text not null,
    legs text not null,
    effects text not null,
    approval text not null,
    digest blob not null
);
create index entry_by_date on entry (booking_date);

create table secret (                     -- sealed values behind the commitments of the log
    commitment text not null,
    sealed blob not null,
    key_number integer not null,          -- of the key that sealed it
    primary key (commitment, key_number)
) without rowid;

create table checkpoint (                 -- derived: up to where the fold below reaches
    one integer primary key check (one = 1),
    sequence integer not null,
    digest blob not null,
    journal integer not null,
    booked_at text not null
);

create table document (                   -- derived: accounts, registers, holds, usage
    kind text not null,
    key text not null,
    document text not null,
    primary key (kind, key)
) without rowid;

create table item (                       -- derived: what was done to originals
    business_key text primary key,
    document text not null
) without rowid;

create table segment (                    -- derived: postings by account and dates
    account_id text not null,
    currency_code text not null,
    first_sequence integer not null,
    last_sequence integer not null,
    booking_date text not null,
    value_date text not null,
    last_booked integer not null,         -- seconds since 1970
    debit_minor integer not null,
    credit_minor integer not null,
    postings blob not null,
    primary key (account_id, currency_code, first_sequence, booking_date, value_date)
);
create index segment_by_date on segment
    (booking_date, account_id, currency_code, debit_minor, credit_minor);

create table head (
    number integer primary key,           -- in the order of signing
    name text not null unique,            -- a date, or hour-<UTC>
    sequence integer not null,
    digest blob not null,
    key_id text not null,
    document blob not null,
    signature blob not null
);

create table day_close (
    booking_date text primary key,
    closed_at text not null,
    chain_sequence integer not null,
    chain_digest blob not null,
    journals integer not null,
    legs integer not null,
    key_id text not null,
    document blob not null,
    signature blob not null
);

create table day_balance (
    booking_date text not null,
    account_id text not null,
    currency_code text not null,
    opening_minor integer not null,
    debit_minor integer not null,
    credit_minor integer not null,
    closing_minor integer not null,
    primary key (booking_date, account_id, currency_code)
) without rowid;
"""

APPEND_ONLY = ("entry", "head", "day_close", "day_balance")

#: A sealed value goes only where a newer key has sealed the same one; nothing changes it.
RESEALED = """
create trigger secret_no_update before update on secret
begin select raise(abort, 'secret is append-only'); end;
create trigger secret_no_delete before delete on secret
when not exists (
    select 1 from secret where commitment = old.commitment and key_number > old.key_number
)
begin select raise(abort, 'secret is append-only until a newer key sealed the value'); end;
"""

#: Who asked for the status of a command (rule D2.7): no part of the chain.
QUERIES = """
create table if not exists status_query ( -- who asked for the status of a command, and was told
    idempotency_key text not null,
    asked_at text not null,
    actor text not null,
    told text not null,
    primary key (idempotency_key, asked_at, actor)
) without rowid;
"""

#: Operations that refer to an original, and the fields that name it. With one more, the index
#: below gets another name, so that older databases make it anew.
OF_ORIGINALS = (
    "bill_confirmed", "bill_withdrawn", "chargeback", "denied_payment", "dispute",
    "dispute_capture", "dispute_release", "merchant_spend_result", "merchant_top_up",
    "pre_authorisation_cancel", "pre_authorisation_completion", "prepaid_completion",
    "prepaid_redeem_result", "receipt_returned", "recovery", "refund", "settlement_result",
    "settlement_returned", "split", "transfer_refund", "void", "wealth_purchase_result",
    "wealth_redemption", "wealth_redemption_order", "wealth_redemption_result",
    "withdrawal_result", "withdrawal_returned",
)
ORIGINAL_FIELDS = (
    "original_transaction_id", "withdrawal_id", "receipt_id", "payout_id", "bill_id",
    "compensation_id",
)
#: Which original an entry is about, which waiting entry it decided, and which entries these are:
#: few, so that the indices cost a payment nothing. `{content}`, `{said}`: the text as JSON.
ORIGINAL = "coalesce({})".format(", ".join(f"{{content}} ->> '{f}'" for f in ORIGINAL_FIELDS))
OF_ORIGINAL = "type in ({})".format(", ".join(f"'{type_}'" for type_ in OF_ORIGINALS))
#: Orders that somebody answers later, and the fields that name whose they are: a customer is shown
#: those that moved nothing, or not yet. With one more the index gets another name, as above.
ORDERS = (
    "merchant_spend_order", "prepaid_redeem_order", "settlement", "wealth_purchase_order",
    "wealth_redemption_order", "withdrawal",
)
PARTY_FIELDS = ("user_id", "card_id", "merchant_id")
PARTY = "coalesce({})".format(", ".join(f"{{content}} ->> '{f}'" for f in PARTY_FIELDS))
# not `journal is null`: SQLite would go through all entries without a journal for that
OF_ORDER = "type in ({}) and legs = '[]' and outcome <> 'refused'".format(
    ", ".join(f"'{type_}'" for type_ in ORDERS)
)
DECIDED = "cast({said} ->> 'pending' as bigint)"
DECIDES = "(approval <> '' or type = 'reject')"
_SAID = "case when approval <> '' then approval else content end"


def as_json(expression: str, *, postgres: bool) -> str:
    """One of the expressions above for a storage."""
    if postgres:
        return expression.format(content="content::jsonb", said=f"({_SAID})::jsonb")
    # a row that somebody edited into something else must not keep the database from opening
    valid = "(case when json_valid({0}) then {0} end)"
    return expression.format(content=valid.format("content"), said=valid.format(f"({_SAID})"))


#: Indices of the log that were added since version 3: what each is over, and of which entries.
ADDED_INDICES = {
    "entry_by_original_2": (ORIGINAL, OF_ORIGINAL), "entry_by_pending": (DECIDED, DECIDES),
    "entry_by_order": (PARTY, OF_ORDER),
}
#: What stood in their place before.
DROPPED_INDICES = ("entry_by_original",)


def _added_indices(*, postgres: bool) -> str:
    """Made where they are missing."""
    return "".join(f"drop index if exists {name};\n" for name in DROPPED_INDICES) + "".join(
        f"create index if not exists {name} on entry (({as_json(of, postgres=postgres)})) "
        f"where {where};\n"
        for name, (of, where) in ADDED_INDICES.items()
    )

#: Journals of up to so many legs are looked at leg by leg; a table of the legs, which takes any
#: number and several currencies, costs more than all the rest of the row.
_FEW_LEGS = 6


def _balanced_as_few(legs: int) -> str:
    """Whether so many legs are of one currency and balance."""
    def part(leg: int, name: int) -> str:
        return f"new.legs ->> '$[{leg}][{name}]'"

    signed = " + ".join(
        f"iif({part(leg, 2)} = 'D', {part(leg, 3)}, -({part(leg, 3)}))" for leg in range(legs)
    )
    same = " and ".join(f"{part(leg, 1)} = {part(0, 1)}" for leg in range(1, legs))
    return f"{signed} = 0 and {same}"


#: The storage itself refuses a journal whose legs do not balance by currency.
BALANCED = f"""
drop trigger if exists entry_balanced; -- of older databases: it took every journal for a long one
create trigger if not exists entry_balanced_2 before insert on entry
when new.journal is not null and (
    case json_array_length(new.legs) {" ".join(
        f"when {legs} then {_balanced_as_few(legs)}" for legs in range(2, _FEW_LEGS + 1)
    )} end
) is not true
begin
    select raise(abort, 'the legs of the journal do not balance')
    where exists (
        select 1 from json_each(new.legs)
        group by value ->> 1
        having sum(iif(value ->> 2 = 'D', value ->> 3, -(value ->> 3))) is not 0
    ) or json_array_length(new.legs) < 2;
end;
"""


#: The same in PostgreSQL, once a statement: its trigger sees all rows that were added.
POSTGRES_FUNCTIONS = """
create function append_only() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only', tg_table_name
        using errcode = 'integrity_constraint_violation';
end $$;

create function entries_balanced() returns trigger language plpgsql as $$
begin
    if exists (
        select 1 from added, json_array_elements(added.legs::json) as leg
        where added.journal is not null
        group by added.sequence, leg ->> 1
        having sum(case leg ->> 2 when 'D' then 1 else -1 end * (leg ->> 3)::numeric) <> 0
    ) or exists (
        select 1 from added where journal is not null and json_array_length(legs::json) < 2
    ) then
        raise exception 'the legs of the journal do not balance'
            using errcode = 'integrity_constraint_violation';
    end if;
    return null;
end $$;

create trigger entry_balanced after insert on entry referencing new table as added
    for each statement execute function entries_balanced();
"""


POSTGRES_RESEALED = """
create function secret_resealed() returns trigger language plpgsql as $$
begin
    if not exists (
        select 1 from secret where commitment = old.commitment and key_number > old.key_number
    ) then
        raise exception 'secret is append-only until a newer key sealed the value'
            using errcode = 'integrity_constraint_violation';
    end if;
    return old;
end $$;

create trigger secret_append_only before update on secret
    for each row execute function append_only();
create trigger secret_resealed before delete on secret
    for each row execute function secret_resealed();
"""
POSTGRES_NO_TRUNCATE = (
    "create trigger {0}_no_truncate before truncate on {0} "
    "for each statement execute function append_only();\n"
)


def postgres_statements() -> str:
    """Everything to run on an empty PostgreSQL schema. Texts sort by bytes, as in Python."""
    triggers = "".join(map(_postgres_triggers, APPEND_ONLY))
    return (
        _postgres(TABLES) + POSTGRES_FUNCTIONS + triggers + POSTGRES_RESEALED
        + POSTGRES_NO_TRUNCATE.format("secret") + postgres_additions(lambda name: False)
    )


def postgres_additions(has: Callable[[str], bool]) -> str:
    """What was added since and a database lacks; nothing where it lacks nothing, which only its
    owner may make.

    :param has: whether the database has a table or an index of a name
    """
    table = "" if has("status_query") else (
        _postgres(QUERIES) + _postgres_triggers("status_query")
    )
    return table + ("" if all(map(has, ADDED_INDICES)) else _added_indices(postgres=True))


def _postgres(tables: str) -> str:
    tables = re.sub(r"\btext\b", 'text collate "C"', tables.replace(" without rowid", ""))
    return re.sub(r"\bblob\b", "bytea", re.sub(r"\binteger\b", "bigint", tables))


def _postgres_triggers(table: str) -> str:
    return (
        f"create trigger {table}_append_only before update or delete on {table} "
        "for each row execute function append_only();\n" + POSTGRES_NO_TRUNCATE.format(table)
    )


def statements() -> str:
    """Everything to run on an empty SQLite database."""
    return TABLES + "".join(map(_triggers, APPEND_ONLY)) + RESEALED + sqlite_additions()


def sqlite_additions() -> str:
    """What was added since; harmless where it is there."""
    return QUERIES + _triggers("status_query") + BALANCED + _added_indices(postgres=False)


def _triggers(table: str) -> str:
    return "".join(
        f"create trigger if not exists {table}_no_{verb} before {verb} on {table} "
        f"begin select raise(abort, '{table} is append-only'); end;\n"
        for verb in ("update", "delete")
    )
