//! A string found by the scanner, and what it says once its escapes are resolved.

use std::borrow::Cow;

/// The bytes between two quotes, not yet unescaped. Only the scanner makes one, so its escapes are known to be valid.
#[derive(Clone, Copy, Debug)]
pub struct RawText<'a> {
    raw: &'a [u8],
    offset: usize,
    has_escapes: bool,
}

impl<'a> RawText<'a> {
    pub(super) fn new(raw: &'a [u8], offset: usize, has_escapes: bool) -> Self {
        Self { raw, offset, has_escapes }
    }

    /// Where the text begins (behind the quote), in bytes from the start of the message.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The text for a person or for a comparison of names. What is not Unicode (a lone surrogate, invalid UTF-8)
    /// becomes U+FFFD, as in kombu's own reading; the message itself keeps the exact bytes.
    pub fn text(&self) -> Cow<'a, str> {
        match self.bytes() {
            Cow::Borrowed(plain) => String::from_utf8_lossy(plain),
            Cow::Owned(bytes) => Cow::Owned(replace_invalid(bytes)),
        }
    }

    /// The text in UTF-8 without loss: a lone surrogate is written as its three bytes (Python's `surrogatepass`).
    #[inline]
    pub fn bytes(&self) -> Cow<'a, [u8]> {
        if self.has_escapes { Cow::Owned(unescape(self.raw)) } else { Cow::Borrowed(self.raw) }
    }
}

fn replace_invalid(bytes: Vec<u8>) -> String {
    let bytes = match String::from_utf8(bytes) {
        Ok(text) => return text,
        Err(error) => error.into_bytes(),
    };
    // One mark for a surrogate's three bytes, not one for each.
    let mut marked = Vec::with_capacity(bytes.len());
    let mut rest = bytes.as_slice();
    while let Some((&first, tail)) = rest.split_first() {
        if let [0xED, 0xA0..=0xBF, 0x80..=0xBF, ..] = rest {
            marked.extend_from_slice("\u{FFFD}".as_bytes());
            rest = &rest[3..];
        } else {
            marked.push(first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&marked).into_owned()
}

fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(plain) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..plain]);
        let escape = rest[plain + 1];
        rest = &rest[plain + 2..];
        match escape {
            b'b' => out.push(0x08),
            b'f' => out.push(0x0C),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'u' => rest = push_code_unit(rest, &mut out),
            quote_backslash_or_slash => out.push(quote_backslash_or_slash),
        }
    }
    out.extend_from_slice(rest);
    out
}

/// Resolves what follows `\u`, taking the second half of a surrogate pair along. Returns what is behind it.
fn push_code_unit<'a>(digits: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let (unit, mut rest) = (hex(&digits[..4]), &digits[4..]);
    let mut code = unit;
    if (0xD800..0xDC00).contains(&unit)
        && rest.starts_with(b"\\u")
        && let low @ 0xDC00..0xE000 = hex(&rest[2..6])
    {
        code = 0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
        rest = &rest[6..];
    }
    match char::from_u32(code) {
        Some(character) => {
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        None => out.extend_from_slice(&[
            0xE0 | (code >> 12) as u8,
            0x80 | (code >> 6 & 0x3F) as u8,
            0x80 | (code & 0x3F) as u8,
        ]),
    }
    rest
}

fn hex(digits: &[u8]) -> u32 {
    digits.iter().fold(0, |value, &digit| {
        let nibble = (digit as char).to_digit(16);
        value << 4 | nibble.expect("the scanner has checked the digits of every \\u")
    })
}
