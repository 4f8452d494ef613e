//! House rules as tests: layers point down, files have headers and a size, nothing is left over.

use std::fs;
use std::path::{Path, PathBuf};

/// Folder → the crate modules it may name. `docs/architecture.md` shows this table; [`the_documented_layers_are_these`] holds it.
/// Besides these, all may use `chaos`: its macros anywhere, its functions under its feature.
const LAYERS: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("chaos", &[]),
    ("pool", &[]),
    ("crypto", &["types"]),
    ("machine", &["types"]),
    ("telemetry", &["types"]),
    ("storage", &["types", "machine", "telemetry"]),
    ("barrier", &["types", "crypto", "machine", "storage", "telemetry"]),
    ("raft", &["types", "pool", "machine", "storage", "telemetry"]),
    ("engine", &["types", "crypto", "barrier"]),
    ("engines", &["engine", "types", "crypto", "telemetry"]),
    ("auth", &["engine", "types", "pool", "crypto", "telemetry"]),
    ("audit", &["engine", "types", "pool", "crypto", "telemetry"]),
    ("replication", &["types", "pool", "machine", "storage", "raft", "telemetry"]),
    ("core", &["types", "pool", "crypto", "machine", "storage", "barrier", "raft", "engine", "audit", "telemetry"]),
    ("http", &["types", "engine", "core", "telemetry"]),
    ("cluster", &["types", "crypto", "machine", "raft", "replication", "engine", "core", "telemetry"]),
    ("cli", &["types"]),
];

/// The same for the crate beside the product.
const JEPSEN_LAYERS: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("check", &["core"]),
    ("client", &["core"]),
    ("world", &["core", "client"]),
    ("damage", &["core", "client", "world"]),
    ("nemesis", &["core", "check", "client", "world"]),
    ("work", &["core", "check", "client", "world", "nemesis"]),
    ("report", &["core", "check"]),
];

/// Files that may be longer than [`LINES_MAX`], and why.
const LONG: &[(&str, &str)] = &[];
const LINES_MAX: usize = 800;

struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// The first folder below `src`, of this crate or of the one beside it.
    fn folder(&self) -> Option<&str> {
        let path = self.path.strip_prefix("jepsen").unwrap_or(&self.path);
        let mut parts = path.components().map(|part| part.as_os_str().to_str().unwrap_or_default());
        (parts.next() == Some("src")).then(|| parts.next().unwrap_or_default())
    }
    /// Tests may reach across: what stands before the test module counts, and no file that is compiled for tests only.
    fn code(&self) -> &str {
        let name = self.path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        let is_for_tests =
            ["tests", "testing", "contract", "harness"].contains(&name) || self.path.components().any(|part| part.as_os_str() == "tests");
        if is_for_tests { "" } else { self.text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default() }
    }
    fn name(&self) -> String {
        self.path.display().to_string()
    }
}

fn sources(root: &str) -> Vec<Source> {
    fn walk(folder: &Path, found: &mut Vec<Source>) {
        for entry in fs::read_dir(folder).expect("the folder can be read") {
            let path = entry.expect("its entries too").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("source files are text");
                found.push(Source { path, text });
            }
        }
    }
    let mut found = Vec::new();
    walk(Path::new(root), &mut found);
    found
}

fn all_sources() -> Vec<Source> {
    ["src", "tests", "jepsen/src", "jepsen/tests"].into_iter().flat_map(sources).collect()
}

/// What names a folder above its own.
fn wrong_arrows(root: &str, layers: &[(&str, &[&str])], top: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for file in sources(root) {
        let Some(folder) = file.folder() else { continue };
        let Some((_, allowed)) = layers.iter().find(|(name, _)| *name == folder) else { continue };
        for (number, line) in file.code().lines().enumerate() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            for mention in line.split("crate::").skip(1) {
                let module: String = mention.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let is_layer = layers.iter().any(|(name, _)| *name == module) || module == top;
                if is_layer && module != folder && module != "chaos" && !allowed.contains(&module.as_str()) {
                    wrong.push(format!("{}:{}: `{folder}` may not use `{module}`", file.name(), number + 1));
                }
            }
        }
    }
    wrong
}

