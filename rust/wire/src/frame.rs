//! Writing and reading the fields of a frame.

/// A frame that no honest peer of this version writes.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It is shorter than its fields.
    #[error("frame ends at byte {offset} inside {field}")]
    Short {
        /// Where the field begins.
        offset: usize,
        /// Which field.
        field: &'static str,
    },
    /// A text is not UTF-8.
    #[error("{field} at byte {offset} is not UTF-8")]
    NotText {
        /// Where the field begins.
        offset: usize,
        /// Which field.
        field: &'static str,
    },
    /// A tag that this version does not know.
    #[error("unknown {what} {tag} (worker and child are of different versions: restart the worker)")]
    Unknown {
        /// What the tag distinguishes.
        what: &'static str,
        /// The tag.
        tag: u8,
    },
}

pub(crate) struct Writer<'a>(pub(crate) &'a mut Vec<u8>);

impl Writer<'_> {
    pub(crate) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) {
        self.u32(value.len() as u32);
        self.0.extend_from_slice(value);
    }
}

pub(crate) struct Reader<'a> {
    frame: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(frame: &'a [u8]) -> Reader<'a> {
        Reader { frame, at: 0 }
    }

    fn take(&mut self, len: usize, field: &'static str) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.frame.len());
        let end = end.ok_or(Malformed::Short { offset: self.at, field })?;
        let bytes = &self.frame[self.at..end];
        self.at = end;
        Ok(bytes)
    }

    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, Malformed> {
        Ok(self.take(1, field)?[0])
    }

    pub(crate) fn u32(&mut self, field: &'static str) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.take(4, field)?.try_into().expect("four bytes were taken")))
    }

    pub(crate) fn u64(&mut self, field: &'static str) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.take(8, field)?.try_into().expect("eight bytes were taken")))
    }

    pub(crate) fn bytes(&mut self, field: &'static str) -> Result<&'a [u8], Malformed> {
        let len = self.u32(field)? as usize;
        self.take(len, field)
    }

    pub(crate) fn text(&mut self, field: &'static str) -> Result<&'a str, Malformed> {
        let offset = self.at;
        std::str::from_utf8(self.bytes(field)?).map_err(|_| Malformed::NotText { offset, field })
    }

    pub(crate) fn unknown(&self, what: &'static str, tag: u8) -> Malformed {
        Malformed::Unknown { what, tag }
    }
}
