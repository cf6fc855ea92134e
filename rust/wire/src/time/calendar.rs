//! Days since 1970-01-01 in the proleptic Gregorian calendar, which is Python's too.
//!
//! Both directions follow Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": the year is taken to begin in
//! March, so that the leap day is its last, and 400 years (an era) always have 146,097 days.

const DAYS_PER_ERA: i64 = 146_097;
/// From 0000-03-01, where eras begin, to 1970-01-01.
const EPOCH_DAY: i64 = 719_468;

/// A date's number of days since 1970-01-01; `None` when there is no such date (30 February, month 13).
pub(super) fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=9999).contains(&year) || !(1..=12).contains(&month) {
        return None;
    }
    if day < 1 || day > days_in_month(year, month) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * DAYS_PER_ERA + day_of_era - EPOCH_DAY)
}

/// The inverse of [`days`]: (year, month, day).
pub(super) fn date(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH_DAY;
    let (era, day_of_era) = (days.div_euclid(DAYS_PER_ERA), days.rem_euclid(DAYS_PER_ERA));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

/// The Monday of ISO week `week` plus `weekday - 1` days; `None` when the year has no such week or day.
pub(super) fn iso_week_days(year: i64, week: i64, weekday: i64) -> Option<i64> {
    if !(1..=7).contains(&weekday) {
        return None;
    }
    let first = first_monday(year)?;
    let next = first_monday(year + 1).unwrap_or(i64::MAX);
    let monday = first + (week - 1) * 7;
    ((1..=53).contains(&week) && monday < next).then(|| monday + weekday - 1)
}

/// The Monday of the week that holds 4 January, which is ISO week 1.
fn first_monday(year: i64) -> Option<i64> {
    let fourth = days(year, 1, 4)?;
    // 1970-01-01 was a Thursday: day number 0 is three days behind a Monday.
    Some(fourth - (fourth + 3).rem_euclid(7))
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
