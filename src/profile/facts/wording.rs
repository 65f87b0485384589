//! Numbers as text, the same in every output.
//!
//! Does: write numbers with their units. Does not: know what they count.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::target::cpu_quota::CpuQuota;
use crate::types::Nanos;

/// `1,234,567`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 sample`, `2,000 samples`.
pub(super) fn plural(number: u64, one: &str, several: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { several })
}

/// A share in percent. Rounded down, so that 100 % means all, and never 0 % of some.
pub(super) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "none".to_owned();
    }
    let hundredths = u128::from(part) * 10_000 / u128::from(whole);
    match (part, hundredths) {
        (1.., 0) => "< 0.01 %".to_owned(),
        _ if hundredths.is_multiple_of(100) => format!("{} %", hundredths / 100),
        _ => format!("{}.{:02} %", hundredths / 100, hundredths % 100),
    }
}

/// How far a share of a half that was estimated from so many samples may lie beside the truth in one of twenty recordings, in points: 1.96
/// times the binomial error.
pub(super) fn error_of_a_half(samples: f64) -> f64 {
    196.0 * (0.25 / samples.max(1.0)).sqrt()
}

/// How many decimals a share in percent deserves that was estimated from so many samples: the last digit is smaller than the error.
pub(super) fn decimals(samples: f64) -> u32 {
    match error_of_a_half(samples) {
        0.5.. => 0,
        0.05.. => 1,
        _ => 2,
    }
}

/// The shares of a whole in percent, which sum to 100: rounded by the largest remainders. None that is some is told as 0 %, and none that is
/// less as 100 %.
pub(super) fn percents(parts: &[u64], decimals: u32) -> Vec<String> {
    let unit = 10_u128.pow(decimals);
    let whole: u128 = parts.iter().map(|part| u128::from(*part)).sum::<u128>().max(1);
    let scaled: Vec<u128> = parts.iter().map(|part| u128::from(*part) * 100 * unit).collect();
    let mut rounded: Vec<u128> = scaled.iter().map(|scaled| scaled / whole).collect();
    let all = if parts.iter().any(|part| *part > 0) { 100 * unit } else { 0 };
    let left = all.saturating_sub(rounded.iter().sum());
    let mut by_remainder: Vec<usize> = (0..parts.len()).collect();
    by_remainder.sort_by_key(|index| std::cmp::Reverse(scaled.get(*index).map(|scaled| scaled % whole)));
    for index in by_remainder.into_iter().take(usize::try_from(left).unwrap_or(usize::MAX)) {
        if let Some(share) = rounded.get_mut(index) {
            *share += 1;
        }
    }
    let text = |share: u128| match decimals {
        0 => format!("{share} %"),
        _ => format!("{}.{:0width$} %", share / unit, share % unit, width = decimals as usize),
    };
    let share = |(part, share): (&u64, &u128)| match share {
        0 if *part > 0 => format!("< {}", text(1)),
        share if *share == 100 * unit && u128::from(*part) < whole => format!("> {}", text(share - 1)),
        share => text(*share),
    };
    parts.iter().zip(&rounded).map(share).collect()
}

/// `100 Hz`, `0.5 Hz`.
pub(super) fn rate(hz: f64) -> String {
    format!("{hz} Hz")
}

/// `0.42 s`, `5 m 03 s`, `2 h 00 m`.
pub(super) fn seconds(duration: Duration) -> String {
    let whole = duration.as_secs();
    match whole {
        0..60 => format!("{:.2} s", duration.as_secs_f64()),
        60..3600 => format!("{} m {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} m", whole / 3600, whole / 60 % 60),
    }
}

/// `5.0 µs`, `120 µs`, `48.8 ms`.
pub(super) fn microseconds(duration: Nanos) -> String {
    let us = duration.0 as f64 / 1000.0;
    match us {
        ..99.95 => format!("{us:.1} µs"),
        ..9999.5 => format!("{us:.0} µs"),
        _ => format!("{:.1} ms", us / 1000.0),
    }
}

/// `0.25 of a CPU`, `1.5 CPUs`.
pub(super) fn cpus(quota: CpuQuota) -> String {
    let cpus = quota.time.0 as f64 / quota.period.0.max(1) as f64;
    // Three digits at most: quotas are round.
    let rounded = if cpus < 1.0 { (cpus * 1000.0).round() / 1000.0 } else { (cpus * 100.0).round() / 100.0 };
    match rounded {
        1.0 => "1 CPU".to_owned(),
        ..1.0 => format!("{rounded} of a CPU"),
        _ => format!("{rounded} CPUs"),
    }
}

