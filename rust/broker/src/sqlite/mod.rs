//! The embedded broker and result store: one SQLite file, many processes of one machine, no server.
//!
//! One table per place of the contract's picture (`schema.rs`), so that a move of a message is a small row leaving one
//! B-tree and entering another, in one transaction, while its body stays where it is. Read in this order:
//!
//! ```text
//! options ─ file ─ schema ─ log ─ session   which file, how it is opened, what is in it, one transaction on it
//! broker ─ writer                        the async face; the one thread that writes, joining what waits
//! publish fetch settle park lane lease dead  the operations, one a file, as functions of a session
//! recover ─ process                      whose leases go back, and how a dead owner is told from a slow one
//! results ─ wake                         result documents; how a sleeper learns of another process's commit
//! client result_client slot fork         the blocking side, and what a fork means for it
//! ```
//!
//! **Waking.** SQLite tells nobody of a commit. A committer that made something ready (or stored a result) touches the
//! timestamp of the database (or of its `-wal`) *after* the commit; sleepers watch exactly that with inotify. Watching
//! the content of the `-wal` instead would fire before the commit is visible (the frames are written first, the
//! shared index after), and on every acknowledgement of every worker.

mod broker;
mod chord;
mod client;
mod control;
mod dead;
mod event;
mod fanout;
mod fault;
mod fetch;
mod file;
mod fork;
mod join;
mod lane;
mod lease;
mod log;
mod options;
mod park;
mod parked;
mod patience;
mod pause;
mod process;
mod publish;
mod recover;
mod result_client;
mod results;
mod schema;
mod session;
mod settle;
mod slot;
mod store;
mod wake;
mod writer;

pub use broker::SqliteBroker;
pub use client::SqliteClient;
pub(crate) use fork::{after_fork, before_fork};
pub use options::{SqliteOptions, Synchronous};
pub use result_client::SqliteResultClient;
pub use store::SqliteStore;
