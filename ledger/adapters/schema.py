"""The SQLite schema (version 1). Everything but balances and clock is append-only, by triggers."""

from __future__ import annotations

SCHEMA_VERSION = 1

TABLES = """
create table meta (name text primary key, value text not null) without rowid;

create table account (
    ref integer primary key,
    account_id text not null,
    account_code text not null,
    party_id text,
    currency_code text not null,
    opened_date text not null,
    balance_minor integer not null,       -- signed to the normal side
    unique (account_id, currency_code)
);

create table command (
    command_number integer primary key,
    idempotency_key text not null unique,
    command_type text not null,
    digest blob not null,                 -- SM3 of the command's canonical bytes
    content text not null,                -- JSON, normalised
    sequence integer,                     -- journal, when posted
    reason text,                          -- refusal code, when refused
    field text,
    detail text,
    check ((sequence is null) <> (reason is null))
);

create table journal (
    sequence integer primary key,
    command_number integer not null references command (command_number),
    journal_type text not null,
    business_key text not null unique,
    original_sequence integer,
    currency_code text not null,
    booking_date text not null,
    booked_at text not null,
    leg_count integer not null,
    chain_digest blob not null
);
create index journal_by_date on journal (booking_date);

create table leg (
    sequence integer not null,
    leg_number integer not null,
    account integer not null references account (ref),
    direction text not null check (direction in ('D', 'C')),
    amount_minor integer not null check (amount_minor > 0),
    component text not null,
    custodian_reference text,
    primary key (sequence, leg_number)
) without rowid;

create table payment (                    -- derived: what refunds and disputes need to know
    sequence integer primary key,
    merchant_id text not null,
    user_id text,
    channel text not null,
    currency_code text not null,
    gross_minor integer not null,
    issuer_fee_minor integer not null,
    network_fee_minor integer not null,
    acquirer_fee_minor integer not null,
    refunded_minor integer not null default 0,
    returned_issuer_fee_minor integer not null default 0,
    returned_network_fee_minor integer not null default 0,
    returned_acquirer_fee_minor integer not null default 0,
    disputed_minor integer not null default 0
);

create table dispute (                    -- derived
    sequence integer primary key,
    payment_sequence integer not null,
    amount_minor integer not null,
    released_by integer
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
    account integer not null,
    opening_minor integer not null,
    debit_minor integer not null,
    credit_minor integer not null,
    closing_minor integer not null,
    primary key (booking_date, account)
) without rowid;
"""

APPEND_ONLY = ("command", "journal", "leg", "day_close", "day_balance")


def statements() -> str:
    """Everything to run on an empty database."""
    triggers = "".join(
        f"create trigger {table}_no_{verb} before {verb} on {table} "
        f"begin select raise(abort, '{table} is append-only'); end;\n"
        for table in APPEND_ONLY
        for verb in ("update", "delete")
    )
    return TABLES + triggers
