//! Mutations that depend on their seed alone, so that a test that uses them never flickers.

/// A stream of mutated inputs.
#[derive(Debug)]
pub struct Mutator(u64);

/// Pieces that parsers of ours look for.
const PIECES: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\",
    b",",
    b":",
    b"\\u0000",
    b"\\ud83d",
    b"\\ude00",
    b"null",
    b"true",
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"-0",
    b"9223372036854775808",
    b"\xff",
    b"\xc3\xa9",
    b"\xed\xa0\x80",
    b"\0",
    b"\n",
    b"headers",
    b"properties",
    b"body",
    b"content-type",
    b"\"id\":",
    b"\"task\":",
    b"\"eta\":",
    b"2026-02-30T25:61:61Z",
    b"%",
    b"://",
    b"@",
    b"?",
    b"&",
    b"=",
    b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x80",
];

impl Mutator {
    /// The stream of that seed.
    pub fn new(seed: u64) -> Mutator {
        Mutator(seed)
    }

    /// Splitmix64.
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.bits() % bound.max(1) as u64) as usize
    }

    /// One input: one of `corpus`, changed in one to four places, perhaps with a part of another one.
    pub fn next(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = corpus[self.below(corpus.len())].clone();
        for _ in 0..=self.below(4) {
            self.change(&mut bytes, corpus);
        }
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let at = self.below(bytes.len() + 1);
        let end = (at + self.below(16)).min(bytes.len());
        match self.below(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
            1 if at < bytes.len() => bytes[at] = self.bits() as u8,
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let copy = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, copy));
            }
            5 => {
                let other = &corpus[self.below(corpus.len())];
                let from = self.below(other.len() + 1);
                let to = (from + self.below(40)).min(other.len());
                drop(bytes.splice(at..end, other[from..to].to_vec()));
            }
            _ => {
                let piece = PIECES[self.below(PIECES.len())];
                drop(bytes.splice(at..end, piece.iter().copied()));
            }
        }
    }
}
