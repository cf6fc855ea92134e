//! Which of a bench's numbered messages have ended here: a bit each, so that all workers' together say what was lost and
//! what ran twice.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;

/// Higher numbers are not remembered: a bit each would be 12 MiB.
const MOST: u32 = 100_000_000;

/// The set.
#[derive(Default)]
pub(crate) struct Ends {
    bits: Vec<u8>,
    pub(crate) firsts: u64,
    pub(crate) repeats: u64,
}

impl Ends {
    pub(crate) fn add(&mut self, number: u32) {
        if number >= MOST {
            return;
        }
        let (byte, bit) = ((number / 8) as usize, 1 << (number % 8));
        if self.bits.len() <= byte {
            self.bits.resize(byte + 1, 0);
        }
        if self.bits[byte] & bit == 0 {
            self.bits[byte] |= bit;
            self.firsts += 1;
        } else {
            self.repeats += 1;
        }
    }

    /// Bit `n % 8` of byte `n / 8` stands for number `n`; zlib.
    pub(crate) fn deflated(&self) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&self.bits).expect("memory takes it");
        encoder.finish().expect("memory takes it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_end_is_a_repeat() {
        let mut ends = Ends::default();
        for number in [0, 9, 9, 1, 100_000_000] {
            ends.add(number);
        }
        assert_eq!((ends.firsts, ends.repeats, &ends.bits[..]), (3, 1, &[0b11, 0b10][..]));
    }
}
