//! Station 6: the processes that run tasks, and the one that forks them.

mod child;
mod death;
mod kind;
mod memory;
mod oom;
mod readable;
mod stacks;
mod zygote;

pub(crate) use child::{Child, SocketFact, Unburied};
pub(crate) use death::Death;
pub use kind::Pool;
pub(crate) use memory::peak_kib;
pub(crate) use oom::OomWatch;
pub(crate) use zygote::{Zygote, ZygoteFact};
