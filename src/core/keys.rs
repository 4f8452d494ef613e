//! Where the core keeps its own rows: every system key, its scope and its path, in one place.
//!
//! `core::keys::…` elsewhere. Rows marked *raw* are not encrypted by the barrier's keyring: they are what opens it.

use crate::engine::MountClass;
use crate::types::{Key, Prefix, Scope};

/// What the paths of all rows begin with that the core writes for itself; a mount's begin with its id, the cubbyholes' with theirs.
pub const OWN: &str = "sys/";
/// *Raw*, plain JSON: how many shares there are and how many it takes. Not secret, and needed while sealed.
pub fn seal_config() -> Key {
    Key::shared("sys/seal-config")
}
/// *Raw*: the root key, encrypted by the unseal key.
pub fn root_key() -> Key {
    Key::shared("sys/root-key")
}
/// *Raw*: the keyring, encrypted by the root key.
pub fn keyring() -> Key {
    Key::shared("sys/keyring")
}
/// *Raw*: the root key, encrypted by the root key of before: how unsealed standbys follow an adoption. Removed soon after.
pub fn root_key_handover() -> Key {
    Key::node("sys/root-key-handover")
}
/// *Raw*: the data keys that this cluster held when it came to follow another primary, encrypted by the root key.
pub fn former_keys() -> Key {
    Key::node("sys/former-keys")
}
/// This cluster's id and name.
pub fn cluster_identity() -> Key {
    Key::node("sys/cluster/identity")
}
/// This cluster's certificate authority, private key included.
pub fn cluster_ca() -> Key {
    Key::node("sys/cluster/ca")
}
/// What challenges of joining nodes are encrypted with; joiners derive it from the unseal key, so it is shared as the shares are.
pub fn join_key() -> Key {
    Key::shared("sys/join-key")
}
/// Autopilot's settings.
pub fn autopilot() -> Key {
    Key::node("sys/autopilot")
}
/// When the keyring is rotated by itself.
pub fn rotate_config() -> Key {
    Key::shared("sys/rotate-config")
}
/// What this cluster remembers of its role in performance replication.
pub fn replication_role() -> Key {
    Key::node("sys/replication/performance/role")
}
/// What a primary remembers of the secondary called `id`.
pub fn secondary(id: &str) -> Key {
    Key::node(format!("sys/replication/performance/secondary/{id}"))
}
/// All of a primary's secondaries.
pub fn secondaries() -> Prefix {
    Prefix::new(Scope::Node, "sys/replication/performance/secondary/")
}
/// What an activation token (in its stored form) was exchanged for, for whoever claimed it.
pub fn activation(token: &str) -> Key {
    Key::local(format!("sys/replication/activation/{token}"))
}
/// A mount at `path` (without the final slash; auth methods without `auth/`).
pub fn mount(scope: Scope, class: MountClass, path: &str) -> Key {
    Key::new(scope, format!("{}{path}", mounts(scope, class).path))
}
/// All mounts of a class in a scope.
pub fn mounts(scope: Scope, class: MountClass) -> Prefix {
    let class = match class {
        MountClass::Secret => "secret",
        MountClass::Auth => "auth",
    };
    Prefix::new(scope, format!("sys/mount/{class}/"))
}
/// The audit device at `path` (without the final slash).
pub fn audit_device(scope: Scope, path: &str) -> Key {
    Key::new(scope, format!("sys/audit/{path}"))
}
/// All audit devices in a scope.
pub fn audit_devices(scope: Scope) -> Prefix {
    Prefix::new(scope, "sys/audit/")
}
/// The ACL policy called `name`.
pub fn policy(name: &str) -> Key {
    Key::shared(format!("sys/policy/acl/{name}"))
}
/// All ACL policies.
pub fn policies() -> Prefix {
    Prefix::new(Scope::Shared, "sys/policy/acl/")
}
/// The key that tokens are hashed with.
pub fn token_salt() -> Key {
    Key::local("sys/token/salt")
}
/// The key that batch tokens are encrypted with.
pub fn batch_token_key() -> Key {
    Key::local("sys/token/batch-key")
}
/// The service token whose HMAC is `hash`.
pub fn token(hash: &str) -> Key {
    Key::of_parts(Scope::Local, &["sys/token/id/", hash])
}
/// The token that `accessor` names.
pub fn token_accessor(accessor: &str) -> Key {
    Key::local(format!("sys/token/accessor/{accessor}"))
}
/// All token accessors.
pub fn token_accessors() -> Prefix {
    Prefix::new(Scope::Local, "sys/token/accessor/")
}
/// Says that the token `child` was made by the token `parent`.
pub fn token_child(parent: &str, child: &str) -> Key {
    Key::local(format!("sys/token/parent/{parent}/{child}"))
}
/// All children of the token `parent`.
pub fn token_children(parent: &str) -> Prefix {
    Prefix::new(Scope::Local, format!("sys/token/parent/{parent}/"))
}
/// The id of the one cubbyhole mount: fixed, so that the core finds what a token keeps there.
pub const CUBBYHOLE_ID: &str = "cubbyhole";
/// What the token `hash` keeps in its cubbyhole under `name`.
pub fn cubbyhole(hash: &str, name: &str) -> Key {
    Key::local(format!("{CUBBYHOLE_ID}/{hash}/{name}"))
}
/// All that the token `hash` keeps in its cubbyhole.
pub fn cubbyholes(hash: &str) -> Prefix {
    Prefix::new(Scope::Local, format!("{CUBBYHOLE_ID}/{hash}/"))
}
/// The token role called `name`.
pub fn token_role(name: &str) -> Key {
    Key::shared(format!("sys/token/role/{name}"))
}
/// All token roles.
pub fn token_roles() -> Prefix {
    Prefix::new(Scope::Shared, "sys/token/role/")
}
/// The lease called `id` (which contains slashes).
pub fn lease(id: &str) -> Key {
    Key::local(format!("sys/lease/id/{id}"))
}
/// All leases whose id starts with `id`.
pub fn leases(id: &str) -> Prefix {
    Prefix::new(Scope::Local, format!("sys/lease/id/{id}"))
}
/// Orders leases and tokens by expiry: `due_ms` in fixed width, then what is due (`lease/<id>` or `token/<hash>`).
pub fn due(due_ms: u64, what: &str) -> Key {
    Key::local(format!("sys/lease/due/{due_ms:016x}/{what}"))
}
/// All that is due, the earliest first.
pub fn dues() -> Prefix {
    Prefix::new(Scope::Local, "sys/lease/due/")
}
/// Says that the lease `id` could not be revoked and is not tried any more.
pub fn irrevocable_lease(id: &str) -> Key {
    Key::local(format!("sys/lease/irrevocable/{id}"))
}
/// All leases that could not be revoked.
pub fn irrevocable_leases() -> Prefix {
    Prefix::new(Scope::Local, "sys/lease/irrevocable/")
}
/// Says that the lease `id` ends with the token `hash`.
pub fn token_lease(hash: &str, id: &str) -> Key {
    Key::local(format!("sys/lease/token/{hash}/{id}"))
}
/// All leases that end with the token `hash`.
pub fn token_leases(hash: &str) -> Prefix {
    Prefix::new(Scope::Local, format!("sys/lease/token/{hash}/"))
}
/// The private key that signs wrapping JWTs (ES512).
pub fn wrapping_jwt_key() -> Key {
    Key::shared("sys/wrapping/jwt-key")
}
/// The failed logins of one name at one auth mount, whether there is such a user or not.
pub fn lockout_seen(mount: &str, alias: &str) -> Key {
    Key::local(format!("sys/lockout/seen/{mount}/{alias}"))
}
/// All names with failed logins.
pub fn lockouts_seen() -> Prefix {
    Prefix::new(Scope::Local, "sys/lockout/seen/")
}
/// The failed logins of one user that there is.
pub fn lockout_known(mount: &str, alias: &str) -> Key {
    Key::local(format!("sys/lockout/known/{mount}/{alias}"))
}
/// All users with failed logins.
pub fn lockouts_known() -> Prefix {
    Prefix::new(Scope::Local, "sys/lockout/known/")
}
/// What is written instead for a name that nobody has, so that it costs as much. Means nothing.
pub fn lockout_decoy(number: u32) -> Key {
    Key::local(format!("sys/lockout/decoy/{number}"))
}
/// All rows about failed logins.
pub fn lockouts() -> Prefix {
    Prefix::new(Scope::Local, "sys/lockout/")
}
/// A mount that was disabled and whose rows are being deleted, page by page.
pub fn doomed_mount(scope: Scope, id: &str) -> Key {
    Key::new(scope, format!("sys/doomed/{id}"))
}
/// All mounts whose rows are being deleted.
pub fn doomed_mounts(scope: Scope) -> Prefix {
    Prefix::new(scope, "sys/doomed/")
}
/// Changes with every change of the mount table in a scope: two changes at one time conflict, so that checks of paths hold.
pub fn mount_epoch(scope: Scope) -> Key {
    Key::new(scope, "sys/mount-epoch")
}
/// Settings of `sys/config/…`, each one row.
pub fn config(name: &str) -> Key {
    Key::shared(format!("sys/config/{name}"))
}
/// All settings of `sys/config/…` whose name starts with `name`.
pub fn configs(name: &str) -> Prefix {
    Prefix::new(Scope::Shared, format!("sys/config/{name}"))
}
/// A move of a mount that was made, for those who ask how it went.
pub fn remount(scope: Scope, id: &str) -> Key {
    Key::new(scope, format!("sys/remount/{id}"))
}
