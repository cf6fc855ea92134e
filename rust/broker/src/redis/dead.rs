//! Dead letters as they lie in the hash: a version, then fields with their lengths.
//!
//! `FWD1` and seven fields `<length>:<bytes>`: queue, task (empty when unknown), reason, detail, died (Unix ms),
//! priority, message. Scripts write it, so it is made of what Lua does without loss on any bytes.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::DeadLetter;

/// The version that this program reads and writes.
const VERSION: &[u8] = b"FWD1";

/// Reads a record; the error says what is wrong with it.
pub(super) fn read(id: &str, record: &[u8]) -> Result<DeadLetter, String> {
    let Some(mut rest) = record.strip_prefix(VERSION) else {
        let found = String::from_utf8_lossy(&record[..record.len().min(4)]).into_owned();
        return Err(format!("dead letter {id:?} has format {found:?}, expected FWD1; read it with a newer fastworker"));
    };
    let mut field = |name: &str| {
        let (bytes, behind) = split_field(rest).ok_or_else(|| format!("dead letter {id:?}: no field {name}"))?;
        rest = behind;
        Ok::<_, String>(bytes)
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let number = |bytes: &[u8]| std::str::from_utf8(bytes).ok().and_then(|digits| digits.parse::<i64>().ok());

    let queue = text(field("queue")?);
    let task = Some(text(field("task")?)).filter(|task| !task.is_empty());
    let reason = text(field("reason")?);
    let detail = text(field("detail")?);
    let died_ms = number(field("died")?).ok_or_else(|| format!("dead letter {id:?}: died is no number"))?;
    let priority = number(field("priority")?).and_then(|priority| u8::try_from(priority).ok()).unwrap_or(0).min(9);
    let message = field("message")?.to_vec().into();
    Ok(DeadLetter { id: id.to_owned(), queue, task, reason, detail, died_ms, priority, message })
}

fn split_field(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = bytes.iter().position(|byte| *byte == b':')?;
    let len: usize = std::str::from_utf8(&bytes[..colon]).ok()?.parse().ok()?;
    bytes[colon + 1..].split_at_checked(len)
}

/// Unix time in milliseconds.
pub(super) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_whatever_its_bytes() {
        let record = b"FWD11:q0:8:not JSON3:a:b13:17000000000001:37:\x00:1:\xff{}";
        let letter = read("x", record).unwrap();
        assert_eq!((letter.queue.as_str(), letter.task.as_deref(), letter.detail.as_str()), ("q", None, "a:b"));
        assert_eq!(
            (letter.died_ms, letter.priority, &letter.message[..]),
            (1_700_000_000_000, 3, &b"\x00:1:\xff{}"[..])
        );
    }

    #[test]
    fn another_version_says_so() {
        assert!(read("x", b"FWD2...").unwrap_err().contains("newer fastworker"));
        assert!(read("x", b"FWD19:short").unwrap_err().contains("no field queue"));
    }
}
