//! Fuzz targets: every parser of bytes that come from outside, and what must hold of any bytes at all.
//!
//! A target takes bytes and panics when a promise is broken: a parser that panics, reads what another refuses, or does
//! not read back what we write. `cargo test` gives each a few thousand mutations of the corpus, the same ones every
//! time; `make fuzz` gives it many more, from a seed of one's choice (`tests/briefly.rs`).

mod corpus;
mod mutate;
mod targets;

pub use corpus::{corpus, golden};
pub use mutate::Mutator;
pub use targets::{TARGETS, Target};
