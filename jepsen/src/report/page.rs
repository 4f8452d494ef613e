//! The page: parts in the order in which one asks — what came of it, when, who, where everybody stood — and the files beside it.

use std::fmt::Write as _;

use serde_json::Value as Json;

use super::load::{Outcome, Run};
use super::svg::{Time, escape};
use super::{bands, latency, nodes, rate, roots, stale, timeline, verdict};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// A part of the page.
#[derive(Debug)]
pub struct Part {
    /// Its headline.
    pub title: &'static str,
    /// What is shown, and what is not. Plain text.
    pub about: String,
    /// HTML.
    pub body: String,
}

impl Part {
    fn html(&self) -> String {
        format!("<section><h2>{}</h2>{}<p class=\"about\">{}</p></section>\n", escape(self.title), self.body, escape(&self.about))
    }
}

/// The whole page.
pub fn render(run: &Run) -> String {
    let faults = bands::bands(&run.history);
    let time = Time { span: run.span };
    let behind = |height: f64| bands::draw(&faults, time, height);
    let draws: [fn(&Run, &dyn Fn(f64) -> String) -> Part; 6] =
        [latency::draw, rate::draw, nodes::draw, stale::draw, roots::draw, timeline::draw];
    let parts: String = draws.iter().map(|draw| draw(run, &behind).html()).collect();
    let tree = verdict::parse(run.verdict.as_deref().unwrap_or_default());
    let valid = tree.first().map_or("missing", |branch| branch.valid.as_str());
    let shown = match tree.is_empty() {
        true => "<p>This folder holds no verdict: the run did not come to its end.</p>".to_owned(),
        false => verdict::draw(&tree),
    };
    let outcomes: String = [Outcome::Ok, Outcome::Fail, Outcome::Info]
        .map(|outcome| {
            let count = run.calls.iter().filter(|call| call.outcome == outcome).count();
            format!("<span class=\"key\"><i class=\"{0}\"></i>{0} {count}</span>", outcome.name())
        })
        .concat();
    let legend = match faults.is_empty() {
        true => "<span class=\"key\">no fault was in force</span>".to_owned(),
        false => bands::legend(&faults),
    };
    format!(
        "<!doctype html>\n<html lang=\"en\" data-verdict=\"{valid}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{valid}: {name}</title>\n<style>\n{STYLE}</style>\n</head>\n<body data-span=\"{span}\">\n\
         <header><h1><b class=\"valid {valid}\">{valid}</b> {name}</h1><button id=\"theme\" type=\"button\">dark / light</button></header>\n\
         {facts}<section id=\"verdict\"><h2>Verdict</h2>{shown}</section>\n\
         <div class=\"legend\" id=\"legend\">{outcomes}<span class=\"gap\"></span>{legend}\
         <span class=\"hint\">Point at anything. Drag over a plot to look closer; double-click to see all.</span></div>\n\
         {parts}{counts}{plan}{files}<div id=\"tip\" hidden></div>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        name = escape(&run.name),
        span = run.span,
        facts = facts(run),
        counts = counts(&run.summary),
        plan = plan(&run.plan),
        files = files(run),
    )
}

fn words(json: &Json) -> String {
    match json {
        Json::Array(words) => words.iter().map(words_of).collect::<Vec<_>>().join(","),
        other => words_of(other),
    }
}

fn words_of(json: &Json) -> String {
    json.as_str().map_or_else(|| json.to_string(), str::to_owned)
}

/// What was run, and how to run it again.
fn facts(run: &Run) -> String {
    let plan = &run.plan;
    let mut facts = format!("{} lines in {:.1} s", run.history.ops.len(), run.span);
    if plan["seed"].is_null() {
        return format!("<p class=\"facts\">{}</p>\n", escape(&facts));
    }
    let _ = write!(facts, " · {} nodes · {} under {}", words(&plan["topology"]), words(&plan["workloads"]), words(&plan["nemesis"]));
    let nemesis = if plan["nemesis"].as_array().is_some_and(Vec::is_empty) { "none".to_owned() } else { words(&plan["nemesis"]) };
    let again = format!(
        "jepsen run --topo {} --workload {} --nemesis {nemesis} --time {} --rate {} --hands {} --seed {}",
        words(&plan["topology"]),
        words(&plan["workloads"]),
        plan["seconds"],
        plan["rate"],
        plan["acts"].as_array().map_or(1, |hands| hands.len().max(1)),
        plan["seed"]
    );
    format!("<p class=\"facts\">{}<br><code>{}</code></p>\n", escape(&facts), escape(&again))
}

