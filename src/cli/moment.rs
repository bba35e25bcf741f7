//! Moments as people write them, to milliseconds since 1970 and back. Without a zone a date is one of UTC.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::types::Timestamp;

/// What is allowed, for sentences.
pub const ALLOWED: &str = "2026-05-01T12:00:00Z, 2026-05-01, -90s, -2h, -7d, or milliseconds since 1970";

const MS_PER_DAY: i64 = 86_400_000;

/// The wall clock.
pub fn now() -> Timestamp {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(since_1970.as_millis() as i64)
}

/// Reads a date, a date and time, a time before `now` (`-2h`), or milliseconds; `None` for anything else.
pub fn parse(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Some(ago) = text.strip_prefix('-') {
        return now.0.checked_sub(duration_ms(ago)?).map(Timestamp);
    }
    if let Ok(ms) = text.parse::<i64>() {
        return Some(Timestamp(ms));
    }
    let (date, time) = match text.split_once(['T', ' ']) {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let days = days_of(date)?;
    let ms = match time {
        Some(time) => time_ms(time)?,
        None => 0,
    };
    days.checked_mul(MS_PER_DAY)?.checked_add(ms).map(Timestamp)
}

fn duration_ms(text: &str) -> Option<i64> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => MS_PER_DAY,
        "w" => 7 * MS_PER_DAY,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(unit_ms)
}

/// A number of that many digits, within bounds.
fn number(text: &str, digits: usize, allowed: std::ops::RangeInclusive<i64>) -> Option<i64> {
    let is_number = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| is_number && allowed.contains(number))
}

/// Days since 1970 of `YYYY-MM-DD`.
fn days_of(date: &str) -> Option<i64> {
    let mut parts = date.split('-');
    let year = number(parts.next()?, 4, 0..=9999)?;
    let month = number(parts.next()?, 2, 1..=12)?;
    let day = number(parts.next()?, 2, 1..=31)?;
    let days = days_from_civil(year, month, day);
    // A day that the month does not have comes back as another one.
    (parts.next().is_none() && civil_from_days(days) == (year, month, day)).then_some(days)
}

/// Milliseconds of `HH:MM[:SS[.mmm]]` with `Z`, `+HH:MM`, `-HH:MM` or nothing behind.
fn time_ms(text: &str) -> Option<i64> {
    let at = text.find(['Z', '+', '-']).unwrap_or(text.len());
    let (clock, zone) = text.split_at(at);
    let mut parts = clock.split(':');
    let hours = number(parts.next()?, 2, 0..=23)?;
    let minutes = number(parts.next()?, 2, 0..=59)?;
    let seconds_ms = match parts.next() {
        Some(seconds) => {
            let (whole, part) = seconds.split_once('.').unwrap_or((seconds, "0"));
            let is_part = (1..=9).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
            let part = format!("{:0<3}", part.get(..part.len().min(3))?).parse::<i64>().ok().filter(|_| is_part)?;
            number(whole, 2, 0..=59)? * 1000 + part
        }
        None => 0,
    };
    let zone_ms = match zone.split_at_checked(1) {
        None | Some(("Z", "")) => 0,
        Some((sign @ ("+" | "-"), offset)) => {
            let (hours, minutes) = offset.split_once(':').unwrap_or(offset.split_at_checked(2).unwrap_or((offset, "")));
            let ms = number(hours, 2, 0..=14)? * 3_600_000 + number(minutes, 2, 0..=59)? * 60_000;
            if sign == "+" { ms } else { -ms }
        }
        Some(_) => return None,
    };
    parts.next().is_none().then_some(hours * 3_600_000 + minutes * 60_000 + seconds_ms - zone_ms)
}

/// `2026-05-01T12:00:00.000Z`.
pub fn format(at: Timestamp) -> String {
    let (days, ms) = (at.0.div_euclid(MS_PER_DAY), at.0.rem_euclid(MS_PER_DAY));
    let (year, month, day) = civil_from_days(days);
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{:03}Z", ms % 1000)
}

/// Of the Gregorian calendar: years are counted from March, so that the day which may be missing is the last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days.saturating_add(719_468);
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let (day, month) = (day_of_year - (153 * shifted + 2) / 5 + 1, (shifted + 2) % 12 + 1);
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every notation, and nothing that only looks like one.
    #[test]
    fn notations() {
        let read = |text| parse(text, Timestamp(10_000_000)).map(|at| at.0);
        assert_eq!(read("0"), Some(0));
        assert_eq!(read("1777636800123"), Some(1_777_636_800_123));
        assert_eq!(read("-90s"), Some(9_910_000));
        assert_eq!(read("-2h"), Some(2_800_000));
        assert_eq!(read("1970-01-02"), Some(86_400_000));
        assert_eq!(read("2026-05-01T12:00:00Z"), Some(1_777_636_800_000));
        assert_eq!(read("2026-05-01 12:00"), Some(1_777_636_800_000));
        assert_eq!(read("2026-05-01T12:00:00.5"), Some(1_777_636_800_500));
        assert_eq!(read("2026-05-01T14:00:00+02:00"), Some(1_777_636_800_000));
        assert_eq!(read("2026-05-01T10:30:00-0130"), Some(1_777_636_800_000));
        for wrong in
            ["", "-", "-2", "-2y", "2026-13-01", "2026-02-29", "2026-05-01T25:00", "2026-05-01T12", "x", "-9h9"]
        {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert_eq!(read("-9223372036854775807w"), None);
    }

    /// What is printed is read again, over leap years and before 1970.
    #[test]
    fn round_trip() {
        for day in (-800_000..2_900_000).step_by(97) {
            let at = Timestamp(day * MS_PER_DAY + 12_345_678);
            let text = format(at);
            if !text.starts_with('-') && text.len() == 24 {
                assert_eq!(parse(&text, Timestamp(0)), Some(at), "{text}");
            }
        }
        assert_eq!(format(Timestamp(951_782_400_000)), "2000-02-29T00:00:00.000Z");
    }
}
