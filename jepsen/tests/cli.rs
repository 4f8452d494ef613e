//! The command line as a user meets it: exit codes, messages, files.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

fn jepsen(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_jepsen")).args(arguments).output().expect("the binary was built for this test")
}

#[track_caller]
fn check(arguments: &[&str], code: i32, says: &str) {
    let output = jepsen(arguments);
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{text}");
    assert!(text.contains(says), "{arguments:?} does not say `{says}`\n{text}");
}

fn written(folder: &tempfile::TempDir, name: &str, text: &str) -> String {
    let file = folder.path().join(name);
    std::fs::write(&file, text).expect("the folder can be written to");
    file.display().to_string()
}

#[test]
fn the_exit_code_is_the_verdict() {
    let path = |name| fixture(name).display().to_string();
    check(&["check", &path("good/versioned-sequence.edn")], 0, "true  register");
    check(&["check", &path("bad/versioned-stale-read.edn"), "--model", "versioned"], 1, "had been seen or made before it began");
    check(&["check", &path("bad/versioned-nothing-answered.edn")], 2, "unknown");
    check(&["check", &path("good/versioned-sequence.edn"), "--require", "majority"], 2, "not enough evidence");
}

#[test]
fn what_cannot_be_used_is_refused_with_file_line_and_reason() {
    let folder = tempfile::tempdir().expect("a folder for this test");
    check(&["check", "no-such-folder"], 3, "no-such-folder: No such file");
    check(&["check", &folder.path().display().to_string()], 3, "no history.jsonl or history.edn in this folder");
    let broken = written(&folder, "broken.jsonl", "{\"type\":\"invoke\",\"process\":0,\"f\":\"read\"}\n\n{\"type\":\"ok\"\n{}\n");
    check(&["check", &broken, "--model", "versioned"], 3, "broken.jsonl: line 3: ");
    let cut = written(&folder, "cut.edn", "; a comment\n{:type :invoke, :process 0, :f :read, :value");
    check(&["check", &cut, "--model", "versioned"], 3, "cut.edn: line 2: ");
    let twice = "; a comment\n{:type :invoke, :process 0, :f :read, :value nil}\n{:type :invoke, :process 0, :f :read, :value nil}\n";
    let twice = written(&folder, "twice.edn", twice);
    check(
        &["check", &twice, "--model", "versioned"],
        3,
        "twice.edn: line 3: operation 1: process 0 begins `read` before its last operation ended",
    );
    let shape = written(&folder, "shape.edn", "{:type :invoke, :process 0, :f :read, :value 7}\n");
    check(&["check", &shape, "--model", "versioned"], 3, "shape.edn: line 1: operation 0: the value of `read` is [key value], not 7");
    check(&["check", &shape, "--model", "nonsense"], 3, "no model `nonsense`. Models are:");
    check(&["check", &shape], 3, "which model?");
    check(&["check"], 3, "--help");
}

#[test]
fn a_history_of_several_workloads_is_judged_by_each_of_its_checkers() {
    let folder = tempfile::tempdir().expect("a folder for this test");
    let text = r#"{:type :invoke, :process 0, :f :write, :value [1 [nil 5]], :workload "register"}
{:type :invoke, :process 1, :f :add, :value 1, :workload "set"}
{:type :ok, :process 0, :f :write, :value [1 [1 5]], :workload "register"}
{:type :ok, :process 1, :f :add, :value 1, :workload "set"}
{:type :invoke, :process 2, :f :read, :value nil, :workload "set"}
{:type :ok, :process 2, :f :read, :value [], :workload "set"}
"#;
    let file = written(&folder, "history.edn", text);
    check(&["check", &folder.path().display().to_string()], 1, "true  register 1");
    check(&["check", &file, "--workload", "set"], 1, "known and are gone: 1");
    check(&["check", &file, "--workload", "register"], 0, "true");
    check(&["check", &file, "--workload", "append"], 3, "no lines of workload `append`");
}

#[test]
fn a_failing_history_is_shrunk_to_a_file_that_fails() {
    let folder = tempfile::tempdir().expect("a folder for this test");
    let mut text = String::new();
    for number in 1..40 {
        text += &format!("{{:type :invoke, :process 0, :f :add, :value {number}}}\n{{:type :ok, :process 0, :f :add, :value {number}}}\n");
    }
    let all_but_seven: Vec<String> = (1..40).filter(|number| *number != 7).map(|number| number.to_string()).collect();
    text += &format!(
        "{{:type :invoke, :process 9, :f :read, :value nil}}\n{{:type :ok, :process 9, :f :read, :value [{}]}}\n",
        all_but_seven.join(" ")
    );
    let file = written(&folder, "history.edn", &text);
    check(&["shrink", &file, "--model", "set"], 1, "lines, in ");
    let shrunk = folder.path().join("history.shrunk.edn").display().to_string();
    check(&["check", &shrunk], 1, "no order explains");
    check(&["shrink", &fixture("good/versioned-sequence.edn").display().to_string()], 0, "nothing to shrink: the verdict is true");
}

#[test]
fn keys_are_written_one_by_one_for_others() {
    let folder = tempfile::tempdir().expect("a folder for this test");
    let keys = folder.path().join("keys").display().to_string();
    let history = fixture("good/cas-register-keys.edn").display().to_string();
    check(&["edn", &history, "--per-key", "--out", &keys], 0, "2 keys in ");
    let first = folder.path().join("keys/1.edn").display().to_string();
    check(&["check", &first, "--model", "cas-register"], 0, "true");
    check(&["edn", &history], 0, "{:index 0, :time 1000000, :type :invoke, :process 0, :f :write, :value [1 5]}");
}

#[test]
fn every_command_shows_examples() {
    for command in ["check", "edn", "report", "shrink"] {
        check(&[command, "--help"], 0, "Examples:");
    }
}
