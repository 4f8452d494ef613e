//! The planted bugs: what each does wrong and where. One build has them all; which is on is chosen at run time, for the process by
//! the variable `COFFER_BUG`, for a thread by [`PlantedHere`].
//!
//! A harness that has never caught a bug proves nothing by being green: `jepsen/TRACK-RECORD.md` says which tool finds each of these.

use std::cell::Cell;
use std::sync::OnceLock;

/// Names the bug of this process: its number, or several with commas.
const VARIABLE: &str = "COFFER_BUG";

/// A planted bug.
#[derive(Clone, Copy, Debug)]
pub struct Bug {
    /// Its number, in the code as `bug!(number)`.
    pub number: u8,
    /// A few words.
    pub name: &'static str,
    /// What goes wrong.
    pub what: &'static str,
    /// The file it is planted in.
    pub place: &'static str,
}

const fn bug(number: u8, name: &'static str, what: &'static str, place: &'static str) -> Bug {
    Bug { number, name, what, place }
}

/// All of them, in order.
#[rustfmt::skip]
pub const BUGS: &[Bug] = &[
    bug(1,  "ack before fsync",                "entries are acknowledged once they are written; they are synced about once a second", "src/raft/log_thread.rs"),
    bug(2,  "vote not synced",                 "a vote is answered before it is durable, so a power loss lets a node vote twice in a term", "src/raft/log.rs"),
    bug(3,  "read without read index",         "a node that believes to lead answers reads without proving it", "src/raft/handle.rs"),
    bug(4,  "lease outlives its end",          "a leader that is cut off trusts its last proof for ten seconds, and itself for ten leases", "src/raft/handle.rs, src/raft/watcher.rs"),
    bug(5,  "blank entry not flushed",         "the blank entry of a new leader is acknowledged without a sync", "src/raft/log.rs"),
    bug(6,  "rename before sync",              "the pointer to the installed state is renamed into place before its bytes are written", "src/storage/rocks/folders.rs"),
    bug(7,  "purge before durable",            "the log is purged though neither state nor snapshot was flushed", "src/raft/compaction.rs, src/storage/rocks/mod.rs, src/storage/mem/mod.rs"),
    bug(8,  "apply twice after restart",       "the stored place lags one batch behind the rows, and an entry is not in conflict with what it wrote itself", "src/raft/adapter.rs, src/machine/apply.rs"),
    bug(9,  "entry skipped after snapshot",    "the first entry after a snapshot is not applied on the node that took it", "src/raft/adapter.rs"),
    bug(10, "cut of the log not written",      "entries that another leader replaced are cut off in memory only, and are in the file at the next start", "src/raft/log.rs"),
    bug(11, "short log opened silently",       "a log that ends before what this node acknowledged is opened all the same", "src/raft/log.rs"),
    bug(12, "wiped node keeps its vote",       "a voter that comes back with an empty folder under its old name is not removed first", "src/core/join/leader.rs, src/raft/membership.rs"),
    bug(13, "panic of the raft core swallowed", "a panic in Raft ends its task but not the process, which goes on without it", "src/raft/fatal.rs, src/raft/watcher.rs"),
    bug(14, "cas outside the log",             "what a request read of shared rows is checked when it reads, not when its entry is applied", "src/barrier/txn.rs, src/core/context.rs"),
    bug(15, "uses written late",               "uses of a token are counted in memory; only the last one is written", "src/core/token/identify.rs"),
    bug(16, "uses counted per node",           "each node counts the uses of a token for itself", "src/core/token/identify.rs"),
    bug(17, "unwrap not atomic",               "a wrapped answer is given out without being guarded against another reader", "src/core/wrapping/mod.rs"),
    bug(18, "lease written after its token",   "the lease of a token is written in an entry of its own, with nothing to make up for it if that is lost", "src/core/token/create.rs"),
    bug(19, "missed ends not looked for",      "a new active node ends only what comes due from then on", "src/core/lease/expirer.rs"),
    bug(20, "max TTL off by one second",       "a lease or token can be renewed for one second past its maximum", "src/core/token/ttl.rs"),
    bug(21, "revoke does not cascade",         "children of a revoked token live on", "src/core/token/identify.rs, src/core/token/revoke.rs, src/core/lease/sweep.rs"),
    bug(22, "policy cache kept on standbys",   "a standby does not drop a compiled policy that was changed, and uses it when it becomes active", "src/core/policy/cache.rs"),
    bug(23, "secondary does not wait",         "a secondary answers a forwarded write before it is there, without a warning", "src/core/pipeline/primary.rs"),
    bug(24, "answer without audit",            "an answer is given though no audit device took its line", "src/core/pipeline/mod.rs"),
    bug(25, "seal config before key",          "a rekey writes the new threshold in an entry before the one with the new root key row", "src/core/seal/rekey.rs"),
    bug(26, "rotate forgets keys",             "a rotated keyring no longer holds the keys before the one that was newest", "src/barrier/keyring.rs"),
    bug(27, "nonces repeat",                   "nonces are counted from zero wherever a key is loaded: after restart, failover, restore", "src/crypto/aead.rs"),
    bug(28, "path not authenticated",          "the path of a row is no part of what its value authenticates, so values can be swapped", "src/barrier/value.rs"),
    bug(29, "policy on the raw path",          "policies look at a path with .. as it came; the router follows it", "src/types/path.rs, src/core/pipeline/route.rs"),
    bug(30, "lockout counted per node",        "each node counts wrong logins for itself", "src/core/pipeline/login.rs"),
    bug(31, "local rows in a resync",          "pages sent in a comparison contain rows of local mounts", "src/replication/session.rs"),
    bug(32, "tokens shipped",                  "token entries are shipped to performance secondaries", "src/machine/apply.rs"),
    bug(33, "frame applied twice",             "the first record of a frame is applied again after its last", "src/machine/apply.rs"),
    bug(34, "gap skipped",                     "a secondary for which the records no longer reach back is streamed what is new, without what is missing", "src/replication/shipper.rs, src/machine/apply.rs"),
    bug(35, "page sum kept on delete",         "deleting a row leaves its hash in the sum of its page", "src/machine/apply.rs"),
    bug(36, "filling visible",                 "a secondary serves clients while it is filled for the first time", "src/core/pipeline/mod.rs, src/machine/apply.rs"),
    bug(37, "generation not raised",           "a promoted cluster keeps the generation of the primary it replaces", "src/core/replication/secondary.rs"),
    bug(38, "old primary not fenced",          "a primary that meets a later generation goes on taking shared writes", "src/replication/shipper.rs"),
    bug(39, "revocation in memory",            "a revoked secondary is remembered by the active node only", "src/core/replication/primary.rs"),
    bug(40, "disabled mount lives on",         "what a disabled mount gave out and stored is not removed (there are no path filters to change)", "src/core/sys/mounts.rs, src/core/mounts/sweeper.rs"),
    bug(41, "unknown outcome tried again",     "a standby repeats a request that may have been carried out, whatever it was", "src/http/forward.rs"),
    bug(42, "barrier without apply",           "a leader proves that it leads, and reads before it has applied what was committed before", "src/raft/handle.rs"),
    bug(43, "explicit max TTL at issue only",  "renewing a token does not mind its explicit maximum", "src/core/token/ttl.rs"),
    bug(44, "comparison only adds",            "rows that the primary no longer has stay on a secondary that was compared", "src/replication/resync.rs"),
    bug(45, "absence not guarded",             "that a row was not there is no guard: two requests may both make it", "src/barrier/txn.rs"),
    bug(46, "caches outlive a snapshot",       "a node that installs a snapshot keeps what it read of the state before", "src/raft/adapter.rs"),
    bug(47, "deleted policy stays compiled",   "a policy that is deleted is used until another row of its name is written", "src/core/policy/cache.rs"),
    bug(48, "refused uses are free",           "a request that is refused takes no use of its token", "src/core/pipeline/identify.rs"),
    bug(49, "request line not audited",        "only answers are written to audit devices", "src/core/pipeline/journal.rs"),
    bug(50, "histories compared by number",    "a secondary whose history differs is streamed what follows, if the numbers fit", "src/replication/shipper.rs, src/replication/session.rs"),
    bug(51, "new key before it is durable",    "a rotated keyring encrypts at once, before its entry is committed", "src/core/seal/rotate.rs"),
    bug(52, "renewed token ends at its old end", "renewing leaves the due row of the old end, and the sweep believes it", "src/core/token/renew.rs, src/core/lease/sweep.rs"),
    bug(53, "revoked stream goes on",          "revoking a secondary does not end the stream that it has", "src/replication/mod.rs"),
    bug(54, "batch token outlives its parent", "a batch token is good though the token that made it was revoked", "src/core/token/batch.rs"),
    bug(55, "cubbyhole outlives its token",    "what a token kept for itself stays when the token goes", "src/core/lease/sweep.rs"),
    bug(56, "patch replaces",                  "a patch of a secret does away with what it does not name", "src/engines/kv/v2/data.rs"),
    bug(57, "one version too few is kept",     "a secret with a limit of versions keeps one less", "src/engines/kv/v2/record.rs"),
    bug(58, "keys outlive the seal",           "sealing does not forget the keys", "src/core/context.rs"),
    bug(59, "revoked by accessor only",        "revoking a token by its accessor takes the accessor, not the token", "src/core/token/engine.rs"),
    bug(60, "wrapped answer outlives its TTL", "until it is swept, a wrapped answer opens after its end for whoever has another token", "src/core/wrapping/mod.rs"),
    bug(61, "orphans have parents",            "a token made with no_parent goes with the one that made it", "src/core/token/engine.rs"),
    bug(62, "mount's max TTL at issue only",   "renewing a token does not mind the maximum of its mount", "src/core/token/ttl.rs"),
    bug(63, "local auth mount is shared",      "an auth method that is enabled as local is shared with the secondaries", "src/core/sys/mounts.rs"),
    bug(64, "restart applies what it has",     "a node that starts takes all entries that it has for committed", "src/raft/log.rs"),
    bug(65, "deleted rows guard nothing",      "an entry that rests on a row is applied though the row was deleted meanwhile", "src/machine/apply.rs"),
    bug(66, "apply asks for no role",          "an entry is applied though its cluster may not write its rows any more", "src/machine/apply.rs"),
    bug(67, "grandchildren live on",           "revoking a token ends its children, not theirs", "src/core/token/revoke.rs, src/core/lease/sweep.rs"),
    bug(68, "deny is outvoted",                "of two policies for one path, one that denies is left out", "src/core/policy/acl.rs"),
    bug(69, "child exceeds its parent",        "a token may make one with policies that it lacks", "src/core/token/request.rs"),
    bug(70, "batch token has no end",          "the end of a batch token is not minded", "src/core/token/batch.rs"),
    bug(71, "rewrapped token still opens",     "the token that an answer was wrapped in opens it after it was wrapped anew", "src/core/wrapping/engine.rs"),
    bug(72, "deleted user logs in",            "deleting a user leaves his password", "src/auth/userpass/mod.rs"),
    bug(73, "policies stay on a secondary",    "a secondary goes on with the compiled policies that it has", "src/core/observer.rs"),
    bug(74, "mounts stay on a secondary",      "a secondary goes on with the mounts that it knows", "src/core/observer.rs"),
    bug(75, "destroyed value stays",           "the value of a version that is destroyed stays stored", "src/engines/kv/v2/versions.rs"),
    bug(76, "erased values stay",              "the values of a secret whose metadata are deleted stay stored", "src/engines/kv/v2/metadata.rs"),
    bug(77, "oldest key encrypts",             "who reads the keyring encrypts with its oldest key", "src/barrier/keyring.rs"),
    bug(78, "primary is asked again",          "a secondary repeats a write whose outcome it does not know", "src/core/pipeline/primary.rs"),
    bug(79, "waits for a number",              "a secondary that has a record of the same number takes a write for its own, whatever the record says", "src/core/pipeline/primary.rs"),
    bug(80, "revoke-orphan takes the children", "children of a token that is to go alone go with it", "src/core/token/revoke.rs"),
    bug(81, "cas is never required",           "a secret that requires a version is written without", "src/engines/kv/v2/record.rs"),
    bug(82, "logins outlive their mount",      "on a secondary, tokens of a mount that the primary disabled live on", "src/core/mounts/sweeper.rs"),
    bug(83, "prefix revokes nothing",          "leases below a prefix are not revoked", "src/core/lease/engine.rs"),
    bug(84, "segment removed too early",       "a segment of the log is removed while its last entries are still needed", "src/raft/log.rs"),
    bug(85, "members not stored",              "a change of members is not stored with the state", "src/raft/adapter.rs"),
    bug(86, "comparison looks at names",       "a row that differs from the primary's stays on a secondary that was compared", "src/replication/resync.rs"),
    bug(87, "revoked certificate is good",     "a secondary that was revoked is admitted by its old certificate", "src/core/replication/primary.rs"),
    bug(88, "closed segment not synced",       "a segment of the log is closed without a sync, and those after it are synced alone", "src/raft/log_thread.rs"),
    bug(89, "new segment in no folder",        "the folder is not synced when a segment of the log begins", "src/raft/log_thread.rs"),
    bug(90, "snapshot without members",        "the head of a snapshot does not name the members of that moment", "src/raft/adapter.rs"),
    bug(91, "answer of another entry",         "of entries applied together, the outcomes are told in the wrong order", "src/raft/adapter.rs"),
    bug(92, "only the last is told",           "of entries applied together, caches hear of the last only", "src/raft/adapter.rs"),
    bug(93, "guards look before the batch",    "of entries applied together, a guard does not see what those before wrote", "src/machine/stage.rs"),
    bug(94, "equal after the first part",      "a comparison takes a copy for equal once the first part of what differs is written", "src/replication/resync.rs"),
    bug(95, "own rows stay",                   "a cluster that becomes a secondary keeps what it had", "src/machine/apply.rs"),
    bug(96, "fenced primary writes",           "a primary that knows of a later generation takes shared writes", "src/machine/role.rs"),
    bug(97, "demoted and gone",                "a primary that is demoted forgets its secondaries, which may lack records", "src/core/replication/primary.rs"),
    bug(98, "never behind",                    "a status says that no copy is behind", "src/replication/freshness.rs"),
    bug(99, "sent is taken for received",      "a primary says that a secondary holds what was sent to it", "src/replication/shipper.rs"),
    bug(100, "conflict is told as done",       "a write that was refused for what it rests on is acknowledged", "src/core/context.rs"),
    bug(101, "root generation goes on",        "the generation of a root token is not over when the token is made", "src/core/seal/generate_root.rs"),
    bug(102, "any shares make a root token",   "the shares for a root token are not those of the seal", "src/core/seal/generate_root.rs"),
    bug(103, "seal not verified",              "new shares that are to be verified first are in force at once", "src/core/seal/rekey.rs"),
    bug(104, "one cubbyhole for all",          "all tokens share one cubbyhole", "src/engines/cubbyhole/mod.rs"),
    bug(105, "a token's id is taken twice",    "a token is made with the id of another", "src/core/token/create.rs"),
    bug(106, "undelete does nothing",          "a version that was deleted stays so", "src/engines/kv/v2/versions.rs"),
    bug(107, "encryptions not counted",        "what a key has encrypted is not counted, so that it is never rotated by itself", "src/machine/apply.rs"),
    bug(108, "acknowledged before committed",  "a secondary says that it holds what it has only received", "src/replication/applier.rs"),
    bug(109, "child of a dead parent",         "a token is made though the one that makes it is revoked meanwhile", "src/core/token/create.rs"),
    bug(110, "pages as they are now",          "a comparison sends rows that are newer than the moment it compares with", "src/replication/session.rs"),
    bug(111, "uses through a secondary are free", "a shared write through a secondary takes no use of its token", "src/core/pipeline/primary.rs"),
    bug(112, "unknown is told as done",        "a write is acknowledged though its entry was replaced by another leader's", "src/raft/handle.rs"),
    bug(113, "accessors stay",                 "the accessor of a token that was revoked stays", "src/core/token/revoke.rs"),
    bug(114, "mark ahead of the log", "what is acknowledged is marked when it is written, before it is synced", "src/raft/log_thread.rs"),
    bug(115, "newcomer told it is removed", "a voter tells a candidate that it does not know yet that it was removed", "src/raft/receiver.rs"),
    bug(116, "one too many cut at replay", "a cut of the log that is read at the start takes one entry more", "src/raft/log_recovery.rs"),
    bug(117, "deletes are not shipped", "a record has the rows that an entry wrote, not those that it deleted", "src/machine/apply.rs"),
    bug(118, "old records survive a comparison", "the records of before a comparison are kept after it", "src/machine/apply.rs"),
    bug(119, "row at the part's edge lost", "a comparison leaves out the row that no longer fits in a part", "src/replication/resync.rs"),
    bug(120, "role of before the batch", "of entries applied together, those after a change of role are judged by the role before it", "src/machine/stage.rs"),
    bug(121, "only rewritten rows are guarded", "what was read and is not written guards nothing", "src/barrier/txn.rs"),
    bug(122, "long names share one key", "long paths are one key", "src/types/key.rs"),
    bug(123, "cas zero is none", "a write that wants the secret not to exist yet is done whatever exists", "src/engines/kv/v2/record.rs"),
    bug(124, "local writes go upstream", "writes to local mounts of a secondary are sent to the primary", "src/core/pipeline/mod.rs"),
    bug(125, "half unlocked", "what unlocks a user removes one of two rows of it", "src/core/lockout/mod.rs"),
    bug(126, "standby without active is well", "a standby that knows no active node says that it is a good one", "src/core/health.rs"),
    bug(127, "new password resets settings", "a new password takes away what was set for the user's tokens", "src/auth/userpass/mod.rs"),
    bug(128, "mount below a mount", "a mount can be made below another, and hides what is there", "src/core/router.rs"),
    bug(129, "prefix takes siblings", "revoking a prefix revokes what only begins alike", "src/core/lease/revoke.rs"),
    bug(130, "last plus matches deeper", "a + at the end of a policy's path matches several segments", "src/core/policy/pattern.rs"),
    bug(131, "join key of before", "who joins after a rekey is refused with the new shares", "src/core/seal/rekey.rs"),
    bug(132, "unknown outcome is redirected", "a client is sent to the active node with a request that may have been carried out", "src/http/status.rs"),
    bug(133, "lists in the clear", "lists are written to audit devices as they are", "src/audit/hasher.rs"),
    bug(134, "shared one wins until failover", "a shared mount takes the place of a local one of its path", "src/core/mounts/mod.rs"),
    bug(135, "local auth methods swept", "users of local auth methods are deleted when a node becomes active", "src/core/mounts/sweeper.rs"),
    bug(136, "batch key outlives adoption", "the key of batch tokens outlives what a cluster had before it became a secondary", "src/core/token/salts.rs"),
    bug(137, "standbys of a secondary keep the keyring", "a node of a secondary that does not lead does not follow rotations", "src/core/seal/follow.rs"),
    bug(138, "mount table as it was", "requests are routed by the table at hand, whatever was applied since", "src/core/pipeline/route.rs"),
    bug(139, "change left halfway", "a change of voters that its leader left halfway is never finished", "src/raft/left_over.rs"),
    bug(140, "lease promise forgotten", "a node that restarts votes at once, whatever lease it gave before", "src/raft/service.rs"),
    bug(141, "replaced is told as refused", "an entry that another leader replaced here, and may commit yet, is told as not taken", "src/raft/handle.rs"),
    bug(142, "generation needs a record", "a frame without records does not tell a secondary of a later generation", "src/machine/apply.rs"),
    bug(143, "growth unheard while busy", "a stream whose link is busy does not hear of new records", "src/replication/shipper.rs"),
    bug(144, "old stream removes the new", "the end of a stream that was replaced removes the entry of its successor", "src/replication/accept.rs"),
    bug(145, "former key of the same term", "a key of before is dropped if the set has another one of its term", "src/barrier/keyring.rs"),
    bug(146, "moved primary not learned", "new addresses of a primary are learned only if they are more than those known", "src/replication/following.rs"),
    bug(147, "any claim opens an activation", "the answer of an activation token that was used is given to whatever cluster asks", "src/core/replication/activation.rs"),
    bug(148, "secondary's word is enough", "a primary does what a secondary asks without looking at its policies", "src/core/pipeline/permit.rs"),
    bug(149, "recent rows outlive a wipe", "rows that were wiped are still found in memory", "src/storage/rocks/commit.rs"),
    bug(150, "kept line to the old primary", "what is for a new primary goes where the line to the old one leads", "src/cluster/primary.rs"),
    bug(151, "segment head without vote", "a new segment of the log does not repeat the vote, which is gone once the older segments are", "src/raft/log.rs"),
    bug(152, "half counts as a majority", "a voter is removed though only half of the voters that are left answer", "src/raft/membership.rs"),
    bug(153, "heir stays named", "a leader that was badly reached once steps down whenever it leads again", "src/raft/reach.rs"),
    bug(154, "dead follower holds the log", "a leader keeps its log for a follower that does not answer, without a limit", "src/raft/compaction.rs"),
    bug(155, "small row outlives a large one", "a row that is too large to be remembered leaves the one before it in memory, which is read on", "src/storage/rocks/recent.rs"),
    bug(156, "start of the records not stored", "where the kept records begin after a comparison is known until the next restart only", "src/storage/rocks/commit.rs"),
    bug(157, "two pins of one name", "of two comparisons at one time, the second takes the pins of both away", "src/replication/retention.rs"),
    bug(158, "joiner proves itself once", "a node whose leader was lost before it was added waits for ever", "src/core/join/joiner.rs"),
    bug(159, "sealed leader gives up", "a leader that cannot be active stops handing leadership over after some tries in vain", "src/core/lifecycle/machine.rs"),
    bug(160, "former keys kept once", "of the keys that a cluster keeps when it follows another primary, those it had kept before are left out", "src/barrier/keyring.rs"),
    bug(161, "majority of the healthy", "the failure tolerance is that of a cluster without the voters that failed", "src/core/autopilot.rs"),
    bug(162, "told addresses replace all", "the addresses that the primary tells take the place of those that the operator named", "src/core/replication/secondary.rs"),
    bug(163, "outage that never ends", "the first failure to reach the primary counts on after it was reached again", "src/core/pipeline/primary.rs"),
    bug(164, "disallowed beside allowed", "a token role that says both what it allows and what it does not is asked for the former only", "src/core/token/request.rs"),
    bug(165, "two inits at one time", "a node that is initialized twice at one time proves itself with the identity of the init that failed", "src/core/seal/init.rs"),
    bug(166, "listing ends after a page", "a listing that is not paged gives its first thousand names only", "src/barrier/view.rs"),
    bug(167, "sweep starts once", "a node that becomes active for a second time ends nothing that comes due", "src/core/lease/expirer.rs"),
    bug(168, "moved mount becomes shared", "a local mount that is moved is a shared one from then on, and what it holds is not found", "src/core/sys/remount.rs"),
    bug(169, "tuning replaces options", "options that a tuning does not name are taken away, the version of a KV mount too", "src/core/sys/tune.rs"),
    bug(170, "old mount takes the new one's", "what is left of a disabled mount to end is looked for by path, though another mount has taken it", "src/core/mounts/sweeper.rs"),
    bug(171, "login beside a disable", "a login that is committed while its mount is being disabled lives on", "src/core/mounts/sweeper.rs"),
    bug(172, "bearer token audited", "the header Authorization can be made an audited one, so that tokens are written in the clear", "src/http/parse.rs"),
    bug(173, "patch takes any field", "what a policy says of parameters is not minded when a path is patched", "src/core/policy/acl.rs"),
    bug(174, "deleted under its other name", "a policy is deleted under the name as it was sent, though it is kept in lower case", "src/core/policy/engine.rs"),
    bug(175, "threshold of when it joined", "a node that joined goes on with the seal's numbers of that time, whatever rekeys there were", "src/core/seal/unseal.rs, src/core/join/joiner.rs"),
    bug(176, "failures count from the first", "a wrong login does not lengthen the time in which the next one adds up", "src/core/lockout/failures.rs"),
    bug(177, "undeleted for ever", "a version that is undeleted no longer ends after the time that mount or key say", "src/engines/kv/v2/record.rs"),
];

