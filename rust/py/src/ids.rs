//! Task ids: random UUIDs, drawn from the system through a buffer that a fork empties.
//!
//! A process that has forked must never hand out bytes that its parent may hand out too, so the buffer carries the pid
//! that filled it. Asking for the pid costs some 50 ns; asking the system for 16 bytes each time costs ten times that.

use std::sync::Mutex;

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;

const BUFFER_BYTES: usize = 4096;

struct Buffer {
    bytes: [u8; BUFFER_BYTES],
    used: usize,
    pid: u32,
}

static BUFFER: Mutex<Buffer> = Mutex::new(Buffer { bytes: [0; BUFFER_BYTES], used: BUFFER_BYTES, pid: 0 });

/// Sixteen random bytes with the marks of a version 4 UUID.
pub(crate) fn random_id() -> PyResult<[u8; 16]> {
    let mut buffer = BUFFER.lock().expect("nobody panics while drawing random bytes");
    let pid = std::process::id();
    if buffer.used == BUFFER_BYTES || buffer.pid != pid {
        getrandom::fill(&mut buffer.bytes).map_err(|error| PyOSError::new_err(format!("no random bytes: {error}")))?;
        buffer.used = 0;
        buffer.pid = pid;
    }
    let at = buffer.used;
    buffer.used += 16;
    let mut id: [u8; 16] = buffer.bytes[at..at + 16].try_into().expect("sixteen bytes");
    buffer.bytes[at..at + 16].fill(0);
    id[6] = id[6] & 0x0f | 0x40;
    id[8] = id[8] & 0x3f | 0x80;
    Ok(id)
}

/// The 36 characters of an id.
pub(crate) fn text(id: &[u8; 16]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(36);
    for (index, byte) in id.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push(DIGITS[usize::from(byte >> 4)] as char);
        text.push(DIGITS[usize::from(byte & 15)] as char);
    }
    text
}

/// A random UUID (version 4) as 36 characters; safe after a fork.
#[pyfunction]
pub(crate) fn new_id() -> PyResult<String> {
    Ok(text(&random_id()?))
}
