//! How far a share may be off that was estimated from samples.
//!
//! Does: tell the error, and how many digits a share deserves beside it. Does not: estimate shares.

/// What a share is off by at most in 19 of 20 recordings is so many standard errors.
const STANDARD_ERRORS: f64 = 1.96;

/// By how many points of a hundred a share, from 0 to 1, may be off that so many samples tell, and the decimals that both deserve.
pub fn error_in_points(share: f64, samples: f64) -> (f64, usize) {
    let samples = samples.max(1.0);
    let error = STANDARD_ERRORS * 100.0 * (share * (1.0 - share) / samples).max(0.0).sqrt();
    // Never less than one sample, nor than the last digit of the share.
    let error = error.max(100.0 / samples).max(0.01);
    let digits = match error {
        0.95.. => 0,
        0.095.. => 1,
        _ => 2,
    };
    (error, digits)
}

/// `41 ± 2 %`.
pub fn share_with_error(share: f64, samples: f64) -> String {
    let (error, digits) = error_in_points(share, samples);
    format!("{:.digits$} ± {error:.digits$} %", 100.0 * share)
}
