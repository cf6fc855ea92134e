//! Times against Python's own reading (`golden/texts.py`).
#![allow(missing_docs)]

mod support;

use fastworker_wire::time::{iso_utc, parse_iso_ms};
use proptest::prelude::*;
use support::table;

/// Python 3.11 overlooks a space before the offset; nobody writes it, and older versions refuse it too.
const STRICTER: &str = "2026-11-22T23:31:09 +05:00";

#[test]
fn times_are_read_as_python_reads_them() {
    for row in table("times.tsv") {
        let (text, reader) = (row[0].as_str(), row[2].as_str());
        let read = parse_iso_ms(text, 0).map_or("none".to_owned(), |ms| ms.to_string());
        if text == STRICTER {
            assert_eq!(read, "none");
        } else if reader == "dateutil" {
            // dateutil also takes what is no ISO-8601 (`23:3`); there, refusing is as right as agreeing.
            assert!(read == row[1] || read == "none", "{text}: {read}");
        } else {
            assert_eq!(read, row[1], "{text}");
        }
    }
}

#[test]
fn the_forms_that_only_celerys_reader_takes_are_taken() {
    for text in ["2026", "2026-01", "2026-01-01T00:00", "2026-001", "2026-W01-4", "2025-12-31T24:00"] {
        assert_eq!(parse_iso_ms(text, 0), Some(1_767_225_600_000), "{text}");
    }
}

#[test]
fn a_naive_time_is_in_the_given_zone_and_an_aware_one_is_not() {
    assert_eq!(parse_iso_ms("1970-01-01T08:00:00", 8 * 3600), Some(0));
    assert_eq!(parse_iso_ms("1970-01-01T08:00:00+00:00", 8 * 3600), Some(8 * 3_600_000));
    assert_eq!(parse_iso_ms("1969-12-31T23:59:59.9999", 0), Some(-1));
}

#[test]
fn utc_is_written_as_python_writes_it() {
    assert_eq!(iso_utc(1_795_390_287_735_548), "2026-11-22T23:31:27.735548+00:00");
    assert_eq!(iso_utc(1_795_390_287_000_000), "2026-11-22T23:31:27+00:00");
    assert_eq!(iso_utc(-1), "1969-12-31T23:59:59.999999+00:00");
    assert_eq!(iso_utc(-62_135_596_800_000_000), "0001-01-01T00:00:00+00:00");
}

proptest! {
    #[test]
    fn a_written_time_reads_back(unix_us in -62_135_596_800_000_000_i64..253_402_300_800_000_000) {
        prop_assert_eq!(parse_iso_ms(&iso_utc(unix_us), 3600), Some(unix_us.div_euclid(1000)));
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "[-0-9:TZW+., é]{0,40}") {
        let _ = parse_iso_ms(&text, 0);
    }
}
