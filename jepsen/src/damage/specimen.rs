//! A node that is damaged again and again: what was acknowledged, its files as they were, and what a start with damaged ones comes to.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::harm::{Class, Harm, Kind, files};
use crate::client::http::{Connection, Request};
use crate::core::Rng;
use crate::world::cluster::Cluster;
use crate::world::node::Node;

const MOUNT: &str = "kept";
/// So many secrets, written twice: so there is something to be wrong about.
const KEYS: u64 = 240;
/// So long a value's padding is: a table has several blocks.
const PADDING: usize = 600;
/// The mark of the log is synced once a second while there are writes.
const MARKED: Duration = Duration::from_millis(2500);
/// As long as a start may take.
const START: Duration = Duration::from_secs(20);
const ANSWER: Duration = Duration::from_secs(15);

/// What a damaged node came to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It did not start, or stopped.
    Stopped,
    /// It runs and does not open, or nobody is active.
    NotServing,
    /// Some reads fail with an error, or the first write; all others are right.
    Refuses(String),
    /// Everything that was acknowledged is there, and nothing else.
    Whole,
    /// It answers with something else. A finding.
    Wrong(String),
}

/// A cluster of one node, and copies of its files.
pub struct Specimen<'c> {
    cluster: &'c Cluster,
    /// As they were first.
    earlier: PathBuf,
    /// As they were after a proper stop, and after kill -9.
    sound: [PathBuf; 2],
    acknowledged: BTreeMap<String, u64>,
}

impl<'c> Specimen<'c> {
    /// Fills a cluster that was just brought up, and keeps its files in `folder`.
    ///
    /// # Errors
    /// If something is refused, or a file cannot be copied.
    pub fn make(cluster: &'c Cluster, folder: &Path) -> Result<Self, String> {
        let [earlier, stopped, killed] = ["earlier", "stopped", "killed"].map(|name| folder.join(name));
        let mut specimen = Self { cluster, earlier, sound: [stopped, killed], acknowledged: BTreeMap::new() };
        cluster.must(&format!("sys/mounts/{MOUNT}"), &json!({ "type": "kv" }))?;
        specimen.write(0..KEYS, 1)?;
        specimen.stop()?;
        copy(&specimen.node().data, &specimen.earlier)?;
        specimen.open()?;
        specimen.write(KEYS / 3..KEYS * 4 / 3, 2)?;
        specimen.stop()?;
        copy(&specimen.node().data, &specimen.sound[0])?;
        specimen.open()?;
        specimen.write(0..KEYS / 2, 3)?;
        std::thread::sleep(MARKED);
        specimen.node().kill();
        copy(&specimen.node().data, &specimen.sound[1])?;
        Ok(specimen)
    }

