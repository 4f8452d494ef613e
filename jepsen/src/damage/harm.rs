//! What is done to one file.

use std::fs;
use std::path::{Path, PathBuf};

use crate::core::Rng;

/// As much as is damaged at once, in bytes: what a disk reads and writes as one.
const BLOCK: usize = 4096;

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Segments of the Raft log.
    Log,
    /// How far it was acknowledged, and whose log it is.
    Mark,
    /// Sorted tables of the state.
    Table,
    /// Which tables there are, and which state is the current one.
    Index,
    /// Snapshots.
    Snapshot,
    /// Who the node is, and its certificate.
    Identity,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Log, Self::Mark, Self::Table, Self::Index, Self::Snapshot, Self::Identity];

    /// The class of a file, by its path below the node's folder; none if nothing hangs on it.
    pub fn of(path: &Path) -> Option<Self> {
        let text = path.to_string_lossy();
        let name = path.file_name()?.to_string_lossy();
        // A lock is empty; the database's own log and copies of its options are for people.
        if name.ends_with(".lock") || name == "LOCK" || name.starts_with("LOG") || name.starts_with("OPTIONS") || name == "IDENTITY" {
            return None;
        }
        Some(match () {
            () if text.contains("snapshot") => Self::Snapshot,
            () if text.starts_with("raft/log/") => Self::Log,
            () if text.starts_with("raft/") => Self::Mark,
            () if name.ends_with(".sst") => Self::Table,
            () if text.starts_with("state/") => Self::Index,
            () => Self::Identity,
        })
    }
}

/// How it is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// One bit is another.
    Flip,
    /// A block is zeros.
    Zero,
    /// Two blocks have changed places.
    Swap,
    /// A block is as it was earlier.
    Stale,
    /// The end is missing.
    Cut,
    /// The file is missing.
    Gone,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Flip, Self::Zero, Self::Swap, Self::Stale, Self::Cut, Self::Gone];
}

/// One file's damage.
#[derive(Clone, Debug)]
pub struct Harm {
    /// Below the node's folder.
    pub file: PathBuf,
    /// What it is for.
    pub class: Class,
    /// How it is damaged.
    pub kind: Kind,
    /// Where, for a reader.
    pub place: String,
}

impl Harm {
    /// Damages one file below `folder`; `earlier` holds the same folder as it was before. `None` if the draw changes nothing: try again.
    ///
    /// # Errors
    /// If a file cannot be read or written.
    pub fn draw(folder: &Path, earlier: &Path, class: Class, kind: Kind, rng: &mut Rng) -> Result<Option<Self>, String> {
        let files: Vec<PathBuf> = files(folder)?.into_iter().filter(|file| Class::of(file) == Some(class)).collect();
        if files.is_empty() {
            return Ok(None);
        }
        let file = files[rng.index(files.len())].clone();
        let path = folder.join(&file);
        let named = |error: std::io::Error| format!("{}: {error}", path.display());
        let before = fs::read(&path).map_err(named)?;
        let (after, place) = match kind {
            Kind::Gone => (None, "all of it".to_owned()),
            _ if before.is_empty() => return Ok(None),
            Kind::Flip => {
                let (at, bit) = (rng.index(before.len()), rng.index(8));
                let mut bytes = before.clone();
                bytes[at] ^= 1 << bit;
                (Some(bytes), format!("bit {bit} of byte {at} of {}", before.len()))
            }
            Kind::Cut => {
                let length = rng.index(before.len());
                (Some(before[..length].to_vec()), format!("{length} of {} bytes are left", before.len()))
            }
            Kind::Zero => {
                let block = block(&before, rng);
                let mut bytes = before.clone();
                bytes[block.clone()].fill(0);
                (Some(bytes), format!("bytes {block:?} of {}", before.len()))
            }
            Kind::Swap => {
                let (one, other) = (block(&before, rng), block(&before, rng));
                if one.len() != other.len() || one == other {
                    return Ok(None);
                }
                let mut bytes = before.clone();
                bytes[one.clone()].copy_from_slice(&before[other.clone()]);
                bytes[other.clone()].copy_from_slice(&before[one.clone()]);
                (Some(bytes), format!("bytes {one:?} and {other:?} of {}", before.len()))
            }
            Kind::Stale => {
                let Ok(old) = fs::read(earlier.join(&file)) else { return Ok(None) };
                let block = block(&before, rng);
                let Some(was) = old.get(block.clone()) else { return Ok(None) };
                let mut bytes = before.clone();
                bytes[block.clone()].copy_from_slice(was);
                (Some(bytes), format!("bytes {block:?} of {}", before.len()))
            }
        };
        match &after {
            Some(bytes) if *bytes == before => return Ok(None),
            Some(bytes) => fs::write(&path, bytes).map_err(named)?,
            None => fs::remove_file(&path).map_err(named)?,
        }
        Ok(Some(Self { file, class, kind, place }))
    }
}

