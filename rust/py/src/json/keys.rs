//! Keys that come again with every message: made once, with their hash, instead of once per message.

use std::sync::{Mutex, MutexGuard, TryLockError};

use pyo3::prelude::*;
use pyo3::types::PyString;

/// Longer keys are data, not names.
const MAX_LEN: usize = 24;
/// Slots: the names in use are a few dozen, and a name that loses its slot to another only costs what it always did.
const SLOTS: usize = 256;

struct Slot {
    bytes: [u8; MAX_LEN],
    len: u8,
    key: Py<PyString>,
}

static SLOT_TABLE: Mutex<[Option<Slot>; SLOTS]> = Mutex::new([const { None }; SLOTS]);

/// The cache, held for the time of one decode. Whoever finds it taken (another thread, or a decoder that decodes in
/// turn) does without: nobody ever waits for it, so it cannot deadlock, not even across a fork.
pub(super) struct Keys(Option<MutexGuard<'static, [Option<Slot>; SLOTS]>>);

impl Keys {
    pub(super) fn borrow() -> Self {
        match SLOT_TABLE.try_lock() {
            Ok(slots) => Self(Some(slots)),
            // A panic elsewhere left whole slots: each is written in one assignment.
            Err(TryLockError::Poisoned(slots)) => Self(Some(slots.into_inner())),
            Err(TryLockError::WouldBlock) => Self(None),
        }
    }

    /// The string of an ASCII key without escapes; `None` when it is not worth keeping.
    #[inline]
    pub(super) fn get<'py>(&mut self, py: Python<'py>, name: &[u8]) -> Option<Bound<'py, PyString>> {
        let slots = self.0.as_mut()?;
        if name.len() > MAX_LEN || !name.is_ascii() {
            return None;
        }
        let slot = &mut slots[slot_of(name)];
        match slot {
            Some(slot) if slot.bytes[..slot.len.into()] == *name => Some(slot.key.bind(py).clone()),
            _ => {
                let key = PyString::new(py, std::str::from_utf8(name).ok()?);
                let mut bytes = [0; MAX_LEN];
                bytes[..name.len()].copy_from_slice(name);
                *slot = Some(Slot { bytes, len: name.len() as u8, key: key.clone().unbind() });
                Some(key)
            }
        }
    }
}

/// FNV-1a, folded; good enough for names, and keyed by nothing an attacker gains from.
#[inline]
fn slot_of(name: &[u8]) -> usize {
    let hash = name.iter().fold(0x811C_9DC5_u32, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (hash ^ hash >> 16) as usize % SLOTS
}
