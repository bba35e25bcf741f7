//! Moments as ZooKeeper prints them, in UTC.

use crate::types::Timestamp;

const DAY_MS: i64 = 86_400_000;
const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `2026-11-01 00:00 UTC`.
pub(super) fn minute(at: Timestamp) -> String {
    let (year, month, day) = civil(at.0.div_euclid(DAY_MS));
    let minutes = at.0.rem_euclid(DAY_MS) / 60_000;
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", minutes / 60, minutes % 60)
}

/// `Sun Nov 01 00:00:00 UTC 2026`, as Java's `Date`.
pub(super) fn java(at: Timestamp) -> String {
    let days = at.0.div_euclid(DAY_MS);
    let (year, month, day) = civil(days);
    let seconds = at.0.rem_euclid(DAY_MS) / 1000;
    let name = DAYS.get(days.rem_euclid(7) as usize).copied().unwrap_or_default();
    let month = MONTHS.get(month as usize - 1).copied().unwrap_or_default();
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{name} {month} {day:02} {hour:02}:{minute:02}:{second:02} UTC {year}")
}

/// Year, month from 1 and day of a day since 1970 in the Gregorian calendar: eras of 400 years that begin in March.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, of_year - (153 * from_march + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known moments, a leap day and a time before 1970 among them.
    #[test]
    fn known_moments() {
        assert_eq!(java(Timestamp(0)), "Thu Jan 01 00:00:00 UTC 1970");
        assert_eq!(java(Timestamp(1_795_182_662_000)), "Fri Nov 20 13:51:02 UTC 2026");
        assert_eq!(minute(Timestamp(1_709_210_096_789)), "2024-02-29 12:34 UTC");
        assert_eq!(minute(Timestamp(-1)), "1969-12-31 23:59 UTC");
    }
}
