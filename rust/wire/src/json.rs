//! JSON as Python's `json` module reads and writes it, over bytes.
//!
//! Celery's messages are written by many producers, and the reader that they were tested against is Python's. So this
//! one takes what that one takes: bare `NaN` and `Infinity`, repeated keys (the last one counts), lone surrogate
//! escapes, any nesting up to [`MAX_DEPTH`]; and it refuses what that one refuses: raw control characters in strings,
//! trailing commas, leading zeros. It builds no tree. [`Scanner`] walks over the bytes once and hands out slices, which
//! is all that a message on its way to a child needs.

mod escape;
mod number;
mod run;
mod scan;
mod skip;
mod text;

pub use escape::{write_code_point, write_text};
pub use number::{write_float, write_int};
pub use run::plain_run;
pub use scan::Scanner;
pub use skip::MAX_DEPTH;
pub use text::RawText;
