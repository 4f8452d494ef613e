//! The page of a run, opened in a real browser where there is one: Chromium, without a window and without a network.
//!
//! The browser is told to write down the page's tree after its script ran. Where no Chromium is installed the test says so and checks nothing
//! of that; what the page consists of is tested beside its code.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use jepsen::core::{Format, History, Kind, Op, Process, Value};

/// Programs that are Chromium.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
/// Text of a history that must stay text.
const EVIL: &str = "</script><script>document.documentElement.dataset.evil=1</script>";
/// A browser that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(60);

fn browser() -> Option<&'static str> {
    let answers = |name: &&str| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success());
    BROWSERS.into_iter().find(answers)
}

/// A run's folder: two nodes, four seconds, a fault, an operation of each outcome, and text that would break a careless page.
fn folder(into: &Path) {
    let ms = |ms: u64| ms * 1_000_000;
    let mut lines = Vec::new();
    for n in 0..300 {
        let begun = Op::invoke(n % 3, "read", Value::Nil).on("a1").of("a").with("workload", "set").at(ms(n * 13));
        let kind = [Kind::Ok, Kind::Fail][usize::from(n % 5 == 0)];
        lines.push(begun.clone());
        lines.push(begun.complete(kind, EVIL).at(ms(n * 13 + 1 + n % 7)));
    }
    let lost = Op::invoke(9, "add", 5).on("a2").of("a").with("workload", "set").at(ms(1000));
    lines.extend([lost.clone(), lost.complete(Kind::Info, 5).because("timeout").at(ms(2500))]);
    for (f, at) in [("start-kill", 900), ("stop-kill", 2000)] {
        let fault = Op::new(Kind::Info, Process::Nemesis, f, Value::pair(Value::keyword("kill-one"), "a"));
        lines.push(fault.clone().at(ms(at)));
        lines.push(fault.with("outcome", Value::keyword("installed")).with("what", "a2").at(ms(at + 50)));
    }
    lines.sort_by_key(|op| op.time);
    History::from_ops(lines).write(&into.join("history.jsonl"), Format::Jsonl).expect("the folder can be written to");
    let sample = |n: u64, node: &str, role: &str| {
        format!(
            r#"{{"t":{},"node":"{node}","cluster":"a","role":"{role}","term":2,"applied":{n},"record":{n},"root":"{n:04x}","mode":"primary"}}"#,
            ms(n * 250)
        )
    };
    let samples = (0..16).flat_map(|n| [sample(n, "a1", "active"), sample(n.saturating_sub(n % 3), "a2", "standby")]);
    fs::write(into.join("samples.jsonl"), samples.collect::<Vec<_>>().join("\n")).expect("the folder can be written to");
    fs::write(into.join("verdict"), "false  run: 1 of 2 do not hold\n  true  set: fine\n  false  restart: <b>broken</b>\n")
        .expect("as above");
}

fn report(folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_jepsen")).arg("report").arg(folder).output().expect("the binary was built for this test")
}

/// The tree of a page after its script ran.
fn dump(browser: &str, page: &Path, profile: &Path) -> String {
    let (out, log) = (profile.join("dom.html"), profile.join("browser.log"));
    let file = |path: &Path| fs::File::create(path).expect("the folder can be written to");
    let mut command = Command::new(browser);
    command.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--dump-dom"]);
    command.arg(format!("--user-data-dir={}", profile.join("profile").display())).arg(format!("file://{}", page.display()));
    let mut child = command.stdout(file(&out)).stderr(file(&log)).spawn().expect("it answered before");
    let begin = Instant::now();
    while child.try_wait().expect("it is our child").is_none() {
        if begin.elapsed() > LIMIT {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{browser} hangs:\n{}", fs::read_to_string(&log).unwrap_or_default());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    fs::read_to_string(&out).expect("the browser wrote it")
}

#[test]
fn a_browser_shows_the_verdict_and_every_plot_and_its_script_runs_to_the_end() {
    let run = tempfile::tempdir().expect("a folder for this test");
    folder(run.path());
    let output = report(run.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let page = run.path().join("report.html");
    let Some(browser) = browser() else {
        eprintln!("skipped: no Chromium is installed, so nobody opened the page");
        return;
    };
    let profile = tempfile::tempdir().expect("a folder for this test");
    let tree = dump(browser, &page, profile.path());
    let root = tree.split_once("<head>").expect("a page has a head").0;
    assert!(root.contains("data-plots=\"6\"") && !root.contains("data-error"), "{root}");
    assert!(root.contains("data-verdict=\"false\""), "{root}");
    for id in ["latency", "rate", "nodes", "stale", "roots", "timeline"] {
        assert!(tree.contains(&format!("id=\"{id}\"")), "there is no plot `{id}`");
    }
    for mark in ["dot ok", "dot fail", "dot info", "band fault0", "line applied", "class=\"active\"", "class=\"cursor\""] {
        assert!(tree.contains(mark), "nothing is marked `{mark}`");
    }
    assert!(tree.contains("<strong>restart</strong> &lt;b&gt;broken&lt;/b&gt;"));
    assert!(tree.contains("dataset.evil") && !root.contains("data-evil"), "text of the history became a script");
}

#[test]
fn a_folder_without_a_history_is_refused() {
    let empty = tempfile::tempdir().expect("a folder for this test");
    let output = report(empty.path());
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no history.jsonl or history.edn in this folder"));
}
