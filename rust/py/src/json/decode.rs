//! Bytes to Python values, as `json.loads` with kombu's object hook.

use fastworker_wire::Error;
use fastworker_wire::json::{RawText, Scanner};
use pyo3::exceptions::{PyUnicodeDecodeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyList, PyString};

use super::keys::Keys;
use super::recursion::Level;
use super::{form, number, text};

/// Reads kombu's JSON from UTF-8.
///
/// # Errors
/// `json.JSONDecodeError` (a `ValueError`) with the place; `UnicodeDecodeError` (one too); `ValueError` for an unknown
/// `__type__`; whatever a type's decoder raises; `RecursionError` when nested too deep.
pub(crate) fn decode<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    match std::str::from_utf8(data) {
        Ok(_) => decode_text(py, data),
        Err(error) => Err(PyErr::from_value(PyUnicodeDecodeError::new_utf8(py, data, error)?.into_any())),
    }
}

/// As [`decode`], for text that is known to be Unicode, or is a Python string with lone surrogates in it.
pub(super) fn decode_text<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    let mut decoder = Decoder { py, data, scanner: Scanner::new(data), keys: Keys::borrow(), depth: 0 };
    let value = decoder.value();
    let whole = value.and_then(|value| decoder.scanner.end().map(|()| value).map_err(Fault::from));
    drop(decoder);
    whole.map_err(|fault| match fault {
        Fault::Text(error) => syntax_error(py, data, &error),
        Fault::Raised(error) => error,
    })
}

enum Fault {
    Text(Error),
    Raised(PyErr),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Text(error)
    }
}

impl From<PyErr> for Fault {
    fn from(error: PyErr) -> Self {
        Self::Raised(error)
    }
}

struct Decoder<'py, 'data> {
    py: Python<'py>,
    data: &'data [u8],
    scanner: Scanner<'data>,
    keys: Keys,
    depth: usize,
}

impl<'py, 'data> Decoder<'py, 'data> {
    fn value(&mut self) -> Result<Bound<'py, PyAny>, Fault> {
        match self.scanner.peek() {
            Some(b'"') => {
                let raw = self.scanner.text()?;
                Ok(text::read(self.py, raw)?.into_any())
            }
            Some(b'{') => self.nested(Self::dict),
            Some(b'[') => self.nested(Self::list),
            _ => self.scalar(),
        }
    }

    fn nested(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<Bound<'py, PyAny>, Fault>,
    ) -> Result<Bound<'py, PyAny>, Fault> {
        let _level = Level::enter(self.py, self.depth)?;
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn list(&mut self) -> Result<Bound<'py, PyAny>, Fault> {
        let list = PyList::empty(self.py);
        self.scanner.take(b'[', "an array")?;
        if self.scanner.peek() == Some(b']') {
            self.scanner.take(b']', "']'")?;
            return Ok(list.into_any());
        }
        loop {
            list.append(self.value()?)?;
            if self.scanner.peek() == Some(b',') {
                self.scanner.take(b',', "','")?;
            } else {
                self.scanner.take(b']', "',' or ']'")?;
                return Ok(list.into_any());
            }
        }
    }

    fn dict(&mut self) -> Result<Bound<'py, PyAny>, Fault> {
        let map = PyDict::new(self.py);
        self.scanner.take(b'{', "an object")?;
        if self.scanner.peek() == Some(b'}') {
            self.scanner.take(b'}', "'}'")?;
            return Ok(map.into_any());
        }
        let mut has_type = false;
        loop {
            let raw = self.scanner.key()?;
            let (key, is_type) = self.key(raw)?;
            has_type |= is_type;
            map.set_item(key, self.value()?)?;
            if self.scanner.peek() == Some(b',') {
                self.scanner.take(b',', "','")?;
            } else {
                self.scanner.take(b'}', "',' or '}'")?;
                break;
            }
        }
        if has_type && map.len() == 2 {
            let kind = map.get_item(intern!(self.py, "__type__"))?;
            let value = map.get_item(intern!(self.py, "__value__"))?;
            if let (Some(kind), Some(value)) = (kind, value) {
                return Ok(form::restore(&kind, &value)?);
            }
        }
        Ok(map.into_any())
    }

    /// A key, and whether it is `__type__`.
    #[inline]
    fn key(&mut self, raw: RawText<'data>) -> PyResult<(Bound<'py, PyString>, bool)> {
        let name = raw.bytes();
        let is_type = *name == *b"__type__";
        match self.keys.get(self.py, &name) {
            Some(key) => Ok((key, is_type)),
            None => Ok((text::read(self.py, raw)?, is_type)),
        }
    }

    fn scalar(&mut self) -> Result<Bound<'py, PyAny>, Fault> {
        let py = self.py;
        let start = self.scanner.offset();
        self.scanner.value()?;
        let raw = &self.data[start..self.scanner.offset()];
        Ok(match raw {
            b"null" => py.None().into_bound(py),
            b"true" => PyBool::new(py, true).to_owned().into_any(),
            b"false" => PyBool::new(py, false).to_owned().into_any(),
            _ => number::read(py, raw)?,
        })
    }
}

/// `json.JSONDecodeError`, whose place counts characters.
#[cold]
fn syntax_error(py: Python<'_>, data: &[u8], error: &Error) -> PyErr {
    let (reason, offset) = match error {
        Error::Json { offset, expected } => (format!("Expected {expected}"), *offset),
        other => return PyValueError::new_err(other.to_string()),
    };
    let raise = || {
        let text = String::from_utf8_lossy(data);
        let place = String::from_utf8_lossy(&data[..offset]).chars().count();
        let class = py.import("json")?.getattr("JSONDecodeError")?;
        class.call1((reason, text, place)).map(PyErr::from_value)
    };
    raise().unwrap_or_else(|error| error)
}
