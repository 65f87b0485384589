//! What went wrong, and what to do next: the form of every error that a user sees.
//!
//! Does: pair a message with a hint and an exit code; there is no error without a hint. Does not: print, or exit.

use std::fmt;

/// What went wrong. It becomes a [`Failure`] with what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "an error is not one before it has a hint"]
pub struct Problem(String);

impl Problem {
    /// The error with what to do about it.
    pub fn with_hint(self, hint: impl Into<String>) -> Failure {
        Failure { message: self.0, hint: hint.into(), exit_code: 1 }
    }
}

/// An error for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong.
    pub message: String,
    /// What the user can do about it.
    pub hint: String,
    /// The code to exit with; never 0.
    pub exit_code: u8,
}

impl Failure {
    /// What went wrong, still without what to do about it.
    #[expect(clippy::new_ret_no_self, reason = "an error is not complete before it has a hint")]
    pub fn new(message: impl fmt::Display) -> Problem {
        Problem(message.to_string())
    }

    /// The same error with more to do about it.
    pub fn and_hint(self, more: &str) -> Failure {
        Failure { hint: format!("{} {more}", self.hint), ..self }
    }

    /// The same error with another exit code; 0 would say that nothing went wrong, and is not taken.
    pub fn with_exit_code(self, code: u8) -> Failure {
        Failure { exit_code: code.max(1), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fpprof: {}\n  {}", self.message, self.hint)
    }
}

impl std::error::Error for Failure {}
