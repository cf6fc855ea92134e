//! Python values to bytes: the same walk in the same order of questions as CPython's `json` encoder.

use fastworker_wire::json::write_text;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyMapping, PyString, PyTuple};
use pyo3::{ffi, intern};

use super::fault::{Fault, Outcome};
use super::form::{self, Form};
use super::recursion::Level;
use super::{number, text};

/// Appends `obj` as kombu's JSON: ASCII, with `", "` and `": "` between things. On an error `out` holds a beginning of
/// the text; the caller drops it.
///
/// # Errors
/// `TypeError`: JSON has no form for a value; the text names its type and the path to it. `ValueError`: a circular
/// reference. `RecursionError`: nested too deep. Whatever a `__json__` method or a registered encoder raises.
pub(crate) fn encode(py: Python<'_>, obj: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> PyResult<()> {
    let _attached = py;
    encode_named(obj, "", out)
}

/// As [`encode`], for a value that has a name: with `args`, a `TypeError` speaks of `args[0]['when']`.
pub(crate) fn encode_named(obj: &Bound<'_, PyAny>, name: &str, out: &mut Vec<u8>) -> PyResult<()> {
    let mut encoder = Encoder { out, depth: 0, ancestors: Vec::new() };
    encoder.value(obj).map_err(|fault| fault.into_error(name))
}

/// From this depth on ancestors are remembered. A circle passes any depth, so it is found all the same, and values that
/// are only a few levels deep (all of them, nearly) pay nothing.
const WATCHED_DEPTH: usize = 32;

struct Encoder<'out> {
    out: &'out mut Vec<u8>,
    depth: usize,
    /// The containers around the current value, by address, from [`WATCHED_DEPTH`] on.
    ancestors: Vec<*mut ffi::PyObject>,
}

