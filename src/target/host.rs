//! The machine that fpprof runs on, and what it may do there.
//!
//! Does: gather what decides about tracing. Does not: name the machine or its users, or judge.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use nix::sys::utsname::uname;
use serde::Serialize;

use super::root::TargetRoot;

/// os-release(5) has some hundred bytes.
const MAX_OS_RELEASE: u64 = 64 << 10;

/// What is known of the machine, and of this process on it.
#[derive(Debug, Serialize)]
pub struct Host {
    /// The kernel's release and version, as uname(2) gives them.
    pub kernel: Option<String>,
    /// The processor's architecture.
    pub machine: Option<String>,
    /// The distribution that fpprof sees.
    pub distribution: Option<String>,
    /// The processors that this process may use.
    pub cpus: Option<usize>,
    /// `kernel.yama.ptrace_scope`; absent where the kernel has no Yama.
    pub yama_ptrace_scope: Option<String>,
    /// Lines of this process's own `/proc/self/status`.
    pub limits: Vec<String>,
}

/// The lines of `/proc/self/status` that decide what a process may do (proc_pid_status(5)).
const LIMITS: [&str; 4] = ["CapEff:", "CapBnd:", "NoNewPrivs:", "Seccomp:"];

impl Host {
    /// This machine.
    pub fn this() -> Host {
        let names = uname().ok();
        let text = |name: &std::ffi::OsStr| name.to_string_lossy().into_owned();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let is_limit = |line: &&str| LIMITS.iter().any(|name| line.starts_with(name));
        let yama = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").ok();
        Host {
            kernel: names.as_ref().map(|names| format!("{} {}", text(names.release()), text(names.version()))),
            machine: names.as_ref().map(|names| text(names.machine())),
            distribution: TargetRoot::at(Path::new("/")).ok().and_then(|root| distribution(&root)),
            cpus: std::thread::available_parallelism().ok().map(usize::from),
            yama_ptrace_scope: yama.map(|scope| scope.trim().to_owned()),
            limits: status.lines().filter(is_limit).map(|line| line.replace('\t', " ")).collect(),
        }
    }
}

/// The name of the distribution in a root, by os-release(5); `None` in an image without one.
pub fn distribution(root: &TargetRoot) -> Option<String> {
    let read = |path: &str| -> Option<String> {
        let file: File = root.open(Path::new(path)).ok()?;
        let mut text = String::new();
        file.take(MAX_OS_RELEASE).read_to_string(&mut text).ok()?;
        Some(text)
    };
    let text = read("/etc/os-release").or_else(|| read("/usr/lib/os-release"))?;
    pretty_name(&text)
}

fn pretty_name(os_release: &str) -> Option<String> {
    let value = os_release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?.trim();
    Some(value.trim_matches(['"', '\'']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distribution_is_named_as_it_names_itself() {
        assert_eq!(
            pretty_name("NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n").unwrap(),
            "Debian GNU/Linux 12"
        );
        assert_eq!(pretty_name("PRETTY_NAME=Alpine\n").unwrap(), "Alpine");
        assert_eq!(pretty_name("ID=x\n"), None);
    }

    #[test]
    fn this_machine_is_known() {
        let host = Host::this();
        assert!(host.kernel.is_some() && host.machine.is_some() && host.cpus.is_some(), "{host:?}");
        assert!(host.limits.iter().any(|line| line.starts_with("CapEff:")), "{host:?}");
    }
}
