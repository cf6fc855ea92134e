//! What a worker and one of its children share: a page of memory with a ring behind it.
//!
//! The page says which tasks the child may start (`claim`), which one it runs and since when (`running`). The ring
//! carries what the child reports. Both live in a memfd, so a child that dies in the middle of anything leaves behind
//! exactly what it had finished writing: outcomes survive a `kill -9` that hits the very next instruction.

mod atomic;
mod claim;
#[cfg(not(loom))]
mod memory;
#[cfg(loom)]
#[path = "memory_model.rs"]
mod memory;
#[cfg(all(test, loom))]
mod model;
#[cfg(not(loom))]
mod page;
mod ring;
mod running;

pub use claim::Claim;
#[cfg(not(loom))]
pub use page::Page;