/// `2026-03-01 12:00:59 UTC`; `None` for times before 1970 or that no calendar reaches.
pub(super) fn date_and_time(time: SystemTime) -> Option<String> {
    let seconds = time.duration_since(UNIX_EPOCH).ok()?.as_secs();
    let (year, month, day) = date(seconds / 86_400)?;
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    Some(format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC"))
}

/// The Gregorian date of a day counted from 1970-01-01; `None` after the year 9999.
fn date(mut day: u64) -> Option<(u64, u64, u64)> {
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    for year in 1970..10_000 {
        let days_of_year = 365 + u64::from(is_leap(year));
        if day >= days_of_year {
            day -= days_of_year;
            continue;
        }
        let february = 28 + u64::from(is_leap(year));
        for (month, days) in (1..).zip([31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]) {
            if day < days {
                return Some((year, month, day + 1));
            }
            day -= days;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0, 1, 2].map(|n| plural(n, "time", "times")), ["0 times", "1 time", "2 times"]);
        assert_eq!([100.0, 0.5].map(rate), ["100 Hz", "0.5 Hz"]);
        assert_eq!(
            [5_000, 99_949, 120_400, 48_759_000].map(|ns| microseconds(Nanos(ns))),
            ["5.0 µs", "99.9 µs", "120 µs", "48.8 ms"]
        );
        assert_eq!(
            [0.42, 303.9, 7205.0].map(|s| seconds(Duration::from_secs_f64(s))),
            ["0.42 s", "5 m 03 s", "2 h 00 m"]
        );
    }

    #[test]
    fn quotas_are_told_in_cpus() {
        let of = |us: u64| cpus(CpuQuota { time: Nanos(us * 1000), period: Nanos(100_000_000) });
        assert_eq!(of(2_000), "0.02 of a CPU");
        assert_eq!([25_000, 33_333].map(of), ["0.25 of a CPU", "0.333 of a CPU"]);
        assert_eq!([100_000, 250_000].map(of), ["1 CPU", "2.5 CPUs"]);
        assert_eq!(cpus(CpuQuota { time: Nanos(u64::MAX), period: Nanos(0) }), "18446744073709552000 CPUs");
    }

    #[test]
    fn shares_have_the_digits_that_they_deserve_and_sum_to_all() {
        assert_eq!([10.0, 400.0, 40_000.0, 5_000_000.0].map(decimals), [0, 0, 1, 2]);
        assert_eq!(percents(&[1, 1, 1], 0), ["34 %", "33 %", "33 %"]);
        assert_eq!(percents(&[2, 1], 1), ["66.7 %", "33.3 %"]);
        assert_eq!(percents(&[999, 1, 0], 0), ["> 99 %", "< 1 %", "0 %"]);
        assert_eq!(percents(&[7, 0], 2), ["100.00 %", "0.00 %"]);
        assert_eq!(percents(&[], 1), [""; 0]);
        assert_eq!(percents(&[0, 0], 0), ["0 %", "0 %"]);
        assert_eq!(percents(&[u64::MAX, u64::MAX], 2), ["50.00 %", "50.00 %"]);
    }

    #[test]
    fn no_share_is_rounded_to_all_or_nothing() {
        assert_eq!(percent(999_999, 1_000_000), "99.99 %");
        assert_eq!(percent(1, 1_000_000), "< 0.01 %");
        assert_eq!([percent(5, 5), percent(0, 5), percent(0, 0), percent(1, 8)], ["100 %", "0 %", "none", "12.50 %"]);
        assert_eq!(percent(u64::MAX, u64::MAX), "100 %");
    }

    #[test]
    fn dates() {
        let at = |seconds| date_and_time(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0).as_deref(), Some("1970-01-01 00:00:00 UTC"));
        assert_eq!(at(951_827_696).as_deref(), Some("2000-02-29 12:34:56 UTC"));
        assert_eq!(at(1_798_761_599).as_deref(), Some("2026-12-31 23:59:59 UTC"));
        assert_eq!(at(1 << 40), None);
    }
}
