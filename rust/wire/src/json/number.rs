//! Writing numbers, byte for byte as Python's `json.dumps` does.

use std::io::Write;

/// Appends a whole number.
pub fn write_int(number: i64, out: &mut Vec<u8>) {
    /// As many as 2^63 has.
    const MAX_DIGITS: usize = 19;
    let mut digits = [0; MAX_DIGITS];
    let mut first = MAX_DIGITS;
    let mut rest = number.unsigned_abs();
    loop {
        first -= 1;
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[first..]);
}

/// Appends a float as Python's `float.__repr__` shows it: the fewest digits that read back the same, with an exponent
/// below 1e-4 and from 1e16 on. What is not finite is written as Python's `json` does: `NaN`, `Infinity`, `-Infinity`.
///
/// Rust and Python agree on the digits (the shortest, and of those the closest) but for ties, where Python takes the even
/// one; the layout is Python's own.
pub fn write_float(number: f64, out: &mut Vec<u8>) {
    if number.is_nan() {
        return out.extend_from_slice(b"NaN");
    }
    if number.is_sign_negative() {
        out.push(b'-');
    }
    if number.is_infinite() {
        return out.extend_from_slice(b"Infinity");
    }
    let mut digits = [0; MAX_LEN];
    let (digits, exponent) = shortest(number.abs(), &mut digits);
    match exponent {
        -4..0 => {
            out.extend_from_slice(b"0.");
            out.resize(out.len() + (-1 - exponent) as usize, b'0');
            out.extend_from_slice(digits);
        }
        0..16 => {
            let whole_len = exponent as usize + 1;
            let whole = &digits[..whole_len.min(digits.len())];
            out.extend_from_slice(whole);
            out.resize(out.len() + whole_len - whole.len(), b'0');
            out.push(b'.');
            let fraction = &digits[whole.len()..];
            out.extend_from_slice(if fraction.is_empty() { b"0" } else { fraction });
        }
        _ => {
            out.push(digits[0]);
            if digits.len() > 1 {
                out.push(b'.');
                out.extend_from_slice(&digits[1..]);
            }
            write!(out, "e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.unsigned_abs())
                .expect("a Vec takes every byte");
        }
    }
}

/// Enough for 17 digits, the point and `e-308`.
const MAX_LEN: usize = 24;

/// The digits without a point, and the power of ten of the first one.
fn shortest(number: f64, buffer: &mut [u8; MAX_LEN]) -> (&[u8], i32) {
    let mut rest = buffer.as_mut_slice();
    write!(rest, "{number:e}").expect("17 digits, a point and an exponent fit");
    let len = MAX_LEN - rest.len();
    let split = memchr::memchr(b'e', &buffer[..len]).expect("the format has an exponent");
    let (is_negative, power) = match &buffer[split + 1..len] {
        [b'-', power @ ..] => (true, power),
        power => (false, power),
    };
    let power = power.iter().fold(0, |power, digit| power * 10 + i32::from(digit - b'0'));
    let exponent = if is_negative { -power } else { power };
    if split == 1 {
        return (&buffer[..1], exponent);
    }
    // `d.ddd`: the first digit takes the point's place.
    buffer[1] = buffer[0];
    let digits = &mut buffer[1..split];
    if is_rounded_up_from_tie(number, digits, exponent) {
        *digits.last_mut().expect("at least two digits") -= 1;
    }
    (digits, exponent)
}

/// Whether `number` lies exactly between `digits`, which end in an odd one, and the even neighbour below, and that
/// neighbour reads back as well.
fn is_rounded_up_from_tie(number: f64, digits: &[u8], exponent: i32) -> bool {
    /// No float comes this close to a number of 18 digits without being it: its own 53 bits and those 60 leave a
    /// relative distance above 1e-40.
    const CERTAIN_DIGITS: usize = 60;
    let [head @ .., last] = digits else {
        return false;
    };
    // Half of the last place is a multiple of 10^-places, so the number must be one of 2^-places: nearly none is.
    let places = digits.len() as i32 - exponent;
    if last % 2 == 0 || trailing_power_of_two(number) + places < 0 {
        return false;
    }
    let even = [head, &[last - 1]].concat();
    let exact = format!("{number:.CERTAIN_DIGITS$e}").replace('.', "");
    let Some(tail) = exact.as_bytes().strip_prefix(even.as_slice()) else {
        return false;
    };
    let (mantissa, _) = exact.split_at(exact.len() - tail.len());
    let below = format!("{}.{}e{exponent}", &mantissa[..1], &mantissa[1..]);
    let tail = tail.split(|&byte| byte == b'e').next().unwrap_or_default();
    tail.first() == Some(&b'5') && tail[1..].iter().all(|&digit| digit == b'0') && below.parse() == Ok(number)
}

/// The largest power of two that divides a finite number: -1 for 1.5. Zero is divided by all.
fn trailing_power_of_two(number: f64) -> i32 {
    const MANTISSA_BITS: u32 = f64::MANTISSA_DIGITS - 1;
    let bits = number.to_bits();
    let biased = (bits >> MANTISSA_BITS & 0x7FF) as i32;
    let fraction = bits & ((1 << MANTISSA_BITS) - 1);
    let mantissa = if biased == 0 { fraction } else { fraction | 1 << MANTISSA_BITS };
    biased.max(1) - 1075 + mantissa.trailing_zeros() as i32
}
