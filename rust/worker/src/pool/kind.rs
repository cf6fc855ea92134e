//! What runs the children, and what can be asked of it.
//!
//! | | processes | threads of this process |
//! | --- | --- | --- |
//! | started by | the zygote, on `spawn` | the main thread, on `Report::StartThread` |
//! | its end is known from | its pidfd | `Command::ThreadEnded` |
//! | time limits, soft and hard | yes | no: nothing can end a thread; they are left out, and said so |
//! | killed | yes | abandoned: its task goes back to the queue and goes on in the thread, unheard |
//! | page, socket, frames, `child/loop.py` | the same | the same |

use std::os::fd::OwnedFd;

/// The kind of pool, as `run` is told.
#[derive(Debug)]
pub enum Pool {
    /// Child processes of the zygote at the other end of this socket, with this pid.
    Processes(OwnedFd, i32),
    /// Threads of this process, which the main thread starts.
    Threads,
}
