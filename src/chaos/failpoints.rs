//! What failpoints do when they are hit: nothing, kill the process, sleep, or fail. Set by the variable `COFFER_FAILPOINTS`
//! (`log-sync.before=kill:3;purge.after=sleep:50`), by the admin socket, or, in the simulator, decided by a hook.

use std::cell::RefCell;
use std::rc::Rc;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use super::points::POINTS;

/// Names the actions of this process from its start.
const VARIABLE: &str = "COFFER_FAILPOINTS";
/// Longest sleep at one hit.
const SLEEP_MS_MAX: u64 = 60_000;

/// What a failpoint does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Action {
    /// Nothing.
    #[default]
    Off,
    /// Ends the process at this hit, counted from when the action was set; the first is 1.
    Kill(u64),
    /// Panics at this hit: what a bug in a library would do.
    Panic(u64),
    /// Holds the thread up, at every hit.
    Sleep(Duration),
    /// Fails at this hit; zero is every hit. Only where the function can give an error.
    Error(u64),
}

/// How whoever hit a failpoint goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// As if nothing were there.
    Pass,
    /// With an error.
    Fail,
}

impl FromStr for Action {
    type Err = String;

    /// Reads `off`, `kill`, `kill:3`, `panic`, `panic:3`, `sleep:50` (milliseconds), `error` or `error:2`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no action: off, kill[:hit], panic[:hit], sleep:ms, error[:hit]");
        let (word, number) = match text.split_once(':') {
            Some((word, number)) => (word, Some(number.parse::<u64>().map_err(|_| wrong())?)),
            None => (text, None),
        };
        match (word, number) {
            ("off", None) => Ok(Self::Off),
            ("kill", number) => Ok(Self::Kill(number.unwrap_or(1).max(1))),
            ("panic", number) => Ok(Self::Panic(number.unwrap_or(1).max(1))),
            ("sleep", Some(millis)) => Ok(Self::Sleep(Duration::from_millis(millis.min(SLEEP_MS_MAX)))),
            ("error", number) => Ok(Self::Error(number.unwrap_or(0))),
            _ => Err(wrong()),
        }
    }
}

/// One failpoint of this process.
#[derive(Default)]
struct Armed {
    action: Action,
    since: u64,
}

/// Hits since the start, in the order of [`POINTS`].
static HITS: [AtomicU64; POINTS.len()] = [const { AtomicU64::new(0) }; POINTS.len()];

fn armed() -> MutexGuard<'static, Vec<Armed>> {
    static ARMED: OnceLock<Mutex<Vec<Armed>>> = OnceLock::new();
    let armed = ARMED.get_or_init(|| {
        let mut armed: Vec<Armed> = POINTS.iter().map(|_| Armed::default()).collect();
        for setting in std::env::var(VARIABLE).unwrap_or_default().split(';').filter(|setting| !setting.trim().is_empty()) {
            match read(setting) {
                Ok((at, action)) => armed[at].action = action,
                // Half of the settings would be another test than was asked for.
                Err(error) => refuse_to_start(&error),
            }
        }
        Mutex::new(armed)
    });
    armed.lock().expect("no holder of this lock panics")
}

fn refuse_to_start(error: &str) -> ! {
    eprintln!("{VARIABLE}: {error}");
    std::process::exit(2)
}

fn read(setting: &str) -> Result<(usize, Action), String> {
    let (name, action) = setting.split_once('=').ok_or_else(|| format!("{setting:?} is not name=action"))?;
    Ok((place_of(name.trim())?, action.trim().parse()?))
}

fn place_of(name: &str) -> Result<usize, String> {
    POINTS.iter().position(|point| point.name == name).ok_or_else(|| format!("no failpoint {name:?}"))
}

/// Sets what a failpoint does from its next hit on.
///
/// # Errors
/// If there is none of that name.
pub fn arm(name: &str, action: Action) -> Result<(), String> {
    let at = place_of(name)?;
    armed()[at] = Armed { action, since: HITS[at].load(Ordering::Relaxed) };
    Ok(())
}

