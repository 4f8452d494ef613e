//! `adya` and our search agree on appends to one key.

use crate::check::wgl::{Entry, Limits, Model, Objects, check};
use crate::check::{Keyed, Valid, append};
use crate::core::{History, Kind, Malformed, Op, Outcome, Rng, Value};

/// One list; a transaction reads it or appends to it.
struct List;

#[derive(Debug)]
enum Step {
    Append(Value),
    Read(Vec<Value>),
}

impl Model for List {
    type State = Vec<Value>;
    type Step = Step;

    fn functions(&self) -> &'static [&'static str] {
        &["txn"]
    }
    fn initial(&self) -> Vec<Value> {
        Vec::new()
    }
    fn step(&self, list: &Vec<Value>, step: &Step) -> Option<Vec<Value>> {
        match step {
            Step::Append(value) => Some([list.as_slice(), std::slice::from_ref(value)].concat()),
            Step::Read(seen) => (seen == list).then(|| list.clone()),
        }
    }
    fn entries(&self, calls: &[Keyed<'_>]) -> Result<Vec<Entry<Step>>, Malformed> {
        let mut entries = Vec::new();
        for (source, keyed) in calls.iter().enumerate().filter(|(_, keyed)| keyed.call.outcome != Outcome::Fail) {
            let part = |value: &Value| value.as_list().unwrap()[0].as_list().unwrap().to_vec();
            let step = match part(keyed.argument).as_slice() {
                [Value::Keyword(f), _, value] if f == "append" => Step::Append(value.clone()),
                _ => match keyed.result {
                    None => continue,
                    Some(result) => Step::Read(part(result)[2].as_list().unwrap_or_default().to_vec()),
                },
            };
            entries.push(Entry { began: keyed.call.began, ended: keyed.call.ended, step, source });
        }
        Ok(entries)
    }
}

fn transaction(f: &str, value: Value) -> Value {
    Value::List(vec![Value::List(vec![Value::keyword(f), Value::Int(1), value])])
}

/// A list with clients, some of whose reads are altered.
fn history(rng: &mut Rng) -> History {
    let mut history = History::default();
    let mut list: Vec<Value> = Vec::new();
    let mut open: Vec<(Op, Option<Value>)> = Vec::new();
    let (mut process, mut element) = (0, 0);
    let count = 3 + rng.index(8);
    let mut begun = 0;
    while begun < count || !open.is_empty() {
        if begun < count && (open.is_empty() || rng.chance(0.5)) {
            begun += 1;
            process += 1;
            let value = if rng.chance(0.5) {
                element += 1;
                transaction("append", Value::Int(element))
            } else {
                transaction("r", Value::Nil)
            };
            let op = Op::invoke(process, "txn", value);
            history.push(op.clone());
            open.push((op, None));
            continue;
        }
        let at = rng.index(open.len());
        let append = open[at].0.value.as_list().unwrap()[0].as_list().unwrap()[2].clone();
        if let Some(result) = open[at].1.clone() {
            let (op, _) = open.swap_remove(at);
            let is_lost = !append.is_nil() && rng.chance(0.15);
            history.push(if is_lost { op.complete(Kind::Info, op.value.clone()) } else { op.complete(Kind::Ok, result) });
        } else if append.is_nil() {
            let mut seen = list.clone();
            if rng.chance(0.15) {
                match rng.below(3) {
                    0 => drop(seen.pop()),
                    1 if seen.len() > 1 => seen.swap(0, 1),
                    _ => drop((!seen.is_empty()).then(|| seen.remove(0))),
                }
            }
            open[at].1 = Some(transaction("r", Value::List(seen)));
        } else {
            list.push(append.clone());
            open[at].1 = Some(open[at].0.value.clone());
        }
    }
    history
}

#[test]
fn adya_and_the_search_agree_on_one_key() {
    let mut rng = Rng::new(5);
    let (mut good, mut bad) = (0, 0);
    for number in 0..5000 {
        let history = history(&mut rng);
        let theirs = append::check(&history).unwrap();
        let ours = check("list", &history, &List, Objects::One, Limits::default()).unwrap();
        // Without reads there is nothing to infer from.
        let is_silent = theirs.children.iter().any(|child| child.text == "nothing was read");
        if !is_silent {
            assert_eq!(theirs.valid, ours.valid, "history {number}\n{theirs}{ours}{}", history.to_text(crate::core::Format::Edn));
        }
        match ours.valid {
            Valid::True => good += 1,
            Valid::False => bad += 1,
            Valid::Unknown => {}
        }
    }
    assert!(good > 500 && bad > 500, "{good} good, {bad} bad: one-sided");
}