/// A bit per number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Set([u128; 2]);

impl Set {
    fn insert(&mut self, number: u8) {
        self.0[usize::from(number >> 7)] |= 1 << (number & 127);
    }

    const fn has(self, number: u8) -> bool {
        self.0[(number >> 7) as usize] & (1 << (number & 127)) != 0
    }
}

thread_local! {
    static HERE: Cell<Option<Set>> = const { Cell::new(None) };
}

/// Plants bugs on this thread, instead of those of the process, until it is dropped.
#[derive(Debug)]
pub struct PlantedHere {
    before: Option<Set>,
}

impl PlantedHere {
    /// Exactly these bugs; none is a choice too.
    pub fn new(numbers: &[u8]) -> Self {
        let mut set = Set::default();
        numbers.iter().for_each(|number| set.insert(*number));
        super::memory::forget_here();
        Self { before: HERE.replace(Some(set)) }
    }
}

impl Drop for PlantedHere {
    fn drop(&mut self) {
        HERE.set(self.before);
    }
}

/// Whether bugs were planted on this thread, or none on purpose.
pub(super) fn is_chosen_here() -> bool {
    HERE.get().is_some()
}

/// Called by [`crate::bug!`].
pub fn is_planted(number: u8) -> bool {
    HERE.get().unwrap_or_else(of_process).has(number)
}

