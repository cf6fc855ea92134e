//! The broker and result store in the memory of this process, for tests.
//!
//! A *room* holds everything of one name: `memory://` is one room, `memory://orders` another. All connections of the
//! process with the same name are in the same room, whatever their thread, so that a client and a worker in a thread
//! see the same queues. It keeps every promise of the contract but one: a room ends with its process, and no other
//! process can enter it. A process that was forked from the one that made a room is told so at its first call, since
//! what it would publish into its copy of the memory nobody would ever run.
//!
//! | file | holds |
//! | --- | --- |
//! | `room` | the rooms of this process, by name |
//! | `state` | what is in a room, and every move from one place to another: under one lock, so atomic |
//! | `fetch` | from queues to a lease |
//! | `lane` | shared rate limits; what waits for a permit |
//! | `parked` | what is not due yet |
//! | `dead`, `results` | dead letters; result documents |
//! | `broker`, `client`, `result_client` | the faces of a room |

mod broker;
mod chord;
mod client;
mod control;
mod dead;
mod event;
mod fanout;
mod fetch;
mod holds;
mod lane;
mod parked;
mod result_client;
mod results;
mod room;
mod state;
mod url;

pub use broker::{MemoryBroker, MemoryStore};
pub use client::MemoryClient;
pub use result_client::MemoryResultClient;
pub(crate) use room::{after_fork, before_fork};
pub use room::{clear as clear_memory, waiting as memory_messages};
pub(crate) use url::room_of;
