//! Single fields: which kinds of value are taken for each, and what they mean.

use std::borrow::Cow;

use crate::Error;
use crate::json::{RawText, Scanner};

/// A string or null, not yet unescaped.
pub(super) fn text_or_null<'a>(scanner: &mut Scanner<'a>, field: &'static str) -> Result<Option<RawText<'a>>, Error> {
    match scanner.peek() {
        Some(b'"') => scanner.text().map(Some),
        _ if is_null(scanner)? => Ok(None),
        _ => Err(wrong(scanner, field, "a string or null")),
    }
}

/// A string, null, or a number taken as its digits.
pub(super) fn field_text<'a>(scanner: &mut Scanner<'a>, field: &'static str) -> Result<Option<Cow<'a, str>>, Error> {
    match scanner.peek() {
        Some(b'"') => Ok(Some(scanner.text()?.text())),
        Some(b'-' | b'0'..=b'9') => Ok(Some(String::from_utf8_lossy(scanner.value()?))),
        _ if is_null(scanner)? => Ok(None),
        _ => Err(wrong(scanner, field, "a string or null")),
    }
}

/// As [`field_text`]; Celery takes an empty time for none.
pub(super) fn field_time<'a>(scanner: &mut Scanner<'a>, field: &'static str) -> Result<Option<Cow<'a, str>>, Error> {
    Ok(field_text(scanner, field)?.filter(|text| !text.is_empty()))
}

pub(super) fn field_index(scanner: &mut Scanner<'_>, field: &'static str) -> Result<Option<u32>, Error> {
    let is_missing = is_null(&mut scanner.clone())?;
    field_retries(scanner, field).map(|index| (!is_missing).then_some(index))
}

pub(super) fn field_retries(scanner: &mut Scanner<'_>, field: &'static str) -> Result<u32, Error> {
    let at_value = scanner.clone();
    if is_null(scanner)? {
        return Ok(0);
    }
    std::str::from_utf8(scanner.value()?)
        .ok()
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| wrong(&at_value, field, "a whole number from 0 to 4294967295, or null"))
}

pub(super) fn field_timelimit(
    scanner: &mut Scanner<'_>,
    field: &'static str,
) -> Result<(Option<f64>, Option<f64>), Error> {
    const EXPECTED: &str = "[hard, soft], each seconds from 0 or null";
    if is_null(scanner)? {
        return Ok((None, None));
    }
    if scanner.peek() != Some(b'[') {
        return Err(wrong(scanner, field, EXPECTED));
    }
    let at_value = scanner.clone();
    let mut limits = [None; 2];
    let mut count = 0;
    scanner.array(|scanner| {
        let at_item = scanner.clone();
        let limit = if is_null(scanner)? {
            None
        } else {
            let seconds = std::str::from_utf8(scanner.value()?).ok();
            let seconds = seconds.and_then(|digits| digits.parse::<f64>().ok());
            let seconds = seconds.filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
            Some(seconds.ok_or_else(|| wrong(&at_item, field, EXPECTED))?)
        };
        if let Some(slot) = limits.get_mut(count) {
            *slot = limit.filter(|&seconds| seconds > 0.0);
        }
        count += 1;
        Ok(())
    })?;
    match count {
        0 | 2 => Ok((limits[0], limits[1])),
        _ => Err(wrong(&at_value, field, EXPECTED)),
    }
}

pub(super) fn field_bool(scanner: &mut Scanner<'_>, field: &'static str) -> Result<Option<bool>, Error> {
    let at_value = scanner.clone();
    match scanner.value()? {
        b"null" => Ok(None),
        b"true" | b"1" => Ok(Some(true)),
        b"false" | b"0" => Ok(Some(false)),
        _ => Err(wrong(&at_value, field, "true, false or null")),
    }
}

/// Python's `int(...)` of the value, clamped; 0 for what is no number.
pub(super) fn priority(raw: &[u8]) -> u8 {
    let digits = raw.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\""));
    let number = std::str::from_utf8(digits.unwrap_or(raw)).ok();
    let number = number.and_then(|digits| digits.trim().parse::<f64>().ok());
    // The cast saturates, and takes NaN for 0.
    number.map_or(0, |number| (number as u8).min(9))
}

/// Takes a null when there is one.
pub(super) fn is_null(scanner: &mut Scanner<'_>) -> Result<bool, Error> {
    let is_null = scanner.peek() == Some(b'n');
    if is_null {
        scanner.value()?;
    }
    Ok(is_null)
}

/// The error for the value that comes next.
#[cold]
pub(super) fn wrong(scanner: &Scanner<'_>, field: &'static str, expected: &'static str) -> Error {
    let mut scanner = scanner.clone();
    scanner.peek();
    Error::Field { field, offset: scanner.offset(), expected }
}

pub(super) fn is_true(raw: &[u8]) -> bool {
    matches!(raw, b"true" | b"1")
}
