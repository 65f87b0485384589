//! A run state as files have it: an identifier, and what it has beside that. Words are not read.
//!
//! Does: write any state, and read what any version has written: a state that this one does not know is
//! [`RunState::Other`], with its identifier. Does not: know the words of version 1 of recordings.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::RunState;
use crate::target::descriptors::FileKind;

/// What is written of a state.
#[derive(Serialize, Deserialize)]
struct Written<'a> {
    id: Cow<'a, str>,
    /// For readers that do not know the state.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    on_cpu: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    call: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<FileKind>,
    /// Of a state that was not known to who has written it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    words: Option<Cow<'a, str>>,
}

impl Serialize for RunState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = Written { id: self.id().into(), on_cpu: self.is_on_cpu(), call: None, file: None, words: None };
        let written = match self {
            RunState::Io { call, file } => Written { call: Some(Cow::Borrowed(call)), file: *file, ..written },
            RunState::Other { words, .. } => Written { words: Some(Cow::Borrowed(words)), ..written },
            _ => written,
        };
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RunState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RunState, D::Error> {
        let Written { id, on_cpu, call, file, words } = Written::deserialize(deserializer)?;
        if let Some(plain) = RunState::PLAIN.iter().find(|state| state.id() == id) {
            return Ok(plain.clone());
        }
        Ok(match call {
            Some(call) if id == "io" => RunState::Io { call: call.into_owned().into(), file },
            _ => RunState::Other { words: words.unwrap_or(id).into(), is_on_cpu: on_cpu },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> RunState {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn every_state_is_read_as_it_was_written() {
        let io = |file| RunState::Io { call: "read".into(), file };
        let other = |is_on_cpu| RunState::Other { words: "on a break".into(), is_on_cpu };
        let more = [io(None), io(Some(FileKind::Socket)), io(Some(FileKind::Other)), other(true), other(false)];
        for state in RunState::PLAIN.iter().chain(&more) {
            let text = serde_json::to_string(state).unwrap();
            assert_eq!(read(&text), *state);
            let words = state.to_string();
            let is_other = matches!(state, RunState::Other { .. });
            assert!(is_other || !words.contains(' ') || !text.contains(&words), "words in {text}");
        }
        assert_eq!(serde_json::to_string(&RunState::Python).unwrap(), r#"{"id":"cpu_python","on_cpu":true}"#);
        let pipe = io(Some(FileKind::Pipe));
        assert_eq!(serde_json::to_string(&pipe).unwrap(), r#"{"id":"io","call":"read","file":"pipe"}"#);
    }

    #[test]
    fn what_a_later_version_writes_keeps_what_can_be_kept() {
        let other = |words: &str, is_on_cpu| RunState::Other { words: words.into(), is_on_cpu };
        assert_eq!(read(r#"{"id":"cpu_moon","on_cpu":true,"cpu":3}"#), other("cpu_moon", true));
        assert_eq!(read(r#"{"id":"io"}"#), other("io", false), "it is no wait for a file that this version knows");
        assert_eq!(
            read(r#"{"id":"io","call":"new_call","file":"new_kind"}"#),
            RunState::Io { call: "new_call".into(), file: Some(FileKind::Other) }
        );
        assert_eq!(read(r#"{"id":"sleeping","on_cpu":true}"#), RunState::Sleeping, "known states are known");
    }
}