    fn node(&self) -> &'c Node {
        &self.cluster.nodes[0]
    }

    fn write(&mut self, keys: std::ops::Range<u64>, value: u64) -> Result<(), String> {
        for key in keys {
            let body = json!({ "v": value, "padding": "x".repeat(PADDING) });
            self.node().must(&format!("{MOUNT}/k{key}"), &self.cluster.token(), body)?;
            self.acknowledged.insert(format!("k{key}"), value);
        }
        Ok(())
    }

    fn stop(&self) -> Result<(), String> {
        self.node().terminate();
        self.node().wait("has stopped", START, || self.node().has_ended())?;
        self.node().excuse();
        Ok(())
    }

    fn open(&self) -> Result<(), String> {
        self.node().start()?;
        self.cluster.open(START)?;
        self.node().wait("is active", START, || self.node().health() == 200)
    }

    /// Damages a copy, and starts the node with it. `None` if the draw changes nothing.
    ///
    /// # Errors
    /// If a file cannot be read, written or copied.
    pub fn try_once(&self, class: Class, kind: Kind, rng: &mut Rng) -> Result<Option<(Harm, Outcome)>, String> {
        let which = rng.index(2);
        let data = &self.node().data;
        empty(data)?;
        copy(&self.sound[which], data)?;
        let Some(harm) = Harm::draw(data, &self.earlier, class, kind, rng)? else { return Ok(None) };
        let outcome = self.outcome(which);
        self.node().kill();
        self.node().excuse();
        Ok(Some((harm, outcome)))
    }

    /// What a node of these files says; without damage: everything.
    fn outcome(&self, which: usize) -> Outcome {
        let node = self.node();
        if node.start().is_err() {
            return Outcome::Stopped;
        }
        let is_open =
            self.cluster.open(START).is_ok() && node.wait("is active", START, || node.has_ended() || node.health() == 200).is_ok();
        if node.has_ended() {
            return Outcome::Stopped;
        }
        if !is_open {
            return Outcome::NotServing;
        }
        let token = self.cluster.token();
        let mut connection = None;
        let mut ask = |method: &str, path: &str, body: Option<Value>| {
            let mut request = Request::new(method, path).with_token(&token);
            request.body = body;
            node.namespace.run(|| connection.get_or_insert_with(|| Connection::new(node.address)).call(&request, ANSWER)).ok()
        };
        let mut refuses = None;
        // Of what was written after the first copy was made, nothing is known in it.
        let expected = self.acknowledged.iter().map(|(key, value)| (key, if which == 0 { self.before_kill(key) } else { *value }));
        for (key, value) in expected {
            match ask("GET", &format!("{MOUNT}/{key}"), None) {
                Some(reply) if reply.status == 200 && reply.body["data"]["v"] == value => {}
                Some(reply) if reply.status < 500 => return Outcome::Wrong(format!("{key}: {value} was acknowledged, {reply:.300?}")),
                Some(reply) => drop(refuses.get_or_insert(format!("{key}: {} {:.200}", reply.status, reply.body))),
                None if node.has_ended() => return Outcome::Stopped,
                None => drop(refuses.get_or_insert(format!("{key}: no answer"))),
            }
        }
        match ask("LIST", MOUNT, None) {
            Some(reply) if reply.status == 200 => {
                let names: Vec<&str> = reply.body["data"]["keys"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                if !names.iter().copied().eq(self.acknowledged.keys().map(String::as_str)) {
                    return Outcome::Wrong(format!("{} of {} names are listed", names.len(), self.acknowledged.len()));
                }
            }
            Some(reply) if reply.status < 500 => return Outcome::Wrong(format!("the names: {reply:.300?}")),
            _ => drop(refuses.get_or_insert("the names are not listed".to_owned())),
        }
        if ask("PUT", &format!("{MOUNT}/fresh"), Some(json!({ "v": 4 }))).is_none_or(|reply| reply.status >= 300) {
            refuses.get_or_insert("a new secret cannot be written".to_owned());
        }
        if node.has_ended() { Outcome::Stopped } else { refuses.map_or(Outcome::Whole, Outcome::Refuses) }
    }

    /// The value of a key when the node was stopped properly.
    fn before_kill(&self, key: &str) -> u64 {
        let number: u64 = key[1..].parse().unwrap_or_default();
        if number < KEYS / 3 { 1 } else { 2 }
    }

    /// Starts the node with undamaged files: what it says must be right, or no outcome means anything.
    ///
    /// # Errors
    /// If it is not.
    pub fn is_sound(&self) -> Result<(), String> {
        for which in 0..2 {
            empty(&self.node().data)?;
            copy(&self.sound[which], &self.node().data)?;
            let outcome = self.outcome(which);
            self.node().kill();
            self.node().excuse();
            if outcome != Outcome::Whole {
                return Err(format!("without any damage it comes to {outcome:?}"));
            }
        }
        Ok(())
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    for file in files(from)? {
        let (source, target) = (from.join(&file), to.join(&file));
        let parent = target.parent().unwrap_or(to);
        let done = fs::create_dir_all(parent).and_then(|()| fs::copy(&source, &target));
        done.map_err(|error| format!("copy {}: {error}", source.display()))?;
    }
    Ok(())
}

/// Removes what is in a folder, and leaves the folder.
fn empty(folder: &Path) -> Result<(), String> {
    let named = |error: std::io::Error| format!("{}: {error}", folder.display());
    fs::remove_dir_all(folder).and_then(|()| fs::create_dir_all(folder)).map_err(named)
}