impl std::fmt::Display for Harm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} of {}: {}", self.kind, self.file.display(), self.place)
    }
}

/// A block of a file, the last one shorter perhaps; small files have small blocks.
fn block(bytes: &[u8], rng: &mut Rng) -> std::ops::Range<usize> {
    let size = BLOCK.min(bytes.len().div_ceil(4)).max(1);
    let from = rng.index(bytes.len().div_ceil(size)) * size;
    from..(from + size).min(bytes.len())
}

/// All files below a folder, by their path in it, in order.
pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(inner) = folders.pop() {
        let path = folder.join(&inner);
        let entries = fs::read_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        for entry in entries.filter_map(Result::ok) {
            let name = inner.join(entry.file_name());
            if entry.path().is_dir() { folders.push(name) } else { found.push(name) }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_changes_one_file_and_says_where() {
        let both = tempfile::tempdir().expect("a folder");
        let (now, earlier) = (both.path().join("now"), both.path().join("earlier"));
        let bytes = |seed: u64| -> Vec<u8> {
            let mut rng = Rng::new(seed);
            (0..30_000).map(|_| rng.next_u64().to_le_bytes()[0]).collect()
        };
        for (n, kind) in Kind::ALL.into_iter().enumerate() {
            for (folder, seed) in [(&now, 1), (&earlier, 2)] {
                fs::create_dir_all(folder.join("raft/log")).expect("folders");
                fs::write(folder.join("raft/log/1.log"), bytes(seed)).expect("a file");
                fs::write(folder.join("node-id"), b"a").expect("a file");
            }
            let mut rng = Rng::new(n as u64);
            let harm = (0..20).find_map(|_| Harm::draw(&now, &earlier, Class::Log, kind, &mut rng).expect("it can be read"));
            let harm = harm.expect("one of twenty draws changes something");
            assert_eq!((harm.file.to_str(), harm.class), (Some("raft/log/1.log"), Class::Log));
            assert_ne!(fs::read(now.join("raft/log/1.log")).unwrap_or_default(), bytes(1), "{harm}");
            assert_eq!(fs::read(now.join("node-id")).expect("it is there"), b"a");
        }
    }

    #[test]
    fn what_nothing_hangs_on_has_no_class() {
        for (path, class) in [
            ("raft/log/0000000000000001.log", Some(Class::Log)),
            ("raft/acknowledged", Some(Class::Mark)),
            ("state/state-1/000015.sst", Some(Class::Table)),
            ("state/state-1/MANIFEST-000009", Some(Class::Index)),
            ("state/CURRENT", Some(Class::Index)),
            ("raft/snapshots/7/head", Some(Class::Snapshot)),
            ("node-identity.json", Some(Class::Identity)),
            ("state/state-1/LOG", None),
            ("state/state-1/LOCK", None),
            ("node.lock", None),
        ] {
            assert_eq!(Class::of(Path::new(path)), class, "{path}");
        }
    }
}
