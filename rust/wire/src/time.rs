//! Times as Celery writes them (`eta`, `expires`, `date_done`), and as Python reads them. No clock: callers bring the
//! time.

mod calendar;
mod iso;

pub use iso::{iso_utc, parse_iso_ms};
