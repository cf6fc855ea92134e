//! ISO-8601 text to Unix time and back.

use super::calendar;

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// Reads an ISO-8601 date or date and time; returns Unix milliseconds, rounded down.
///
/// Takes what Python 3.11's `datetime.fromisoformat` takes (extended and basic forms, ISO weeks, any separator, `Z`,
/// offsets with seconds, a comma for the point, more digits than microseconds), and what Celery's worker reads through
/// `dateutil` beyond that: a year or a month alone, the day of the year, and 24:00.
///
/// `naive_offset_s` is the offset from UTC, in seconds east, that a text without one is taken in.
/// `None`: not a time. Celery rejects the message as an invalid task.
pub fn parse_iso_ms(text: &str, naive_offset_s: i32) -> Option<i64> {
    let mut reader = Reader { rest: text.as_bytes() };
    let days = reader.date()?;
    let mut micros = 0;
    let mut offset_micros = i64::from(naive_offset_s) * MICROS_PER_SECOND;
    if !reader.rest.is_empty() {
        reader.skip_separator(text);
        let (time, zone) = split_zone(reader.rest);
        micros = clock(time)?;
        if let Some(zone) = zone {
            offset_micros = offset(zone)?;
        }
    }
    let total = days * SECONDS_PER_DAY * MICROS_PER_SECOND + micros - offset_micros;
    Some(total.div_euclid(1_000))
}

/// Writes Unix microseconds as Python's `datetime.isoformat` does for an aware UTC time:
/// `2026-11-22T23:31:27.735548+00:00`, without the fraction when it is zero.
pub fn iso_utc(unix_us: i64) -> String {
    let seconds = unix_us.div_euclid(MICROS_PER_SECOND);
    let micros = unix_us.rem_euclid(MICROS_PER_SECOND);
    let (year, month, day) = calendar::date(seconds.div_euclid(SECONDS_PER_DAY));
    let second_of_day = seconds.rem_euclid(SECONDS_PER_DAY);
    let (hour, minute) = (second_of_day / 3_600, second_of_day / 60 % 60);
    let second = second_of_day % 60;
    let whole = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    if micros == 0 { whole + "+00:00" } else { format!("{whole}.{micros:06}+00:00") }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    /// A date in any of the forms, as days since 1970.
    fn date(&mut self) -> Option<i64> {
        let year = self.digits(4)?;
        if self.rest.is_empty() {
            return calendar::days(year, 1, 1);
        }
        let is_extended = self.skip(b'-');
        if self.skip(b'W') {
            let week = self.digits(2)?;
            let has_day = if is_extended { self.skip(b'-') } else { self.rest.first().is_some_and(u8::is_ascii_digit) };
            let weekday = if has_day { self.digits(1)? } else { 1 };
            return calendar::iso_week_days(year, week, weekday);
        }
        if self.digit_run() == 3 {
            let day_of_year = self.digits(3)?;
            let day = calendar::days(year, 1, 1)? + day_of_year - 1;
            return (calendar::date(day).0 == year).then_some(day);
        }
        let month = self.digits(2)?;
        if is_extended && !self.skip(b'-') {
            return self.rest.is_empty().then(|| calendar::days(year, month, 1))?;
        }
        let day = self.digits(2)?;
        calendar::days(year, month, day)
    }

    fn digits(&mut self, count: usize) -> Option<i64> {
        let (digits, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        digits.iter().try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0')))
    }

    /// How many digits come next.
    fn digit_run(&self) -> usize {
        self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
    }

    fn skip(&mut self, byte: u8) -> bool {
        let is_there = self.rest.first() == Some(&byte);
        if is_there {
            self.rest = &self.rest[1..];
        }
        is_there
    }

    /// Between date and time stands one character, whichever it is.
    fn skip_separator(&mut self, text: &str) {
        let behind_date = &text[text.len() - self.rest.len()..];
        let separator = behind_date.chars().next().map_or(0, char::len_utf8);
        self.rest = &self.rest[separator..];
    }
}

/// Splits a time from its offset; `Z` and the sign stay with the offset.
fn split_zone(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|byte| matches!(byte, b'Z' | b'z' | b'+' | b'-')) {
        Some(at) => (&text[..at], Some(&text[at..])),
        None => (text, None),
    }
}

/// `HH`, `HH:MM`, `HH:MM:SS`, each with or without colons, the last with a fraction. Microseconds since midnight.
fn clock(text: &[u8]) -> Option<i64> {
    let (hour, minute, second, micros) = clock_fields(text)?;
    let is_midnight_after = hour == 24 && minute == 0 && second == 0 && micros == 0;
    if (hour > 23 && !is_midnight_after) || minute > 59 || second > 59 {
        return None;
    }
    Some((hour * 3_600 + minute * 60 + second) * MICROS_PER_SECOND + micros)
}

/// `Z`, or a sign and a time below 24 hours. Microseconds east of UTC.
fn offset(text: &[u8]) -> Option<i64> {
    let (&sign, rest) = text.split_first()?;
    if matches!(sign, b'Z' | b'z') {
        return rest.is_empty().then_some(0);
    }
    let (hour, minute, second, micros) = clock_fields(rest)?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let east = (hour * 3_600 + minute * 60 + second) * MICROS_PER_SECOND + micros;
    Some(if sign == b'-' { -east } else { east })
}

fn clock_fields(text: &[u8]) -> Option<(i64, i64, i64, i64)> {
    let mut reader = Reader { rest: text };
    let mut fields = [reader.digits(2)?, 0, 0];
    let has_colons = reader.rest.first() == Some(&b':');
    for field in &mut fields[1..] {
        if matches!(reader.rest.first(), None | Some(b'.' | b',')) {
            break;
        }
        if has_colons && !reader.skip(b':') {
            return None;
        }
        *field = reader.digits(2)?;
    }
    let mut micros = 0;
    if reader.skip(b'.') || reader.skip(b',') {
        let fraction = reader.rest;
        if fraction.is_empty() || !fraction.iter().all(u8::is_ascii_digit) {
            return None;
        }
        for index in 0..6 {
            let digit = fraction.get(index).map_or(0, |byte| byte - b'0');
            micros = micros * 10 + i64::from(digit);
        }
        reader.rest = b"";
    }
    reader.rest.is_empty().then_some((fields[0], fields[1], fields[2], micros))
}
