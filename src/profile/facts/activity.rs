//! What the threads of a recording did: shares of thread time, and of the GIL.
//!
//! Does: hold the counts, and word them. Does not: decide what a thread does; `sampler::run_state` does.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::wording::{decimals, percent, percents};
use crate::profile::clean::one_line;
use crate::sampler::run_state::RunState;

/// The most states that have a line of their own: those with the largest shares.
const MAX_LINES: usize = 12;

/// What the sampled threads did, in the samples in which they were had.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadActivity {
    /// How long threads were in each state: what the samples with it weigh (see [`Weights`](super::Weights)).
    #[serde(rename = "run_states", default, with = "pairs")]
    pub states: BTreeMap<RunState, u64>,
    /// How the GIL was used; absent where it was not measured: in other modes than wall mode, and where there is none.
    pub gil: Option<GilUse>,
}

/// How the GIL was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GilUse {
    /// Moments at which it was looked at.
    pub looks: u64,
    /// Those of them at which a thread held it.
    pub held: u64,
    /// How long threads waited for it, in what `states` is in.
    pub waiting: u64,
}

impl ThreadActivity {
    /// `GIL: …`, then the states, a line each, the largest share first. Nothing where nothing was had. `samples`: as many samples of equal
    /// weight tell as much of shares, where that is known; shares then have the digits that they deserve.
    pub fn lines(&self, samples: Option<f64>) -> Vec<String> {
        let all = self.states.values().copied().fold(0, u64::saturating_add);
        let gil = self.gil.map(|GilUse { looks, held, waiting }| {
            format!("GIL: held {}, waited for {} of thread time", percent(held, looks), percent(waiting, all))
        });
        let mut states: Vec<_> = self.states.iter().map(|(state, stacks)| (state.to_string(), *stacks)).collect();
        states.sort_by(|(words, stacks), (others, other)| (other, words).cmp(&(stacks, others)));
        let (own, rest) = states.split_at(states.len().min(MAX_LINES));
        let rest = rest.iter().fold(0, |sum: u64, (_, stacks)| sum.saturating_add(*stacks));
        let rest = (rest > 0).then(|| ("in other states".to_owned(), rest));
        let told: Vec<&(String, u64)> = own.iter().chain(&rest).collect();
        let times: Vec<u64> = told.iter().map(|(_, time)| *time).collect();
        let shares = match samples {
            Some(samples) => percents(&times, decimals(samples)),
            None => times.iter().map(|time| percent(*time, all)).collect(),
        };
        let line = |((words, _), share): (&&(String, u64), String)| {
            format!("threads: {share} of their time {}", one_line(words))
        };
        gil.into_iter().chain(told.iter().zip(shares).map(line)).collect()
    }
}

/// States and their counts as a list of pairs: a state is no text, which the members of a JSON object are.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    use crate::sampler::run_state::RunState;

    pub(super) fn serialize<S: Serializer>(states: &BTreeMap<RunState, u64>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(states)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<RunState, u64>, D::Error> {
        Ok(Vec::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn activity(states: &[(RunState, u64)], gil: Option<GilUse>) -> ThreadActivity {
        ThreadActivity { states: states.iter().cloned().collect(), gil }
    }

    #[test]
    fn shares_are_of_all_threads_time_and_the_gil_s_of_the_looks_at_it() {
        let gil = GilUse { looks: 50, held: 30, waiting: 50 };
        let states = [(RunState::Gil, 50), (RunState::Sleeping, 100), (RunState::Python, 50)];
        assert_eq!(
            activity(&states, Some(gil)).lines(None),
            [
                "GIL: held 60 %, waited for 25 % of thread time",
                "threads: 50 % of their time sleeping",
                "threads: 25 % of their time on CPU: Python",
                "threads: 25 % of their time waiting for the GIL",
            ]
        );
    }

    #[test]
    fn shares_have_as_many_digits_as_samples_make_certain() {
        let states = [(RunState::Python, 2), (RunState::Native, 1)];
        let of = |samples| activity(&states, None).lines(Some(samples)).remove(0);
        assert_eq!(of(300.0), "threads: 67 % of their time on CPU: Python");
        assert_eq!(of(100_000.0), "threads: 66.7 % of their time on CPU: Python");
    }

    #[test]
    fn what_was_not_measured_has_no_line() {
        assert_eq!(activity(&[], None).lines(None), [""; 0]);
        assert_eq!(activity(&[(RunState::Sleeping, 3)], None).lines(None), ["threads: 100 % of their time sleeping"]);
        let never_looked = GilUse { looks: 0, held: 0, waiting: 0 };
        assert_eq!(activity(&[], Some(never_looked)).lines(None), ["GIL: held none, waited for none of thread time"]);
    }

    #[test]
    fn many_states_are_summed_up() {
        let state = |n| RunState::Io { call: format!("call{n}").into(), file: None };
        let states: Vec<(RunState, u64)> = (0..40).map(|n| (state(n), 1)).collect();
        let lines = activity(&states, None).lines(None);
        assert_eq!(lines.len(), MAX_LINES + 1);
        assert_eq!(lines.last().map(String::as_str), Some("threads: 70 % of their time in other states"));
    }
}
