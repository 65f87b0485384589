//! What went wrong, and what to do next: the form of every error that a user sees.
//!
//! Does: pair a message with a hint and an exit code. Does not: print, or exit.

use std::fmt;

/// An error for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong.
    pub message: String,
    /// What the user can do about it.
    pub hint: Option<String>,
    /// The code to exit with; never 0.
    pub exit_code: u8,
}

impl Failure {
    /// An error without a remedy.
    pub fn new(message: impl fmt::Display) -> Failure {
        Failure { message: message.to_string(), hint: None, exit_code: 1 }
    }

    /// The same error with what to do about it.
    pub fn with_hint(self, hint: impl Into<String>) -> Failure {
        Failure { hint: Some(hint.into()), ..self }
    }

    /// The same error with another exit code; 0 would say that nothing went wrong, and is not taken.
    pub fn with_exit_code(self, code: u8) -> Failure {
        Failure { exit_code: code.max(1), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fpprof: {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}
