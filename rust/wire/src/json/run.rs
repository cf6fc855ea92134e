//! How far text goes without an interruption, eight bytes at a time.
//!
//! A table lookup per byte cost twice as much on a real message, and `memchr` more than it saved on strings as short as
//! a message's keys.

const WORD: usize = 8;
const ONES: u64 = u64::from_le_bytes([0x01; WORD]);
const HIGHS: u64 = u64::from_le_bytes([0x80; WORD]);

/// How many bytes of JSON text come before a quote, a backslash or a control character.
#[inline]
pub(super) fn unescaped(bytes: &[u8]) -> usize {
    run(bytes, interrupts_reading, |byte| byte < b' ' || byte == b'"' || byte == b'\\')
}

/// How many bytes at the start of `text` stand in JSON as they are: printable ASCII but for quote and backslash. The
/// rest goes through [`super::write_code_point`], one character at a time.
#[inline]
pub fn plain_run(text: &[u8]) -> usize {
    let needs_escape = |byte| !matches!(byte, b' '..=b'~') || byte == b'"' || byte == b'\\';
    run(text, |word| interrupts_reading(word) | below(word ^ (ONES * 0x7F), 1) | word, needs_escape)
}

#[inline]
fn run(bytes: &[u8], interrupts: impl Fn(u64) -> u64, is_interrupt: impl Fn(u8) -> bool) -> usize {
    let mut position = 0;
    while let Some(word) = bytes[position..].first_chunk::<WORD>() {
        let found = interrupts(u64::from_le_bytes(*word)) & HIGHS;
        if found != 0 {
            return position + (found.trailing_zeros() / u8::BITS) as usize;
        }
        position += WORD;
    }
    let rest = bytes[position..].iter().position(|&byte| is_interrupt(byte));
    rest.map_or(bytes.len(), |index| position + index)
}

/// The high bit of a byte says that it ends the run. Bits above the lowest one set may be false alarms (a borrow
/// travels upwards), so only the lowest counts.
#[inline]
fn interrupts_reading(word: u64) -> u64 {
    let quote = below(word ^ (ONES * u64::from(b'"')), 1);
    let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
    quote | backslash | below(word, b' ')
}

/// The high bit of each byte that is ASCII and below `limit`.
#[inline]
fn below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(ONES * u64::from(limit)) & !word
}
