//! Station 6: the processes that run tasks, and the one that forks them.

mod child;
mod kind;
mod memory;
mod readable;
mod zygote;

pub(crate) use child::{Child, SocketFact};
pub use kind::Pool;
pub(crate) use memory::peak_kib;
pub(crate) use zygote::{Zygote, ZygoteFact};
