//! The worker's end of the socket to the zygote.
//!
//! The zygote is a Python process that has imported the user's application, runs one thread and forks children on
//! request. Messages are text, one a datagram: `spawn <id>` with two descriptors (the child's socket and page) goes
//! there; `serving` (once), `forked <id> <pid>`, `exited <pid> <status>` and `failed <text>` come back.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use fastworker_engine::ChildId;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown, recv, sendmsg, shutdown};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::io::unix::AsyncFd;
use tokio::task::AbortHandle;

use super::readable::readable;

/// What the zygote says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ZygoteFact {
    /// It has imported the application, and answers from now on.
    Serving,
    Forked {
        child: ChildId,
        pid: i32,
    },
    Exited {
        pid: i32,
        status: i32,
    },
    Failed {
        text: String,
    },
    /// It has had its time to fork this child.
    Overdue {
        child: ChildId,
    },
    /// It has had its time to import the application.
    Late,
    Gone,
}

/// A living zygote. Dropping it kills the process: its children go on.
pub(crate) struct Zygote {
    pub(crate) pid: i32,
    socket: Rc<AsyncFd<OwnedFd>>,
    pidfd: Rc<AsyncFd<OwnedFd>>,
    listener: AbortHandle,
    /// It has said so.
    pub(crate) is_serving: bool,
}

impl Zygote {
    /// Takes over the socket, and tells `tell` what the zygote says until it is gone.
    pub(crate) fn adopt(socket: OwnedFd, pid: i32, tell: impl Fn(ZygoteFact) + 'static) -> io::Result<Zygote> {
        let raw = Pid::from_raw(pid).ok_or_else(|| io::Error::other("the zygote's pid is not positive"))?;
        let pidfd = pidfd_open(raw, PidfdFlags::NONBLOCK)?;
        rustix::io::ioctl_fionbio(&socket, true)?;
        let socket = Rc::new(readable(socket)?);
        let pidfd = Rc::new(readable(pidfd)?);
        let listener = tokio::task::spawn_local(listen(socket.clone(), pidfd.clone(), tell)).abort_handle();
        Ok(Zygote { pid, socket, pidfd, listener, is_serving: false })
    }

    /// Asks for a child that talks over `child_socket` and shares `page`.
    pub(crate) fn spawn(&self, child: ChildId, child_socket: BorrowedFd<'_>, page: BorrowedFd<'_>) -> io::Result<()> {
        let text = format!("spawn {}", child.0);
        let descriptors = [child_socket, page];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(io::Error::other("no room for two descriptors in a control message"));
        }
        sendmsg(self.socket.as_fd(), &[IoSlice::new(text.as_bytes())], &mut ancillary, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Lets it end when it has said all that it knows; `ZygoteFact::Gone` follows.
    pub(crate) fn dismiss(&self) {
        // It is gone already when there is nobody to tell.
        let _gone = shutdown(self.socket.as_fd(), Shutdown::Write);
    }

    /// Ends the process, whatever it is doing; `ZygoteFact::Gone` follows.
    pub(crate) fn kill(&self) {
        // Gone already is what we want.
        let _gone = pidfd_send_signal(self.pidfd.as_fd(), Signal::KILL);
    }
}

impl Drop for Zygote {
    fn drop(&mut self) {
        self.listener.abort();
        self.kill();
    }
}

async fn listen(socket: Rc<AsyncFd<OwnedFd>>, pidfd: Rc<AsyncFd<OwnedFd>>, tell: impl Fn(ZygoteFact)) {
    let mut buffer = vec![0u8; 64 * 1024];
    loop {
        let Ok(mut ready) = socket.readable().await else { break };
        match ready.try_io(|fd| Ok(recv(fd, &mut buffer[..], RecvFlags::empty())?)) {
            Err(_would_block) => continue,
            Ok(Ok((_, len))) if len > 0 => match parse(&buffer[..len]) {
                Some(fact) => tell(fact),
                None => {
                    let text = String::from_utf8_lossy(&buffer[..len]).into_owned();
                    tell(ZygoteFact::Failed { text: format!("the zygote said {text:?}, which means nothing here") });
                }
            },
            Ok(_) => break,
        }
    }
    // Its files are closed before its children become ours; those that are dead are ours to bury from then on.
    let _gone = pidfd_send_signal(pidfd.as_fd(), Signal::KILL);
    if pidfd.readable().await.is_ok() {
        tell(ZygoteFact::Gone);
    }
}

fn parse(message: &[u8]) -> Option<ZygoteFact> {
    let text = std::str::from_utf8(message).ok()?;
    let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
    let mut numbers = rest.split(' ').map(str::parse::<i32>);
    match verb {
        "serving" => Some(ZygoteFact::Serving),
        "forked" => {
            let child = ChildId(u32::try_from(numbers.next()?.ok()?).ok()?);
            Some(ZygoteFact::Forked { child, pid: numbers.next()?.ok()? })
        }
        "exited" => Some(ZygoteFact::Exited { pid: numbers.next()?.ok()?, status: numbers.next()?.ok()? }),
        "failed" => Some(ZygoteFact::Failed { text: rest.to_owned() }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zygotes_words_are_understood() {
        assert_eq!(parse(b"forked 3 4711"), Some(ZygoteFact::Forked { child: ChildId(3), pid: 4711 }));
        assert_eq!(parse(b"serving"), Some(ZygoteFact::Serving));
        assert_eq!(parse(b"exited 4711 -9"), Some(ZygoteFact::Exited { pid: 4711, status: -9 }));
        assert_eq!(parse(b"failed no room"), Some(ZygoteFact::Failed { text: "no room".into() }));
        assert_eq!(parse(b"forked three"), None);
        assert_eq!(parse(b"\xff"), None);
    }
}
