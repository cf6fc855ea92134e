//! Python's strings and JSON's.

use fastworker_wire::json::{RawText, plain_run, write_code_point};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyStringData};

/// Appends a string with its quotes, ASCII-escaped; a lone surrogate becomes its escape.
#[inline]
pub(super) fn write(text: &Bound<'_, PyString>, out: &mut Vec<u8>) -> PyResult<()> {
    out.push(b'"');
    // SAFETY: a string never changes, and `text` keeps it alive while its data is borrowed.
    match unsafe { text.data() }? {
        PyStringData::Ucs1(latin1) => write_latin1(latin1, out),
        PyStringData::Ucs2(units) => units.iter().for_each(|&code| write_code_point(code.into(), out)),
        PyStringData::Ucs4(codes) => codes.iter().for_each(|&code| write_code_point(code, out)),
    }
    out.push(b'"');
    Ok(())
}

#[inline]
fn write_latin1(mut text: &[u8], out: &mut Vec<u8>) {
    loop {
        let (plain, special) = text.split_at(plain_run(text));
        out.extend_from_slice(plain);
        let Some((&code, rest)) = special.split_first() else {
            return;
        };
        write_code_point(code.into(), out);
        text = rest;
    }
}

/// Makes a Python string of what the scanner found; a lone surrogate stays one.
#[inline]
pub(super) fn read<'py>(py: Python<'py>, raw: RawText<'_>) -> PyResult<Bound<'py, PyString>> {
    let bytes = raw.bytes();
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(PyString::new(py, text)),
        Err(_) => from_wtf8(py, &bytes),
    }
}

/// UTF-8 in which a lone surrogate is written as its three bytes.
#[cold]
pub(super) fn to_wtf8(text: &Bound<'_, PyString>) -> PyResult<Vec<u8>> {
    let bytes = text.call_method1("encode", ("utf-8", "surrogatepass"))?;
    Ok(bytes.cast::<PyBytes>()?.as_bytes().to_vec())
}

#[cold]
fn from_wtf8<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
    PyString::from_encoded_object(PyBytes::new(py, bytes).as_any(), Some(c"utf-8"), Some(c"surrogatepass"))
}
