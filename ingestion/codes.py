"""The closed lists: why a row goes to quarantine, why a delivery is not accepted.

Both lists are in the order in which they are checked; the first that holds is reported.
"""

from __future__ import annotations

#: Rules of a row. A row's first violation decides; columns are taken in contract order.
RULES: dict[str, str] = {
    "bad_quoting": "a quote stands where none may, or is never closed",
    "wrong_column_count": "the line has more or fewer fields (or bytes) than its layout",
    "bad_json": "the line is not one flat JSON object of the contract's types",
    "bad_encoding": "bytes that do not belong to the file's encoding",
    "missing_value": "a required value is empty",
    "too_long": "text longer than the contract allows",
    "bad_enum": "a value that the contract does not list",
    "bad_number": "not a number of the contract's kind, or below its least value",
    "bad_scale": "more decimals than the contract allows",
    "bad_date": "not a date or time of the contract's pattern",
    "not_signed": "the row's document is not signed by a trusted key that may, valid on its date",
    "not_as_signed": "a value is not what the row's signed document says",
    "same_record": "another row of the same business record is bad",
    "duplicate_key": "the key was seen before",
}

#: Reasons of a delivery that is not accepted.
REASONS: dict[str, str] = {
    # waiting
    "control_missing": "there is no control file yet",
    "signature_missing": "there is no signature yet; senders write it last",
    # refused, in the order of the checks
    "unknown_feed": "no contract has this name",
    "control_unreadable": "the control file is not UTF-8 JSON, or too large",
    "control_invalid": "a field of the control file is absent, unknown or of another type",
    "unknown_key": "no such key in the trust file",
    "wrong_key": "the key is trusted, but not for this feed",
    "expired_key": "the key was not valid when the delivery was sent",
    "bad_signature": "the signature does not verify: forged or changed",
    "wrong_feed_folder": "the control file names another feed than its folder",
    "wrong_date_folder": "the control file names another business date than its folder",
    "wrong_sequence_folder": "the control file names another sequence than its folder",
    "file_missing": "a file that the control file names is not there",
    "file_unlisted": "a file that the control file does not name",
    "truncated": "a file has fewer bytes than the control file says",
    "bytes_mismatch": "a file has more bytes than the control file says",
    "digest_mismatch": "a file's SM3 digest is not the control file's",
    "name_taken": "other content under the name of an accepted delivery",
    "date_closed": "the business date has been released",
    "supersedes_unknown": "it replaces a sequence that is not in force",
    "unreadable_file": "a data file cannot be read at all",
    "bad_header": "the header is unreadable or names a column twice",
    "missing_column": "a column of the contract is not there",
    "rows_mismatch": "a file has another number of rows than the control file says",
    "too_few_rows": "fewer rows than the contract asks of a delivery",
    "amount_mismatch": "amounts add up to another total than the control file says",
    "bad_row_in_book": "a bad line in a feed that is a book",
    "too_many_bad_rows": "more bad rows than the contract allows",
    # ignored, recorded
    "same_content": "the same data digests came before for this feed and date",
}

WAITING = frozenset({"control_missing", "signature_missing"})
