//! The failpoints: their names are part of the specification, and `jepsen grid` kills a node at each.

/// A place where a test can intervene.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// Its name, in the code as `failpoint!("name")`.
    pub name: &'static str,
    /// What happens there.
    pub what: &'static str,
    /// Whether the action `error` means something there.
    pub can_fail: bool,
}

const fn point(name: &'static str, what: &'static str) -> Point {
    Point { name, what, can_fail: false }
}
const fn failing(name: &'static str, what: &'static str) -> Point {
    Point { name, what, can_fail: true }
}

/// All of them.
#[rustfmt::skip]
pub const POINTS: &[Point] = &[
    failing("log-sync.before",        "the frames are written to the raft log, not yet synced"),
    point(  "log-sync.after",         "the raft log is synced, nobody is told yet"),
    failing("vote-save.before",       "a vote is about to be written"),
    point(  "vote-save.after",        "a vote is durable, the candidate is not answered yet"),
    point(  "apply-batch.before",     "committed entries are about to be written to the state"),
    point(  "apply-batch.after",      "committed entries are in the state, observers and callers are not told yet"),
    failing("snapshot-rename.before", "a snapshot is whole but has no name yet"),
    failing("snapshot-rename.after",  "a snapshot has its name, its folder is not synced yet"),
    point(  "purge.before",           "the raft log is about to forget entries that a snapshot covers"),
    point(  "purge.after",            "the frame that forgets them is queued, segments are not removed yet"),
    failing("segment-begin.before",   "a new segment of the raft log has its head, not yet synced"),
    failing("segment-begin.after",    "a new segment of the raft log is durable"),
    failing("pointer-rename.before",  "an installed state, or the one that is opened, is not pointed to yet"),
    failing("pointer-rename.after",   "it is pointed to, the folder is not synced yet"),
    failing("page-flush.before",      "rows, page sums and positions in memory are about to become durable"),
    point(  "page-flush.after",       "they are durable"),
    point(  "wipe.begin",             "an entry that wipes this cluster is about to be written to the state"),
    point(  "wipe.end",               "it is written"),
    point(  "bootstrap-commit.before", "the last part of a resync, which sets the position, is about to be written"),
    point(  "bootstrap-commit.after", "it is written"),
    failing("init-commit.before",     "a new cluster has its raft group but none of its rows"),
    failing("init-commit.after",      "a new cluster has its rows, its shares are shown to nobody yet"),
    failing("seal-config-write.before", "a rekey has made new shares, nothing is written yet"),
    failing("seal-config-write.between", "with planted bug 25 only: the seal's configuration is written, the key row is not"),
    failing("seal-config-write.after", "a rekey is committed, the new shares are shown to nobody yet"),
    point(  "keyring-write.before",   "a rotation by an operator is about to be committed"),
    point(  "keyring-write.after",    "it is committed, not answered"),
    point(  "lease-persist.before",   "a request that makes a token or a lease is about to be committed"),
    point(  "lease-persist.after",    "it is committed, not answered"),
    point(  "use-count-commit.before", "a request that takes a use of a token is about to be committed"),
    point(  "use-count-commit.after", "it is committed, not answered"),
    point(  "revoke-write.before",    "a request that revokes something is about to be committed"),
    point(  "revoke-write.after",     "it is committed, not answered"),
    failing("audit-write.before",     "lines are about to be written to an audit file"),
    failing("audit-write.after",      "they are written, the requests wait for it"),
    point(  "shipper-send.before",    "a message to a secondary is about to be queued"),
    failing("generation-write.before", "a change of the role or the generation is about to be committed"),
    failing("generation-write.after", "it is committed, not answered"),
    #[cfg(test)]
    failing("test.failing",           "of this module's tests"),
    #[cfg(test)]
    point(  "test.hooked",            "of this module's tests"),
    #[cfg(test)]
    failing("test.socket",            "of this module's tests"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn named_in(folder: &Path, names: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                named_in(&path, names);
            } else if !path.ends_with("chaos/mod.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                names.extend(text.split("failpoint!(\"").skip(1).filter_map(|rest| rest.split('"').next().map(str::to_owned)));
            }
        }
    }

    #[test]
    fn the_table_has_every_failpoint_of_the_code_and_no_other() {
        let mut names = BTreeSet::new();
        named_in(Path::new("src"), &mut names);
        // Named where they are hit without the macro.
        names.extend(["test.hooked", "test.socket"].map(str::to_owned));
        // In a comment that explains the macro.
        names.remove("name");
        assert_eq!(names, POINTS.iter().map(|point| point.name.to_owned()).collect());
    }
}
