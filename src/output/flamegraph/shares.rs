//! The shares in the texts of inferno's frames, with their errors.
//!
//! Does: replace the two decimals that inferno writes by as many as the share deserves, and say how far it may be off, as the page does
//! (`html/flame.js`). Does not: compute a share: inferno's is exact to its last digit.

use crate::profile::facts::shares::error_in_points;

/// The text of a frame, `NAME (640 samples, 29.81%)`, as it is said of so many effective samples: `NAME (640 samples, 29.8 ± 1.3 %)`.
/// `None` where it has no share, or all of it.
pub(super) fn with_error(text: &str, samples: f64) -> Option<String> {
    let (before, percent) = text.strip_suffix("%)")?.rsplit_once(", ")?;
    let percent: f64 = percent.parse().ok()?;
    let share = percent / 100.0;
    if !(0.0..1.0).contains(&share) {
        return None;
    }
    let (error, digits) = error_in_points(share, samples);
    Some(format!("{before}, {percent:.digits$} ± {error:.digits$} %)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_has_its_error_and_no_digit_that_it_does_not_deserve() {
        let said = |text: &str, samples| with_error(text, samples).unwrap();
        assert_eq!(said("f (a.py:3) (310 samples, 29.81%)", 1_040.0), "f (a.py:3) (310 samples, 30 ± 3 %)");
        assert_eq!(said("f (252,838 µs, 12.93%)", 9_000.0), "f (252,838 µs, 12.9 ± 0.7 %)");
        assert_eq!(said("f (1 µs, 0.01%)", 2_000_000.0), "f (1 µs, 0.01 ± 0.01 %)");
        assert_eq!(said("f (1 samples, 5.00%)", 20.0), "f (1 samples, 5 ± 10 %)", "it may be two or three");
        assert_eq!(said("f (1 samples, 0.00%)", 20.0), "f (1 samples, 0 ± 5 %)", "one sample");
    }

    #[test]
    fn what_is_no_share_or_all_stays() {
        for text in ["all (640 samples, 100%)", "f", "f (3 samples, x%)", "f (100%)", "", "%)"] {
            assert_eq!(with_error(text, 100.0), None, "{text}");
        }
    }
}
