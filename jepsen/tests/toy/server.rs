//! The toy: one node that speaks as much of the API as a run of registers and sets needs, with a vice of its own.
//!
//! Not here: anything that resembles the product inside. It keeps every version in a map, and a line for each in a file.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// One key's versions, with their moments.
type Versions = Vec<(Instant, Value)>;

struct Store {
    keys: BTreeMap<String, Versions>,
    file: File,
    vice: String,
    reads: u64,
}

/// What is asked, and what is answered.
struct Asked {
    method: String,
    path: String,
    body: Value,
}
type Answer = (u16, Value);

/// Serves until it is killed.
pub fn serve(words: &[String]) -> ExitCode {
    let config = words.iter().find_map(|word| word.strip_prefix("-config=")).expect("the harness names a file");
    let text = fs::read_to_string(config).expect("the harness wrote it");
    let field = |name: &str| -> String {
        let rest = text.lines().find_map(|line| line.trim().strip_prefix(name)?.trim().strip_prefix('='));
        rest.expect("the harness writes it").trim().trim_matches('"').to_owned()
    };
    let listener = TcpListener::bind(field("address")).expect("the address is free");
    let store =
        Arc::new(Mutex::new(Store::open(&PathBuf::from(field("path")).join("rows"), std::env::var("TOY_VICE").unwrap_or_default())));
    for stream in listener.incoming().flatten() {
        let store = store.clone();
        std::thread::spawn(move || connection(stream, &store));
    }
    ExitCode::SUCCESS
}

impl Store {
    fn open(path: &Path, vice: String) -> Self {
        let mut keys: BTreeMap<String, Versions> = BTreeMap::new();
        for line in fs::read_to_string(path).unwrap_or_default().lines() {
            if let Ok(Value::Array(row)) = serde_json::from_str(line) {
                let name = row[0].as_str().unwrap_or_default().to_owned();
                keys.entry(name).or_default().push((Instant::now() - Duration::from_secs(1), row[1].clone()));
            }
        }
        let file = OpenOptions::new().create(true).append(true).open(path).expect("the folder is there");
        Self { keys, file, vice, reads: 0 }
    }

    fn answer(&mut self, asked: &Asked) -> Answer {
        match asked.path.as_str() {
            "sys/seal-status" => (200, json!({"sealed": false, "initialized": true})),
            "sys/health" => (200, json!({"sealed": false})),
            "sys/init" => (200, json!({"keys_base64": ["a", "b", "c"], "root_token": "root"})),
            "sys/unseal" => (200, json!({"sealed": false})),
            "sys/storage/raft/configuration" => (200, json!({"data": {"config": {"servers": [{"node_id": "a1", "voter": true}]}}})),
            path => match path.split_once("/data/") {
                Some((_, key)) if asked.method == "GET" => self.read(key),
                Some((_, key)) => self.write(key, &asked.body),
                None if asked.method == "LIST" => self.list(path.split_once("/metadata/").map_or("", |(_, folder)| folder)),
                None => (204, Value::Null),
            },
        }
    }

    fn read(&mut self, key: &str) -> Answer {
        self.reads += 1;
        let Some(versions) = self.keys.get(key) else { return (404, json!({"errors": []})) };
        // Now and then, as of half a second ago.
        let is_old = self.vice == "stale" && self.reads.is_multiple_of(50);
        let shown = match is_old {
            true => versions.iter().rposition(|(moment, _)| moment.elapsed() > Duration::from_millis(500)),
            false => versions.len().checked_sub(1),
        };
        match shown {
            Some(at) => (200, json!({"data": {"data": versions[at].1, "metadata": {"version": at + 1}}})),
            None => (404, json!({"errors": []})),
        }
    }

    fn write(&mut self, key: &str, body: &Value) -> Answer {
        let versions = self.keys.entry(key.to_owned()).or_default();
        let is_other = body["options"]["cas"].as_u64().is_some_and(|cas| cas != versions.len() as u64);
        if is_other && self.vice != "any-version" {
            return (400, json!({"errors": ["check-and-set parameter did not match the current version"]}));
        }
        versions.push((Instant::now(), body["data"].clone()));
        let version = versions.len();
        // Who forgets keeps nothing that a kill would not take.
        if self.vice != "forgets" {
            let line = format!("{}\n", json!([key, body["data"]]));
            self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data()).expect("the disk has room");
        }
        (200, json!({"data": {"version": version}}))
    }

    fn list(&self, folder: &str) -> Answer {
        let names: Vec<&str> = self.keys.keys().filter_map(|key| key.strip_prefix(folder)).collect();
        if names.is_empty() { (404, json!({"errors": []})) } else { (200, json!({"data": {"keys": names}})) }
    }
}

fn connection(mut stream: TcpStream, store: &Mutex<Store>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a socket can be cloned"));
    while let Some(asked) = request(&mut reader) {
        let (status, body) = store.lock().expect("nothing panics under the lock").answer(&asked);
        let body = if status == 204 { String::new() } else { body.to_string() };
        let head = format!("HTTP/1.1 {status} -\r\nContent-Length: {}\r\n\r\n", body.len());
        if stream.write_all((head + &body).as_bytes()).is_err() {
            return;
        }
    }
}

fn request(reader: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.trim_start_matches("/v1/").to_owned());
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok().filter(|length| *length > 0)?;
        if header.trim().is_empty() {
            break;
        }
        if let Some(value) = header.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { method, path, body: serde_json::from_slice(&body).unwrap_or(Value::Null) })
}
