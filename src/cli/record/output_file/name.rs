//! Names of outputs that were not named.
//!
//! Does: make one of the program, the process and the time, and one for a recording that is not whole yet. Does not: look whether a file has it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::types::Pid;

/// What follows the name of an output in that of its recording until it is whole.
const PARTIAL: &str = "partial.fpprof";

/// The name of a recording that an output is to be made of, or that is to be the output: `profile.svg.partial.fpprof`. `number` counts from 1, the
/// recordings that were left behind.
pub fn partial_name(output: &Path, number: u32) -> PathBuf {
    let number = if number < 2 { String::new() } else { format!("{number}.") };
    let mut name = output.file_name().map_or_else(|| OsString::from("fpprof"), OsString::from);
    name.push(format!(".{number}{PARTIAL}"));
    output.with_file_name(name)
}

/// The name of an output that was not named: `python3.13-1234-20260131T235959Z.svg`.
pub fn default_name(program: &str, pid: Pid, at: SystemTime, extension: &str) -> PathBuf {
    let program: String =
        program.chars().map(|c| if c.is_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' }).collect();
    PathBuf::from(format!("{program}-{pid}-{}.{extension}", timestamp(at)))
}

/// A point in time in the basic form of ISO 8601, in UTC.
fn timestamp(at: SystemTime) -> String {
    let since_epoch = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let (days, seconds) = (since_epoch / 86_400, since_epoch % 86_400);
    let (year, month, day) = civil_date(days);
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// The date of a number of days since 1970-01-01, by eras of 400 years that begin in March, so that a leap day is the
/// last day of its year (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days).
fn civil_date(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_name_says_what_who_and_when() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(951_827_696);
        assert_eq!(default_name("python 3/x", Pid(7), at, "svg"), Path::new("python_3_x-7-20000229T123456Z.svg"));
    }

    #[test]
    fn a_recording_that_is_not_whole_stands_beside_its_output() {
        let name = |number| partial_name(Path::new("out/x.svg"), number);
        assert_eq!(name(1), Path::new("out/x.svg.partial.fpprof"));
        assert_eq!(name(2), Path::new("out/x.svg.2.partial.fpprof"));
    }
}
