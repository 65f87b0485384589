//! When a process is sampled, which of its threads, and what a sample stands for.

pub mod accounts;
pub mod approach;
pub mod budget;
pub mod clock;
pub mod follower;
pub mod idle_backoff;
pub mod last_block;
pub mod mode;
pub mod observe;
pub mod open;
pub mod own_quota;
pub mod quota_window;
pub mod run_state;
pub mod sample;
pub mod session;

pub mod precedence;
pub mod statistics;
pub mod thread_history;
pub mod transfers;
