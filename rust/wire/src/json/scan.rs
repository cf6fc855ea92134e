//! The walk over the bytes: one pass, no recursion, no allocation.

use crate::Error;
use crate::json::{RawText, run};

/// A position in JSON text. Each method reads one thing, leaves the position behind it, and fails with the offset of
/// the first byte that does not fit.
#[derive(Clone, Debug)]
pub struct Scanner<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) position: usize,
}

impl<'a> Scanner<'a> {
    /// Begins at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Begins at `offset`, which must lie between two values. Offsets in errors still count from the start.
    pub fn at(bytes: &'a [u8], offset: usize) -> Self {
        Self { bytes, position: offset }
    }

    /// Where the next read begins, in bytes from the start.
    pub fn offset(&self) -> usize {
        self.position
    }

    /// Skips white space, then shows the next byte without taking it. `None` at the end.
    #[inline]
    pub fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.bytes.get(self.position)?;
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.position += 1;
        }
    }

    /// Checks that nothing but white space follows.
    pub fn end(&mut self) -> Result<(), Error> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.error("the end of the text")),
        }
    }

    /// Walks one value of any kind and returns its bytes, exactly as written.
    pub fn value(&mut self) -> Result<&'a [u8], Error> {
        let first = self.peek();
        let start = self.position;
        match first {
            Some(b'"') => drop(self.text()?),
            Some(b'{' | b'[') => self.skip_container()?,
            _ => self.skip_scalar()?,
        }
        Ok(&self.bytes[start..self.position])
    }

    /// Walks one object, calling `on_member` with each key; `on_member` must take exactly the key's value.
    /// Repeated keys are reported each time: a caller that lets the later one overwrite does as Python does.
    pub fn object(
        &mut self,
        mut on_member: impl FnMut(RawText<'a>, &mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.take(b'{', "an object")?;
        if self.peek() == Some(b'}') {
            self.position += 1;
            return Ok(());
        }
        loop {
            let key = self.key()?;
            on_member(key, self)?;
            match self.peek() {
                Some(b',') => self.position += 1,
                Some(b'}') => {
                    self.position += 1;
                    return Ok(());
                }
                _ => return Err(self.error("',' or '}'")),
            }
        }
    }

    /// Walks one array, calling `on_item` before each item; `on_item` must take exactly that item.
    pub fn array(&mut self, mut on_item: impl FnMut(&mut Self) -> Result<(), Error>) -> Result<(), Error> {
        self.take(b'[', "an array")?;
        if self.peek() == Some(b']') {
            self.position += 1;
            return Ok(());
        }
        loop {
            on_item(self)?;
            match self.peek() {
                Some(b',') => self.position += 1,
                Some(b']') => {
                    self.position += 1;
                    return Ok(());
                }
                _ => return Err(self.error("',' or ']'")),
            }
        }
    }

    /// Walks one string.
    #[inline]
    pub fn text(&mut self) -> Result<RawText<'a>, Error> {
        self.take(b'"', "a string")?;
        let start = self.position;
        let mut has_escapes = false;
        loop {
            self.position += run::unescaped(&self.bytes[self.position..]);
            match self.bytes.get(self.position) {
                Some(b'"') => {
                    let raw = &self.bytes[start..self.position];
                    self.position += 1;
                    return Ok(RawText::new(raw, start, has_escapes));
                }
                Some(b'\\') => {
                    has_escapes = true;
                    self.skip_escape()?;
                }
                Some(_) => return Err(self.error("no raw control character in a string")),
                None => return Err(self.error("'\"' at the end of the string")),
            }
        }
    }

    #[cold]
    fn skip_escape(&mut self) -> Result<(), Error> {
        self.position += 1;
        match self.bytes.get(self.position) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.position += 1,
            Some(b'u') => {
                self.position += 1;
                for _ in 0..4 {
                    match self.bytes.get(self.position) {
                        Some(digit) if digit.is_ascii_hexdigit() => self.position += 1,
                        _ => return Err(self.error("four hexadecimal digits after \\u")),
                    }
                }
            }
            _ => return Err(self.error("one of \"\\/bfnrtu after a backslash")),
        }
        Ok(())
    }

    /// Walks a key and the colon behind it.
    #[inline]
    pub fn key(&mut self) -> Result<RawText<'a>, Error> {
        if self.peek() != Some(b'"') {
            return Err(self.error("a key in double quotes"));
        }
        let key = self.text()?;
        self.take(b':', "':' after a key")?;
        Ok(key)
    }

    /// Takes one byte of punctuation; `expected` names it in the error.
    #[inline]
    pub fn take(&mut self, byte: u8, expected: &'static str) -> Result<(), Error> {
        if self.peek() != Some(byte) {
            return Err(self.error(expected));
        }
        self.position += 1;
        Ok(())
    }

    /// The error for what comes next: `expected` says, in a few words, what would have fitted there.
    #[cold]
    pub fn error(&self, expected: &'static str) -> Error {
        Error::Json { offset: self.position, expected }
    }
}
