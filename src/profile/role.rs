//! What a process is to its users: its role, by its command line.
//!
//! Does: leave out of a command line what all of a fleet share (the interpreter, its switches, folders), and know how the standard
//! library and joblib start workers. Does not: read a process.

use super::clean::{one_line, shortened};

/// A longer role says no more.
const MAX_ROLE: usize = 60;
/// More arguments than this of an interpreter itself nobody gives.
const MAX_SWITCHES: usize = 32;

/// How workers are started that have no command line of their own: a part of it, and what they are. The first that fits.
const WORKERS: [(&str, &str); 6] = [
    ("multiprocessing.resource_tracker", "multiprocessing resource_tracker"),
    ("multiprocessing.forkserver", "multiprocessing forkserver"),
    ("multiprocessing.spawn", "multiprocessing spawn"),
    ("loky.backend.resource_tracker", "loky resource_tracker"),
    ("loky.backend.popen_loky", "loky worker"),
    ("concurrent.futures", "concurrent.futures worker"),
];

/// The role of a process with this command line, its arguments separated by spaces.
pub fn role(command: &str) -> String {
    let command = one_line(command);
    if let Some((_, worker)) = WORKERS.iter().find(|(part, _)| command.contains(part)) {
        return (*worker).to_owned();
    }
    let mut words = command.split(' ').filter(|word| !word.is_empty());
    let Some(program) = words.next() else { return "unknown command".to_owned() };
    let rest: Vec<&str> = words.collect();
    // Whoever calls himself something (setproctitle) has said it: `gunicorn: worker [shop]`.
    if program.ends_with(':') {
        return shortened(&command, MAX_ROLE).into_owned();
    }
    let role = match is_python(file_name(program)) {
        true => of_python(&rest).unwrap_or_else(|| vec![file_name(program)]),
        false => [file_name(program)].into_iter().chain(rest).collect(),
    };
    shortened(&role.join(" "), MAX_ROLE).into_owned()
}

/// What an interpreter with these arguments runs; `None` where it is the interpreter itself.
fn of_python<'a>(arguments: &[&'a str]) -> Option<Vec<&'a str>> {
    let mut arguments = arguments.iter().copied();
    for _ in 0..MAX_SWITCHES {
        match arguments.next()? {
            "-m" => return Some(arguments.collect()),
            "-c" => return Some(["-c"].into_iter().chain(arguments).collect()),
            // Those that have a value behind them.
            "-W" | "-X" | "--check-hash-based-pycs" => drop(arguments.next()),
            switch if switch.starts_with('-') && switch.len() > 1 => {}
            script => return Some([file_name(script)].into_iter().chain(arguments).collect()),
        }
    }
    None
}

/// Whether a program's name is that of an interpreter: `python3.13t`, not `pythonista`.
fn is_python(name: &str) -> bool {
    name.strip_prefix("python")
        .is_some_and(|rest| rest.trim_end_matches(['t', 'd']).chars().all(|c| c.is_ascii_digit() || c == '.'))
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').find(|part| !part.is_empty()).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_what_a_user_calls_a_process() {
        for (command, expected) in [
            ("/usr/bin/python3 /usr/local/bin/gunicorn -w 4 shop.wsgi", "gunicorn -w 4 shop.wsgi"),
            ("gunicorn: worker [shop.wsgi]", "gunicorn: worker [shop.wsgi]"),
            ("/venv/bin/python3.13t -X dev -Wd -u -m celery -A shop worker", "celery -A shop worker"),
            ("python -c import time; time.sleep(1)", "-c import time; time.sleep(1)"),
            ("python3", "python3"),
            ("/opt/py/bin/python3.12 -I", "python3.12"),
            (
                "/usr/bin/python3 -c from multiprocessing.spawn import spawn_main; spawn_main(tracker_fd=5) --multiprocessing-fork",
                "multiprocessing spawn",
            ),
            (
                "/usr/bin/python3 -m joblib.externals.loky.backend.popen_loky_posix --process-name LokyProcess-1",
                "loky worker",
            ),
            ("/usr/sbin/uwsgi --ini app.ini", "uwsgi --ini app.ini"),
            ("pythonista run", "pythonista run"),
            ("", "unknown command"),
        ] {
            assert_eq!(role(command), expected, "{command}");
        }
        assert!(role(&format!("python3 {}", "x".repeat(300))).chars().count() <= MAX_ROLE);
    }
}