fn table(title: &str, head: &[&str], rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let cells = |tag: &str, cells: &[String]| cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escape(cell))).collect::<String>();
    let head: Vec<String> = head.iter().map(|&word| word.to_owned()).collect();
    let rows: String = rows.iter().map(|row| format!("<tr>{}</tr>", cells("td", row))).collect();
    format!(
        "<section><details><summary><h2>{title}</h2></summary><table><tr>{}</tr>{rows}</table></details></section>\n",
        cells("th", &head)
    )
}

fn counts(summary: &Json) -> String {
    let of = |counts: &Json, kind: &str| counts[kind].as_u64().unwrap_or(0).to_string();
    let row = |(name, counts): (&String, &Json)| -> Vec<String> {
        std::iter::once(name.clone()).chain(["invoke", "ok", "fail", "info"].map(|kind| of(counts, kind))).collect()
    };
    let rows: Vec<Vec<String>> = summary["counts"].as_object().into_iter().flatten().map(row).collect();
    table("Counts", &["lines", "invoke", "ok", "fail", "info"], &rows)
}

fn plan(plan: &Json) -> String {
    let row = |hand: usize, act: &Json| -> Vec<String> {
        let s = |name: &str| format!("{:.1} s", act[name].as_u64().unwrap_or(0) as f64 / 1000.0);
        vec![(hand + 1).to_string(), s("at_ms"), s("for_ms"), words(&act["cluster"]), words_of(&act["fault"])]
    };
    let hands = plan["acts"].as_array().into_iter().flatten().enumerate();
    let rows: Vec<Vec<String>> =
        hands.flat_map(|(hand, acts)| acts.as_array().into_iter().flatten().map(move |act| row(hand, act))).collect();
    table("Plan", &["hand", "at", "for", "cluster", "fault"], &rows)
}

fn files(run: &Run) -> String {
    let link = |name: &String| format!("<a href=\"{}\">{}</a>", address(name), escape(name));
    let links: Vec<String> = run.files.iter().map(link).collect();
    format!("<section id=\"files\"><h2>Files</h2><p>{}</p></section>\n", links.join(" · "))
}

/// A file's name as a relative address.
fn address(name: &str) -> String {
    let mut address = "./".to_owned();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'/' => address.push(char::from(byte)),
            other => drop(write!(address, "%{other:02X}")),
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::{History, Kind, Op, Process, Value};

    #[test]
    fn nothing_of_a_history_is_taken_for_the_page() {
        let evil = "</script><script>window.evil=1</script>\"'><img src=x>";
        let op = Op::invoke(0, evil, evil).on(evil).of(evil).with("workload", evil);
        let fault = Op::new(Kind::Info, Process::Nemesis, format!("start-{evil}"), Value::pair(Value::keyword(evil), evil));
        let installed = fault.clone().with("outcome", Value::keyword("installed")).with("what", evil);
        let history = History::from_ops([op.clone(), op.complete(Kind::Fail, evil).because(evil), fault, installed]);
        let sample =
            super::super::load::Sample { role: evil.to_owned(), root: Some(evil.to_owned()), record: Some(1), ..Default::default() };
        let track = super::super::load::Track { cluster: evil.to_owned(), node: evil.to_owned(), samples: vec![sample] };
        let run = Run {
            name: evil.to_owned(),
            verdict: Some(format!("false  {evil}: {evil}\n    {evil}\n")),
            plan: json!({"seed": 1, "topology": evil, "workloads": [evil], "nemesis": [evil], "acts": [[{"cluster": evil, "fault": evil}]]}),
            summary: json!({"counts": {evil: {"ok": 1}}}),
            files: vec![evil.to_owned()],
            tracks: vec![track],
            ..Run::of(history)
        };
        let page = render(&run);
        assert_eq!(page.matches("<script").count(), 1);
        assert!(!page.contains("<img") && !page.contains("\"'>"));
        assert!(page.matches("&lt;/script&gt;").count() > 15);
    }

    #[test]
    fn a_page_needs_nothing_from_elsewhere() {
        let page = render(&Run::of(History::from_ops([Op::invoke(0, "read", Value::Nil)])));
        for outside in ["http:", "https:", "src=", "@import", "url(", "<link"] {
            assert!(!page.contains(outside), "{outside}");
        }
    }

    #[test]
    fn links_lead_to_the_folder_whatever_names_are() {
        assert_eq!(address("logs/a 1%.log"), "./logs/a%201%25.log");
        assert_eq!(address("javascript:x"), "./javascript%3Ax");
    }
}