/// How often each failpoint was hit since the start, in the order of [`POINTS`].
pub fn hits() -> Vec<(&'static str, u64)> {
    POINTS.iter().zip(&HITS).map(|(point, hits)| (point.name, hits.load(Ordering::Relaxed))).collect()
}

/// Decides in place of the process's own settings.
type Hook = Rc<dyn Fn(&'static str) -> Verdict>;

thread_local! {
    static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) };
}

/// From now on, failpoints on this thread ask `hook` and do nothing else: the simulator kills a host, not the process.
pub fn hook(hook: impl Fn(&'static str) -> Verdict + 'static) {
    HOOK.set(Some(Rc::new(hook)));
}

/// Failpoints on this thread do again what the process's settings say.
pub fn unhook() {
    HOOK.set(None);
}

/// Called by [`crate::failpoint!`].
///
/// # Panics
/// If no failpoint has that name: the table is part of the specification.
pub fn hit(name: &'static str) -> Verdict {
    let at = place_of(name).expect("every failpoint stands in the table");
    let count = HITS[at].fetch_add(1, Ordering::Relaxed) + 1;
    // Taken out first: a hook may pass failpoints itself.
    if let Some(hook) = HOOK.with_borrow(Clone::clone) {
        return hook(name);
    }
    let (action, count) = {
        let armed = armed();
        (armed[at].action, count - armed[at].since)
    };
    match action {
        Action::Kill(hit) if hit == count => {
            eprintln!("the failpoint {name} ends this process at hit {count}");
            std::process::abort()
        }
        Action::Panic(hit) if hit == count => panic!("the failpoint {name} was told to panic"),
        Action::Sleep(time) => {
            std::thread::sleep(time);
            Verdict::Pass
        }
        Action::Error(hit) if hit == 0 || hit == count => Verdict::Fail,
        Action::Off | Action::Kill(_) | Action::Panic(_) | Action::Error(_) => Verdict::Pass,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_read() {
        assert_eq!("off".parse(), Ok(Action::Off));
        assert_eq!("kill".parse(), Ok(Action::Kill(1)));
        assert_eq!("kill:3".parse(), Ok(Action::Kill(3)));
        assert_eq!("sleep:50".parse(), Ok(Action::Sleep(Duration::from_millis(50))));
        assert_eq!("sleep:999999999".parse(), Ok(Action::Sleep(Duration::from_millis(SLEEP_MS_MAX))));
        assert_eq!("error".parse(), Ok(Action::Error(0)));
        for wrong in ["", "kill:", "kill:-1", "sleep", "off:1", "KILL", "kill:3:4"] {
            assert!(wrong.parse::<Action>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_failpoint_fails_at_the_hit_that_was_named() {
        let failing = || -> Result<(), &'static str> {
            crate::failpoint!("test.failing", "told to");
            Ok(())
        };
        assert_eq!(failing(), Ok(()));
        arm("test.failing", Action::Error(2)).unwrap();
        assert_eq!([failing(), failing(), failing()], [Ok(()), Err("told to"), Ok(())]);
        arm("test.failing", Action::Off).unwrap();
        assert_eq!(failing(), Ok(()));
        assert!(arm("no such point", Action::Off).is_err());
    }

    #[test]
    fn a_hook_decides_for_its_thread_alone() {
        let asked = Rc::new(RefCell::new(Vec::new()));
        let seen = asked.clone();
        hook(move |name| {
            seen.borrow_mut().push(name);
            Verdict::Fail
        });
        assert_eq!(hit("test.hooked"), Verdict::Fail);
        assert_eq!(std::thread::spawn(|| hit("test.hooked")).join().unwrap(), Verdict::Pass);
        unhook();
        assert_eq!(hit("test.hooked"), Verdict::Pass);
        assert_eq!(*asked.borrow(), ["test.hooked"]);
    }

    #[test]
    fn names_are_unique() {
        for (at, point) in POINTS.iter().enumerate() {
            assert_eq!(place_of(point.name), Ok(at));
        }
    }
}
