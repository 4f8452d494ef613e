//! The smallest history of each anomaly, and of what only looks like one: every checker says what the file's header expects, and why.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use jepsen::check::Verdict;
use jepsen::check::compose::{NAMED, named};
use jepsen::check::wgl::Limits;
use jepsen::core::{Format, History};

struct Fixture {
    path: PathBuf,
    text: String,
}

impl Fixture {
    fn header(&self, name: &str) -> Option<&str> {
        self.text.lines().find_map(|line| line.strip_prefix("; ")?.strip_prefix(name)?.strip_prefix(": "))
    }
    fn verdict(&self) -> Verdict {
        let model = self.header("model").expect("a fixture names its model");
        let named = named(model).unwrap_or_else(|| panic!("{}: no model {model}", self.path.display()));
        let history = History::read(&self.path).unwrap_or_else(|refused| panic!("{}: {refused}", self.path.display()));
        (named.check)(&history, Limits::default()).unwrap_or_else(|refused| panic!("{}: {refused}", self.path.display()))
    }
}

fn fixtures() -> Vec<Fixture> {
    let mut found = Vec::new();
    for folder in ["good", "bad"] {
        for entry in
            fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(folder)).expect("the fixtures lie beside the sources")
        {
            let path = entry.expect("its entries too").path();
            let text = fs::read_to_string(&path).expect("fixtures are text");
            found.push(Fixture { path, text });
        }
    }
    assert!(found.len() > 100, "only {} fixtures", found.len());
    found
}

#[test]
fn every_fixture_is_judged_as_its_header_says() {
    let mut wrong = Vec::new();
    for fixture in fixtures() {
        let verdict = fixture.verdict();
        let (expected, says) = (fixture.header("expect").unwrap(), fixture.header("says").unwrap_or(""));
        let is_good = fixture.path.parent().unwrap().ends_with("good");
        if verdict.valid.name() != expected || is_good != (expected == "true") || !verdict.to_string().contains(says) {
            wrong.push(format!("{}: expected {expected}, saying `{says}`\n{verdict}", fixture.path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_false_is_shown_by_lines_of_the_history() {
    fn witnesses(verdict: &Verdict) -> usize {
        verdict.witness.len() + verdict.children.iter().map(witnesses).sum::<usize>()
    }
    for fixture in fixtures().iter().filter(|fixture| fixture.header("expect") == Some("false")) {
        assert!(witnesses(&fixture.verdict()) > 0, "{} has no witness", fixture.path.display());
    }
}

#[test]
fn every_named_checker_has_a_good_and_a_bad_history() {
    let fixtures = fixtures();
    let models = |folder: &str| -> BTreeSet<&str> {
        fixtures
            .iter()
            .filter(|fixture| fixture.path.parent().unwrap().ends_with(folder))
            .filter_map(|fixture| fixture.header("model"))
            .collect()
    };
    let (good, bad) = (models("good"), models("bad"));
    // These two are the others with one thing changed, and their good histories are those.
    let twins = ["set-full-strict", "versioned-search"];
    for named in NAMED {
        assert!(bad.contains(named.name), "no bad history for {}", named.name);
        assert!(good.contains(named.name) || twins.contains(&named.name), "no good history for {}", named.name);
    }
}

#[test]
fn every_fixture_survives_the_way_through_jsonl() {
    for fixture in fixtures() {
        let history = History::parse(&fixture.text).unwrap();
        assert_eq!(History::parse(&history.to_text(Format::Jsonl)).unwrap(), history, "{}", fixture.path.display());
    }
}
