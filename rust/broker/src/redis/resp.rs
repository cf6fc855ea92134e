//! Writing commands as the server reads them, into a buffer that is used again.

use std::io::Write;

/// Begins a command of `words` words, its name included.
pub(super) fn command(out: &mut Vec<u8>, words: usize) {
    number(out, b'*', words);
}

/// Adds one word.
pub(super) fn word(out: &mut Vec<u8>, bytes: &[u8]) {
    number(out, b'$', bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// A whole command of a few words.
pub(super) fn words(out: &mut Vec<u8>, words: &[&[u8]]) {
    command(out, words.len());
    for each in words {
        word(out, each);
    }
}

fn number(out: &mut Vec<u8>, kind: u8, number: usize) {
    out.push(kind);
    write!(out, "{number}\r\n").expect("a Vec takes every byte");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_written_with_its_lengths() {
        let mut out = Vec::new();
        words(&mut out, &[b"LPUSH", b"q", b"\r\n"]);
        assert_eq!(out, b"*3\r\n$5\r\nLPUSH\r\n$1\r\nq\r\n$2\r\n\r\n\r\n");
    }
}
