//! Walking over values that nobody asked about.

use super::scan::Scanner;
use crate::Error;

/// How deep a message may nest. Python stops near 1,000 (its recursion limit); Celery's own headers use four levels,
/// so this bound only keeps an attacker's `[[[[…` from costing more than its own length.
pub const MAX_DEPTH: usize = 512;

impl Scanner<'_> {
    /// Walks a container without recursion: one bit per open level says whether it is an object.
    pub(super) fn skip_container(&mut self) -> Result<(), Error> {
        let mut open = OpenLevels::default();
        loop {
            match self.peek() {
                Some(b'"') => drop(self.text()?),
                Some(bracket @ (b'{' | b'[')) => {
                    let is_object = bracket == b'{';
                    if !open.push(is_object) {
                        let (offset, limit) = (self.position, MAX_DEPTH);
                        return Err(Error::TooDeep { offset, limit });
                    }
                    self.position += 1;
                    // `}` is `{` + 2 and `]` is `[` + 2.
                    if self.peek() != Some(bracket + 2) {
                        if is_object {
                            self.key()?;
                        }
                        continue;
                    }
                    self.position += 1;
                    open.pop();
                }
                _ => self.skip_scalar()?,
            }
            loop {
                let Some(is_object) = open.innermost() else {
                    return Ok(());
                };
                match self.peek() {
                    Some(b',') => {
                        self.position += 1;
                        if is_object {
                            self.key()?;
                        }
                        break;
                    }
                    Some(b'}') if is_object => self.position += 1,
                    Some(b']') if !is_object => self.position += 1,
                    _ if is_object => return Err(self.error("',' or '}'")),
                    _ => return Err(self.error("',' or ']'")),
                }
                open.pop();
            }
        }
    }

    pub(super) fn skip_scalar(&mut self) -> Result<(), Error> {
        let rest = &self.bytes[self.position..];
        for literal in [b"null".as_slice(), b"true", b"false", b"NaN", b"Infinity", b"-Infinity"] {
            if rest.starts_with(literal) {
                self.position += literal.len();
                return Ok(());
            }
        }
        self.skip_number()
    }

    fn skip_number(&mut self) -> Result<(), Error> {
        let start = self.position;
        let sign = usize::from(self.bytes.get(start) == Some(&b'-'));
        let digits = self.digits_at(start + sign);
        if digits == 0 {
            return Err(self.error("a value"));
        }
        // A leading zero stands alone: what follows it is then refused by whoever expected a comma.
        let is_zero_first = self.bytes[start + sign] == b'0';
        self.position = start + sign + if is_zero_first { 1 } else { digits };
        if self.bytes.get(self.position) == Some(&b'.') {
            let fraction = self.digits_at(self.position + 1);
            if fraction > 0 {
                self.position += 1 + fraction;
            }
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.position) {
            let has_sign = matches!(self.bytes.get(self.position + 1), Some(b'+' | b'-'));
            let exponent_at = self.position + 1 + usize::from(has_sign);
            let exponent = self.digits_at(exponent_at);
            if exponent > 0 {
                self.position = exponent_at + exponent;
            }
        }
        Ok(())
    }

    fn digits_at(&self, offset: usize) -> usize {
        let rest = self.bytes.get(offset..).unwrap_or_default();
        rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
    }
}

/// The containers that are open around the current position, outermost first.
struct OpenLevels {
    is_object: [u64; MAX_DEPTH / 64],
    depth: usize,
}

impl Default for OpenLevels {
    fn default() -> Self {
        Self { is_object: [0; MAX_DEPTH / 64], depth: 0 }
    }
}

impl OpenLevels {
    /// False when there is no room for another one.
    fn push(&mut self, is_object: bool) -> bool {
        let Some(word) = self.is_object.get_mut(self.depth / 64) else {
            return false;
        };
        let bit = 1 << (self.depth % 64);
        *word = if is_object { *word | bit } else { *word & !bit };
        self.depth += 1;
        true
    }

    fn pop(&mut self) {
        self.depth -= 1;
    }

    fn innermost(&self) -> Option<bool> {
        let index = self.depth.checked_sub(1)?;
        Some(self.is_object[index / 64] >> (index % 64) & 1 == 1)
    }
}
