//! Everything that the worker's one loop reacts to. Whoever waits for something outside sends one of these.

use fastworker_broker::{Delivery, Error, Recovered};
use fastworker_engine::{ChildId, Handle, Resize, Shutdown};

use crate::pool::{SocketFact, ZygoteFact};

/// An order from the main thread.
#[derive(Debug)]
pub enum Command {
    /// Stop.
    Shutdown(Shutdown),
    /// Have more or fewer children.
    Resize(Resize),
    /// A new zygote: its socket and pid.
    AdoptZygote(std::os::fd::OwnedFd, i32),
    /// A child that runs as a thread of this process has ended.
    ThreadEnded(ChildId),
}

/// Which delivery a settlement is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settling {
    pub(crate) handle: Handle,
    /// False for an early acknowledgement: the task has yet to run.
    pub(crate) is_final: bool,
}

/// Something happened.
pub(crate) enum Fact {
    Fetched(Result<Vec<Delivery>, Error>),
    Wake,
    /// A batch was settled: what it was for (in order; `None` where the engine knows nothing of it), and the indices
    /// whose lease was lost.
    Settled {
        batch: Vec<Option<Settling>>,
        lost: Vec<usize>,
    },
    /// A batch was published, or refused for good.
    Published {
        handles: Vec<Handle>,
        refusal: Option<String>,
    },
    AttemptRecorded {
        handle: Handle,
        attempt: u32,
    },
    /// An operation failed and is being repeated.
    Trouble(Error),
    /// An operation that had failed, or any other, went through.
    Fine,
    LeaseAtRisk,
    LeaseSafe,
    Recovered(Recovered),
    Child(ChildId, SocketFact),
    Zygote(ZygoteFact),
    Command(Command),
}
