//! Why a value could not be encoded, and where in it.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

/// What stopped the encoder. Boxed, so that the happy path passes one word up through every level.
pub(super) type Outcome = Result<(), Box<Fault>>;

pub(super) enum Fault {
    /// A Python exception (from `__json__`, an encoder, the recursion limit), passed on as it is.
    Raised(PyErr),
    /// JSON has no form for a value; the path to it is gathered on the way out, innermost step first.
    NoForm { text: String, path: Vec<String> },
}

impl From<PyErr> for Box<Fault> {
    #[cold]
    fn from(error: PyErr) -> Self {
        Box::new(Fault::Raised(error))
    }
}

impl Fault {
    #[cold]
    pub(super) fn no_form(text: String) -> Box<Self> {
        Box::new(Self::NoForm { text, path: Vec::new() })
    }

    /// Adds the step that leads to the value: `[0]` or `['when']`.
    #[cold]
    pub(super) fn within(mut self: Box<Self>, step: impl FnOnce() -> String) -> Box<Self> {
        if let Self::NoForm { path, .. } = &mut *self {
            path.push(step());
        }
        self
    }

    /// The exception for the caller. `root` names the outermost value (`args`); empty leaves it nameless.
    #[cold]
    pub(super) fn into_error(self, root: &str) -> PyErr {
        match self {
            Self::Raised(error) => error,
            Self::NoForm { text, path } => {
                let steps: String = path.iter().rev().map(String::as_str).collect();
                let place = match format!("{root}{steps}") {
                    place if place.is_empty() => place,
                    place => format!(": {place}"),
                };
                PyTypeError::new_err(format!("{text}{place}"))
            }
        }
    }
}