impl Encoder<'_> {
    fn value(&mut self, obj: &Bound<'_, PyAny>) -> Outcome {
        if let Ok(text) = obj.cast_exact::<PyString>() {
            text::write(text, self.out)?;
        } else if obj.is_none() {
            self.out.extend_from_slice(b"null");
        } else if let Ok(number) = obj.cast_exact::<PyInt>() {
            number::write_int(number, self.out)?;
        } else if let Ok(map) = obj.cast_exact::<PyDict>() {
            self.nested(obj, |encoder| encoder.dict(map))?;
        } else if let Ok(list) = obj.cast::<PyList>() {
            self.nested(obj, |encoder| encoder.list(list))?;
        } else if let Ok(tuple) = obj.cast::<PyTuple>() {
            self.nested(obj, |encoder| encoder.tuple(tuple))?;
        } else if let Ok(flag) = obj.cast_exact::<PyBool>() {
            self.out.extend_from_slice(bool_text(flag.is_true()));
        } else if let Ok(text) = obj.cast::<PyString>() {
            text::write(text, self.out)?;
        } else if let Ok(number) = obj.cast::<PyInt>() {
            number::write_int(number, self.out)?;
        } else if let Ok(number) = obj.cast::<PyFloat>() {
            number::write_float(number, self.out);
        } else if let Ok(map) = obj.cast::<PyDict>() {
            self.nested(obj, |encoder| encoder.dict_subclass(map))?;
        } else {
            self.nested(obj, |encoder| encoder.other(obj))?;
        }
        Ok(())
    }

    /// Runs `encode` one level deeper.
    fn nested(&mut self, obj: &Bound<'_, PyAny>, encode: impl FnOnce(&mut Self) -> Outcome) -> Outcome {
        let _level = Level::enter(obj.py(), self.depth)?;
        let is_watched = self.depth >= WATCHED_DEPTH;
        if is_watched {
            if self.ancestors.contains(&obj.as_ptr()) {
                return Err(PyValueError::new_err("Circular reference detected").into());
            }
            self.ancestors.push(obj.as_ptr());
        }
        self.depth += 1;
        encode(self)?;
        self.depth -= 1;
        if is_watched {
            self.ancestors.pop();
        }
        Ok(())
    }

    fn list(&mut self, list: &Bound<'_, PyList>) -> Outcome {
        self.out.push(b'[');
        let mut index = 0;
        // Asked anew each time: an item's `__json__` may change the list.
        while index < list.len() {
            self.item(index, &list.get_item(index)?)?;
            index += 1;
        }
        self.out.push(b']');
        Ok(())
    }

    fn tuple(&mut self, tuple: &Bound<'_, PyTuple>) -> Outcome {
        self.out.push(b'[');
        for (index, item) in tuple.iter_borrowed().enumerate() {
            self.item(index, &item)?;
        }
        self.out.push(b']');
        Ok(())
    }

    #[inline]
    fn item(&mut self, index: usize, item: &Bound<'_, PyAny>) -> Outcome {
        if index > 0 {
            self.out.extend_from_slice(b", ");
        }
        self.value(item).map_err(|fault| fault.within(|| format!("[{index}]")))
    }

    fn dict(&mut self, map: &Bound<'_, PyDict>) -> Outcome {
        let py = map.py();
        self.out.push(b'{');
        let len = map.len();
        let (mut position, mut is_first) = (0, true);
        loop {
            let (mut key, mut value) = (std::ptr::null_mut(), std::ptr::null_mut());
            // SAFETY: `map` is a dict and `position` is only ever set by this call, which checks it against the
            // dict's present size, so a dict that changed in between is safe to ask (the interpreter lock is held).
            if unsafe { ffi::PyDict_Next(map.as_ptr(), &mut position, &mut key, &mut value) } == 0 {
                break;
            }
            // SAFETY: both are borrowed from the dict and alive now; these references keep them so while they are
            // encoded, which may run Python code that removes them from the dict.
            let (key, value) = unsafe { (Bound::from_borrowed_ptr(py, key), Bound::from_borrowed_ptr(py, value)) };
            self.member(&key, &value, is_first)?;
            is_first = false;
            if map.len() != len {
                let text = "dictionary changed size while it was encoded";
                return Err(PyRuntimeError::new_err(text).into());
            }
        }
        self.out.push(b'}');
        Ok(())
    }

    /// A subclass may have an `items` of its own (Celery's signatures do), and `json` asks it.
    fn dict_subclass(&mut self, map: &Bound<'_, PyDict>) -> Outcome {
        self.out.push(b'{');
        if !map.is_empty() {
            let items = map.as_any().cast::<PyMapping>().map_err(PyErr::from)?.items()?;
            for (index, item) in items.iter().enumerate() {
                let pair = item.cast_into::<PyTuple>().ok().filter(|pair| pair.len() == 2);
                let pair = pair.ok_or_else(|| PyValueError::new_err("items must return 2-tuples"))?;
                self.member(&pair.get_item(0)?, &pair.get_item(1)?, index == 0)?;
            }
        }
        self.out.push(b'}');
        Ok(())
    }

    #[inline]
    fn member(&mut self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>, is_first: bool) -> Outcome {
        if !is_first {
            self.out.extend_from_slice(b", ");
        }
        match key.cast::<PyString>() {
            Ok(text) => text::write(text, self.out)?,
            Err(_) => self.other_key(key)?,
        }
        self.out.extend_from_slice(b": ");
        self.value(value).map_err(|fault| fault.within(|| step(key)))
    }

    /// A key that is no string becomes one, where `json` does so.
    fn other_key(&mut self, key: &Bound<'_, PyAny>) -> Outcome {
        self.out.push(b'"');
        if let Ok(number) = key.cast::<PyFloat>() {
            number::write_float(number, self.out);
        } else if let Ok(flag) = key.cast_exact::<PyBool>() {
            self.out.extend_from_slice(bool_text(flag.is_true()));
        } else if key.is_none() {
            self.out.extend_from_slice(b"null");
        } else if let Ok(number) = key.cast::<PyInt>() {
            number::write_int(number, self.out)?;
        } else {
            let kind = key.get_type().name()?;
            let text = format!("keys must be str, int, float, bool or None, not {kind}");
            return Err(Fault::no_form(text));
        }
        self.out.push(b'"');
        Ok(())
    }

    /// What JSON has no form for: kombu's `default`.
    fn other(&mut self, obj: &Bound<'_, PyAny>) -> Outcome {
        match form::form(obj)? {
            Form::Plain(replacement) => self.value(&replacement),
            Form::Typed(marker, value) => {
                self.open_typed(&marker);
                self.value(&value)?;
                self.out.push(b'}');
                Ok(())
            }
            Form::None => {
                let kind = obj.getattr(intern!(obj.py(), "__class__"))?;
                let kind = kind.getattr(intern!(obj.py(), "__name__"))?;
                Err(Fault::no_form(format!("Object of type {kind} is not JSON serializable")))
            }
        }
    }

    fn open_typed(&mut self, marker: &str) {
        self.out.extend_from_slice(br#"{"__type__": "#);
        write_text(marker, self.out);
        self.out.extend_from_slice(br#", "__value__": "#);
    }
}

fn bool_text(flag: bool) -> &'static [u8] {
    if flag { b"true" } else { b"false" }
}

/// A key as a step of a path; its `repr`, or a mark when that fails too.
fn step(key: &Bound<'_, PyAny>) -> String {
    match key.repr() {
        Ok(repr) => format!("[{repr}]"),
        Err(_) => "[<key>]".to_owned(),
    }
}
