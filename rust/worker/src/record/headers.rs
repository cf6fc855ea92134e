//! The two headers of a bench's messages, found without parsing the rest.
//!
//! `"fw-intended": 1764192000000000` is when it was meant to be published, Unix time in microseconds; `"fw-number":
//! "0000000042"` counts the messages of a run. Inside a JSON text a quote is escaped, so the names with their quotes and
//! the colon cannot be met anywhere but as keys.

use std::sync::LazyLock;

use memchr::memmem::{Finder, FinderRev};

/// Both keys begin so. A generator's headers come last: they are looked for from behind.
static OURS: LazyLock<FinderRev<'static>> = LazyLock::new(|| FinderRev::new(b"\"fw-"));
const PREFIX: usize = 4;
static RETRIES: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"retries\":"));

/// What they say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) intended_us: Option<i64>,
    pub(crate) number: Option<u32>,
}

/// Reads them. A retry has its first try's headers, and waited for something else: it has none for us but its number.
pub(crate) fn read(headers: &[u8]) -> Found {
    let (mut intended, mut number, mut before) = (None, None, headers);
    while (intended.is_none() || number.is_none())
        && let Some(at) = OURS.rfind(before)
    {
        let key = &headers[at + PREFIX..];
        intended = intended.or_else(|| number_after(key, b"intended\":"));
        number = number.or_else(|| number_after(key, b"number\":"));
        before = &before[..at];
    }
    let Some(intended) = intended else { return Found::default() };
    let retries = RETRIES.find(headers).and_then(|at| number_after(&headers[at..], RETRIES.needle()));
    let is_retry = retries.is_some_and(|retries| retries > 0);
    Found {
        intended_us: i64::try_from(intended).ok().filter(|_| !is_retry),
        number: number.and_then(|number| u32::try_from(number).ok()),
    }
}

/// The digits after a key, quoted or not; `None`: another key begins there, or none follow.
fn number_after(text: &[u8], key: &[u8]) -> Option<u64> {
    let rest = text.strip_prefix(key)?;
    let start = rest.iter().position(|byte| !matches!(byte, b' ' | b'"'))?;
    let digits = rest[start..].iter().take_while(|byte| byte.is_ascii_digit());
    let mut value = None::<u64>;
    for digit in digits {
        value = Some(value.unwrap_or(0).checked_mul(10)?.checked_add(u64::from(digit - b'0'))?);
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_are_found_wherever_they_stand() {
        let headers = br#"{"retries": 0, "fw-intended":1764192000000001, "argsrepr": "(\"fw-number\": 7)", "fw-number": "0000000042", "shadow": "fw-number"}"#;
        assert_eq!(read(headers), Found { intended_us: Some(1_764_192_000_000_001), number: Some(42) });
    }

    #[test]
    fn a_retry_has_a_number_only() {
        let headers = br#"{"fw-intended": 5, "fw-number": "1", "retries": 2}"#;
        assert_eq!(read(headers), Found { intended_us: None, number: Some(1) });
    }

    #[test]
    fn what_is_no_number_is_not_there() {
        for headers in
            [&b"{}"[..], br#"{"fw-intended": null}"#, br#"{"fw-intended": 99999999999999999999}"#, b"\"fw-intended\":"]
        {
            assert_eq!(read(headers), Found::default());
        }
    }
}
