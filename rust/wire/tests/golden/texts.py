"""Texts for the scanner and the time reader, with what Python makes of them."""

from __future__ import annotations

import json
import random
from datetime import datetime, timedelta, timezone

from celery.utils.time import maybe_iso8601

ENVELOPE = (
    b'{"body": "W10=", "content-type": null, "headers": {"lang": "py", "id": "t-1", "eta": null,'
    b' "n": [-1.5e3, NaN], "stamps": {"a": {}}}, "properties": {"priority": 0,'
    b' "delivery_info": {"exchange": ""}, "t\\u00e9\\n": true}}'
)


def scanner_cases() -> list[list[str]]:
    """Texts that are nearly JSON: hand-picked, and an envelope cut or with bytes changed."""
    picked = [
        "", " ", "null", "nul", "true", "false", "NaN", "-NaN", "Infinity", "-Infinity", "+1", "-",
        "0", "-0", "00", "01", "1.", ".5", "1.5", "1e5", "1E+5", "1e", "1e+", "-1.5e-3", "1 2",
        "[]", "[ ]", "[1,]", "[,1]", "[1 2]", "{}", '{"a":1}', '{"a":1,}', '{"a" 1}', "{a:1}",
        '{"a":1 "b":2}', "{1:2}", "[1}", '{"a":1]', '"', '"\\', '"a', '"\\x"', '"\\u12"',
        '"\\u12G4"', '"\\ud83d\\ude00"', '"\\ud83d"', '"\\ude00\\ud83d"', '"\\ud83d\\u0041"',
        '"\\ud83d\\ud83d\\ude00"', '"\\u0000"', '"\\/\\b\\f\\n\\r\\t\\"\\\\"', '"\t"', '"\x1f"',
        '"\x7f"', '"\u00e9\u2028"', "\ufeff1", "\u00a01", "\x0b1", "[1]\r\n\t ",
        "[" * 300 + "]" * 300, "[" * 300, '{"a":' * 200 + "1" + "}" * 200, '{"a":1,"a":2}',
        "[[],{},[{}]]", '[{"a":[]},null,-0.0]', '"' + "x" * 100 + '"',
        '"' + "x" * 7 + "\\n" + "y" * 9 + '"',
    ]  # fmt: skip
    draw = random.Random(5)
    cases = [text.encode() for text in picked]
    for _ in range(400):
        at = draw.randrange(len(ENVELOPE))
        damaged = draw.choice(
            (
                ENVELOPE[:at],
                ENVELOPE[:at] + ENVELOPE[at + 1 :],
                ENVELOPE[:at] + bytes([draw.choice(b'"\\{}[],: 0aenu-.\n')]) + ENVELOPE[at + 1 :],
                ENVELOPE[:at] + ENVELOPE[at : at + 5] + ENVELOPE[at:],
            )
        )
        cases.append(damaged)
    rows = []
    for case in cases:
        try:
            value = json.loads(case.decode())
        except ValueError:
            rows.append([case.hex(), "error", ""])
        else:
            text = value.encode("utf-8", "surrogatepass").hex() if isinstance(value, str) else ""
            rows.append([case.hex(), "ok", text])
    return rows


def read_time(text: str) -> tuple[str, str]:
    """Unix milliseconds as Python reads the text, else as Celery's worker; naive means UTC."""
    for reader_name, reader in (("python", datetime.fromisoformat), ("dateutil", maybe_iso8601)):
        try:
            value = reader(text)
        except ValueError:
            continue
        if value is not None:
            value = value if value.tzinfo else value.replace(tzinfo=timezone.utc)
            return str(
                (value - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(milliseconds=1)
            ), reader_name
    return "none", "neither"


def time_cases() -> list[list[str]]:
    """Dates and times in every form, good and bad, and pseudo-random ones."""
    picked = [
        "2026-11-22T23:31:09.385996+00:00", "2026-11-22T23:31:09Z", "2026-11-22T23:31:09z",
        "2026-11-22", "20261122", "2026-11", "2026", "2026-W47-7", "2026W477", "2026-W47",
        "2026W47", "2026-W53-1", "2020-W53-7", "2021-W53-1", "2026-W00-1", "2026-W01-0",
        "2026-W01-8", "2026-11-22 23:31", "2026-11-22T23", "2026-11-22T2331", "2026-11-22T233109",
        "20261122T233109.5", "2026-11-22T23:31:09,123", "2026-11-22T23:31:09.123456789",
        "2026-11-22T23:31:09.", "2026-11-22T24:00", "2026-11-22T24:00:00", "2026-11-22T24:01",
        "2026-11-22T25:00", "2026-11-22T23:60", "2026-11-22T23:31:60", "2026-02-29", "2024-02-29",
        "1900-02-29", "2000-02-29", "2026-13-01", "2026-00-10", "2026-04-31", "0001-01-01",
        "9999-12-31T23:59:59.999999", "0000-01-01", "1969-12-31T23:59:59.999999",
        "2026-11-22T23:31:09+05:30", "2026-11-22T23:31:09-0530", "2026-11-22T23:31:09+05",
        "2026-11-22T23:31:09+05:30:15", "2026-11-22T23:31:09+24:00", "2026-11-22T23:31:09+5",
        "2026-11-22T23:31:09 +05:00", "2026-11-22T", "T23:31", "2026-11-22\u00e923:31",
        "2026-11-22T23:31:09Zx", "2026-1-2", "26-11-22", "", "now", " 2026-11-22",
        "2026-11-22T23:31:09+05:30:15.5", "2026-11-22T2:31", "2026-11-22T23:3",
        "2026-11-22T23:31:9", "2026-1122", "2026-11-22T23:3109", "2026-11-22T2331:09",
        "2026-11-22T23.5", "2026-11-22T23:31.5", "\uff12026-11-22",
        "2026-11-22T23:31:09\u2212 05:00", "-2026-11-22", "2026-11-22T-1:31",
        "2026-11-22T23:31:09.12+00:00", "1718000000", "2026-325", "2026325", "2024-366",
        "2026-366", "2026-000", "2026-11-22T23:31-00:00", "2026-11-22T23+00", "12026-11-22",
    ]  # fmt: skip
    draw = random.Random(7)
    for _ in range(200):
        moment = datetime(1, 1, 1) + timedelta(microseconds=draw.randrange(315_537_897_600 * 10**6))
        zone = draw.choice(
            (
                "",
                "+00:00",
                "Z",
                f"{draw.choice('+-')}{draw.randrange(24):02}:{draw.randrange(60):02}",
            )
        )
        picked.append(
            moment.isoformat(timespec=draw.choice(("auto", "seconds", "milliseconds", "minutes")))
            + zone
        )
    return [[text, *read_time(text)] for text in picked]