fn of_process() -> Set {
    static SET: OnceLock<Set> = OnceLock::new();
    *SET.get_or_init(|| read(&std::env::var(VARIABLE).unwrap_or_default()).unwrap_or_else(|error| refuse_to_start(&error)))
}

/// A run with another bug than was asked for would be worse than none.
fn refuse_to_start(error: &str) -> ! {
    eprintln!("{VARIABLE}: {error}");
    std::process::exit(2)
}

fn read(text: &str) -> Result<Set, String> {
    let mut set = Set::default();
    for number in text.split(',').map(str::trim).filter(|number| !number.is_empty()) {
        let known = number.parse::<u8>().ok().filter(|number| BUGS.iter().any(|bug| bug.number == *number));
        set.insert(known.ok_or_else(|| format!("no planted bug has the number {number:?}"))?);
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_plants_its_own_bugs_and_takes_them_away_again() {
        assert!(!is_planted(1));
        let outer = PlantedHere::new(&[1, 40]);
        assert!(is_planted(1) && is_planted(40) && !is_planted(2));
        {
            let _inner = PlantedHere::new(&[]);
            assert!(!is_planted(1));
        }
        assert!(is_planted(1));
        assert!(!std::thread::spawn(|| is_planted(1)).join().unwrap());
        drop(outer);
        assert!(!is_planted(1));
        let _last = PlantedHere::new(&[127, 128, 255]);
        assert_eq!([0, 126, 127, 128, 129, 254, 255].map(is_planted), [false, false, true, true, false, false, true]);
    }

    #[test]
    fn each_has_its_number_and_stands_where_the_table_says() {
        for (at, bug) in BUGS.iter().enumerate() {
            assert_eq!(usize::from(bug.number), at + 1);
            for place in bug.place.split(", ") {
                let text = std::fs::read_to_string(place).unwrap();
                assert!(text.contains(&format!("bug!({})", bug.number)), "{} is not in {place}", bug.number);
            }
        }
    }

    #[test]
    fn only_bugs_that_exist_can_be_asked_for() {
        assert_eq!(read(""), Ok(Set::default()));
        assert!(read("0").is_err());
        assert!(read(&format!("{}", BUGS.len() + 1)).is_err());
        assert!(read("x").is_err());
    }
}
