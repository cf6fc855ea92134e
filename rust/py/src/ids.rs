//! Task ids: random UUIDs, drawn from the system through a buffer that a fork empties; those of a stream are made of one
//! such UUID, its seed, and the call's place, so that nobody has to keep ten million of them.
//!
//! A process that has forked must never hand out bytes that its parent may hand out too, so the buffer carries the
//! generation of the process that filled it.

use std::sync::Mutex;

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use sha1_smol::Sha1;

use crate::fork;

const BUFFER_BYTES: usize = 4096;

struct Buffer {
    bytes: [u8; BUFFER_BYTES],
    used: usize,
    generation: u32,
}

static BUFFER: Mutex<Buffer> = Mutex::new(Buffer { bytes: [0; BUFFER_BYTES], used: BUFFER_BYTES, generation: 0 });

/// Sixteen random bytes with the marks of a version 4 UUID.
pub(crate) fn random_id() -> PyResult<[u8; 16]> {
    let mut buffer = BUFFER.lock().expect("nobody panics while drawing random bytes");
    let generation = fork::generation();
    if buffer.used == BUFFER_BYTES || buffer.generation != generation {
        getrandom::fill(&mut buffer.bytes).map_err(|error| PyOSError::new_err(format!("no random bytes: {error}")))?;
        buffer.used = 0;
        buffer.generation = generation;
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

/// The id of the call at `position` of a stream: the UUID of version 5 (RFC 9562) of the position as decimal text in the
/// namespace `seed`, which is `uuid.uuid5(seed, str(position))` in Python.
pub(crate) fn stream_id(seed: &[u8; 16], position: u64) -> [u8; 16] {
    let mut hash = Sha1::from(seed);
    let mut digits = [0_u8; 20];
    let mut start = digits.len();
    let mut rest = position;
    loop {
        start -= 1;
        digits[start] = b'0' + u8::try_from(rest % 10).expect("a digit");
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    hash.update(&digits[start..]);
    let digest = hash.digest().bytes();
    let mut id: [u8; 16] = digest[..16].try_into().expect("twenty bytes");
    id[6] = id[6] & 0x0f | 0x50;
    id[8] = id[8] & 0x3f | 0x80;
    id
}

/// Reads an id's 36 characters.
pub(crate) fn parse(id: &str) -> PyResult<[u8; 16]> {
    let unreadable = || PyValueError::new_err(format!("seed {id:?}: expected a UUID as 36 characters"));
    let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let digits: Option<Vec<u8>> = id.bytes().filter(|byte| *byte != b'-').map(nibble).collect();
    let digits = digits.filter(|digits| id.len() == 36 && digits.len() == 32).ok_or_else(unreadable)?;
    let mut bytes = [0; 16];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair[0] << 4 | pair[1];
    }
    Ok(bytes)
}

/// The ids of the calls of a stream from `start` on, as text; see `_core.pyi`.
#[pyfunction]
pub(crate) fn stream_ids(seed: &str, start: u64, count: u64) -> PyResult<Vec<String>> {
    let seed = parse(seed)?;
    Ok((start..start + count).map(|position| text(&stream_id(&seed, position))).collect())
}

/// A random UUID (version 4) as 36 characters; safe after a fork.
#[pyfunction]
pub(crate) fn new_id() -> PyResult<String> {
    Ok(text(&random_id()?))
}