#[test]
fn imports_point_down() {
    let wrong = [wrong_arrows("src", LAYERS, "server"), wrong_arrows("jepsen/src", JEPSEN_LAYERS, "cli")].concat();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is() {
    let wrong: Vec<String> = all_sources().iter().filter(|file| !file.text.starts_with("//!")).map(Source::name).collect();
    assert!(wrong.is_empty(), "files without a `//!` header:\n{}", wrong.join("\n"));
}

#[test]
fn files_hold_one_concept() {
    let mut wrong = Vec::new();
    for file in sources("src").into_iter().chain(sources("jepsen/src")) {
        let lines = file.text.lines().count();
        if lines > LINES_MAX && !LONG.iter().any(|(path, _)| Path::new(path) == file.path) {
            wrong.push(format!("{}: {lines} lines", file.name()));
        }
    }
    assert!(wrong.is_empty(), "longer than {LINES_MAX} lines without a reason in LONG:\n{}", wrong.join("\n"));
}

#[test]
fn nothing_is_left_over() {
    const BANNED: &[(&str, &str)] = &[
        ("todo!(", "unfinished code"),
        ("unimplemented!(", "unfinished code"),
        ("dbg!(", "a leftover of debugging"),
        ("#[ignore", "a test that does not run"),
    ];
    let mut wrong = Vec::new();
    for file in &all_sources() {
        if file.path.ends_with("tidy.rs") {
            continue;
        }
        for (number, line) in file.text.lines().enumerate() {
            for (text, why) in BANNED {
                if line.contains(text) {
                    wrong.push(format!("{}:{}: {text} {why}", file.name(), number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_documented_layers_are_these() {
    let page = fs::read_to_string("docs/architecture.md").expect("docs/architecture.md can be read");
    for (folder, allowed) in LAYERS {
        let row = if allowed.is_empty() {
            format!("| `{folder}` | – |")
        } else {
            format!("| `{folder}` | {} |", allowed.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" "))
        };
        assert!(page.contains(&row), "docs/architecture.md lacks the row\n{row}");
    }
}

#[test]
fn unauthenticated_engine_paths_are_a_fixed_list() {
    const ANYONE: &[&str] = &["src/auth/userpass/mod.rs", "src/core", "src/engine/route.rs"];
    let wrong: Vec<String> = sources("src")
        .iter()
        .filter(|file| file.code().contains("Access::Anyone") && !ANYONE.iter().any(|known| file.path.starts_with(known)))
        .map(Source::name)
        .collect();
    assert!(wrong.is_empty(), "new unauthenticated paths in:\n{}", wrong.join("\n"));
}

#[test]
fn links_in_the_docs_lead_somewhere() {
    let mut pages = vec![PathBuf::from("README.md"), PathBuf::from("jepsen/README.md")];
    for folder in ["docs", "docs/adr"] {
        let entries = fs::read_dir(folder).expect("the folder can be read");
        pages
            .extend(entries.map(|entry| entry.expect("its entries too").path()).filter(|path| path.extension().is_some_and(|e| e == "md")));
    }
    let mut wrong = Vec::new();
    for page in pages {
        let text = fs::read_to_string(&page).expect("pages are text");
        let folder = page.parent().expect("a file lies in a folder");
        for link in text.split("](").skip(1) {
            let target = link.split([')', '#']).next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") && !folder.join(target).exists() {
                wrong.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "links to nothing:\n{}", wrong.join("\n"));
}

/// The binary that these tests were built with. What the feature `chaos` brings has words of its own, which must not be in a default one.
#[test]
fn only_a_chaos_build_can_be_told_to_fail() {
    let binary = fs::read(env!("CARGO_BIN_EXE_coffer")).expect("the binary was built");
    for word in ["it can be told to fail", "COFFER_FAILPOINTS", "COFFER_BUG", "chaos.sock", "log-sync.before"] {
        let (first, word) = (word.as_bytes()[0], word.as_bytes());
        let is_there = binary.iter().enumerate().any(|(at, byte)| *byte == first && binary[at..].starts_with(word));
        assert_eq!(is_there, cfg!(feature = "chaos"), "{:?}", String::from_utf8_lossy(word));
    }
}

/// Nothing that people are given is built with it: it is named where the feature is made, tested and described, and nowhere else.
#[test]
fn no_recipe_builds_chaos_by_default() {
    let manifest = fs::read_to_string("Cargo.toml").expect("Cargo.toml can be read");
    assert!(!manifest.lines().any(|line| line.starts_with("default =")), "there are no default features");
    for file in walk_files("deploy") {
        let text = fs::read_to_string(&file).unwrap_or_default();
        assert!(!text.contains("--features chaos") && !text.contains("--all-features"), "{} builds with chaos", file.display());
    }
}

fn walk_files(root: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(root)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the folder can be read") {
            let path = entry.expect("its entries too").path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found
}
