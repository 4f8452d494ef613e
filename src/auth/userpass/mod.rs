//! `userpass`: users with passwords.
//!
//! Passwords are kept as bcrypt hashes. An unknown user costs a login as much as a known one and is answered the same, so names
//! cannot be found out by timing. Lockout after failures is the core's, for all methods alike.

mod password;

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::token_fields::TokenFields;
use crate::engine::Operation::{self, Create, Delete, List, Read, Update};
use crate::engine::{Access, Body, Call, Engine, EngineError, Fields, Grant, Kind, MountClass, Reply, Route, View, Writes};
use crate::types::limits::LOGIN_NAME_BYTES_MAX;

/// The kind `userpass`.
pub static KIND: Kind = Kind { name: "userpass", class: MountClass::Auth, local: &[], mountable: true, open: |_| Arc::new(Userpass) };

const fn route(pattern: &'static str, operations: &'static [Operation], writes: Writes, help: &'static str) -> Route {
    Route { pattern, operations, access: Access::Policy, writes, help }
}

static ROUTES: &[Route] = &[
    route("users", &[List], Writes::Nothing, "Lists users."),
    route("users/:username", &[Read], Writes::Nothing, "Reads a user's settings."),
    route("users/:username", &[Update, Delete], Writes::Shared, "Creates, changes or deletes a user."),
    route("users/:username/password", &[Update], Writes::Shared, "Changes a user's password."),
    route("users/:username/policies", &[Update], Writes::Shared, "Changes a user's policies."),
    Route {
        pattern: "login/:username",
        operations: &[Update],
        access: Access::Anyone,
        writes: Writes::Local,
        help: "Logs in with a password.",
    },
];

/// With the names of before the fields of all auth methods were called alike.
const USER_FIELDS: &[&str] = &[
    "bound_cidrs",
    "max_ttl",
    "password",
    "password_hash",
    "policies",
    "token_bound_cidrs",
    "token_explicit_max_ttl",
    "token_max_ttl",
    "token_no_default_policy",
    "token_num_uses",
    "token_period",
    "token_policies",
    "token_ttl",
    "token_type",
    "ttl",
];

#[derive(Clone, Serialize, Deserialize)]
struct User {
    hash: String,
    token: TokenFields,
}

struct Userpass;

#[async_trait]
impl Engine for Userpass {
    fn routes(&self) -> &'static [Route] {
        ROUTES
    }

    fn fields(&self, route: &Route) -> Fields {
        Fields::Only(match route.pattern {
            "users" => &[],
            "users/:username" => USER_FIELDS,
            "users/:username/password" => &["password", "password_hash"],
            "users/:username/policies" => &["policies", "token_policies"],
            "login/:username" => &["password"],
            _ => return Fields::Any,
        })
    }

    async fn exists(&self, call: &Call<'_>, view: &mut View<'_>) -> Result<Option<bool>, EngineError> {
        match call.route.pattern {
            "users/:username" => Ok(Some(view.exists(&row(&username(call)?))?)),
            _ => Ok(None),
        }
    }

    async fn handle(&self, call: &Call<'_>, view: &mut View<'_>) -> Result<Reply, EngineError> {
        match (call.route.pattern, call.operation) {
            ("users", _) => Ok(Reply::keys(view.list_all("user/")?)),
            ("users/:username", Read) => match load(view, &username(call)?)? {
                Some(user) => Ok(Reply::data(user.token.show())),
                None => Ok(Reply::missing()),
            },
            ("users/:username", Create | Update) => write_user(call, view).await,
            ("users/:username", Delete) => {
                let row = row(&username(call)?);
                if !bug!(72) {
                    view.delete(&row);
                }
                Ok(Reply::empty())
            }
            ("users/:username/password", _) => change_password(call, view).await,
            ("users/:username/policies", _) => change_policies(call, view),
            ("login/:username", _) => login(call, view).await,
            _ => Err(EngineError::Unsupported),
        }
    }
}

fn row(username: &str) -> String {
    format!("user/{username}")
}

/// Names are one case, so that variants of a name are one user for lockout too.
fn username(call: &Call<'_>) -> Result<String, EngineError> {
    let name = call.captures.get("username").to_lowercase();
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let is_fine = name.starts_with(is_word) && name.ends_with(is_word) && name.chars().all(|c| is_word(c) || "-.@+".contains(c));
    if !is_fine {
        return Err(EngineError::invalid("invalid username: use letters, digits and, inside, - . @ + _"));
    }
    if name.len() > LOGIN_NAME_BYTES_MAX {
        return Err(EngineError::Invalid(format!("invalid username: use at most {LOGIN_NAME_BYTES_MAX} bytes")));
    }
    Ok(name)
}

fn load(view: &mut View<'_>, name: &str) -> Result<Option<User>, EngineError> {
    Ok(view.get_json(&row(name))?)
}

async fn write_user(call: &Call<'_>, view: &mut View<'_>) -> Result<Reply, EngineError> {
    let name = username(call)?;
    let given = password::given(call.data())?;
    let mut user = match load(view, &name)? {
        Some(user) if bug!(127) && given.is_some() => User { token: TokenFields::default(), ..user },
        Some(user) => user,
        None if given.is_none() => return Err(EngineError::invalid("missing password")),
        None => User { hash: String::new(), token: TokenFields::default() },
    };
    user.token.update(call.data())?;
    if let Some(given) = given {
        user.hash = password::hash(given, call.mount.entropy.as_ref()).await?;
    }
    view.put_json(&row(&name), &user);
    Ok(Reply::empty())
}

async fn change_password(call: &Call<'_>, view: &mut View<'_>) -> Result<Reply, EngineError> {
    let name = username(call)?;
    let Some(mut user) = load(view, &name)? else { return Err(EngineError::invalid("username does not exist")) };
    let given = password::given(call.data())?.ok_or_else(|| EngineError::invalid("missing password"))?;
    user.hash = password::hash(given, call.mount.entropy.as_ref()).await?;
    view.put_json(&row(&name), &user);
    Ok(Reply::empty())
}

fn change_policies(call: &Call<'_>, view: &mut View<'_>) -> Result<Reply, EngineError> {
    let name = username(call)?;
    let Some(mut user) = load(view, &name)? else { return Err(EngineError::invalid("username does not exist")) };
    user.token.update_policies(call.data())?;
    view.put_json(&row(&name), &user);
    Ok(Reply::empty())
}

async fn login(call: &Call<'_>, view: &mut View<'_>) -> Result<Reply, EngineError> {
    let name = username(call)?;
    let given = call.data().required_text("password")?;
    let user = load(view, &name)?;
    let is_known = user.is_some();
    let is_right = password::verify(given, user.as_ref().map(|user| user.hash.clone())).await?;
    let Some(user) = user.filter(|_| is_right) else { return Err(EngineError::BadLogin { is_known }) };
    if !user.token.admits(call.request.connection.remote.map(|remote| remote.ip())) {
        return Err(EngineError::Denied);
    }
    let mount_name = call.mount.path.trim_end_matches('/').trim_start_matches("auth/").replace('/', "-");
    let grant = Grant {
        display_name: format!("{mount_name}-{name}"),
        metadata: [("username".to_owned(), name.clone())].into(),
        alias: name,
        ..user.token.grant()
    };
    Ok(Body::Login(Box::new(grant)).into())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::engine::harness::Harness;

    async fn login(harness: &mut Harness, name: &str, password: &str) -> Result<Grant, String> {
        match harness.call(Update, &format!("login/{name}"), json!({ "password": password })).await {
            Ok(Reply { body: Body::Login(grant), .. }) => Ok(*grant),
            Ok(other) => panic!("expected a grant, got {other:?}"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[tokio::test]
    async fn a_user_logs_in_with_the_right_password_only() {
        let mut harness = Harness::new(&KIND, &[]);
        harness.call(Update, "users/Tester", json!({"password": "pw", "token_policies": "admin", "token_ttl": "1h"})).await.unwrap();
        let grant = login(&mut harness, "TESTER", "pw").await.unwrap();
        assert_eq!((grant.alias.as_str(), grant.display_name.as_str()), ("tester", "test-tester"));
        assert_eq!(grant.policies, ["admin"]);
        assert_eq!(login(&mut harness, "tester", "no").await.unwrap_err(), "invalid username or password");
        assert_eq!(login(&mut harness, "nobody", "pw").await.unwrap_err(), "invalid username or password");
        harness.call(Update, "users/tester/password", json!({"password": "new"})).await.unwrap();
        assert!(login(&mut harness, "tester", "pw").await.is_err());
        assert!(login(&mut harness, "tester", "new").await.is_ok());
    }

    #[tokio::test]
    async fn reads_never_show_the_hash() {
        let mut harness = Harness::new(&KIND, &[]);
        harness.call(Update, "users/a", json!({"password": "pw"})).await.unwrap();
        let shown = harness.data(Read, "users/a", Value::Null).await;
        assert_eq!(shown["token_type"], "default");
        assert!(!shown.to_string().contains("$2"));
        assert_eq!(harness.data(List, "users", Value::Null).await, json!({"keys": ["a"]}));
    }

    #[tokio::test]
    async fn bad_users_are_refused() {
        let mut harness = Harness::new(&KIND, &[]);
        let long = "x".repeat(73);
        for (path, body, part) in [
            ("users/a", json!({}), "missing password"),
            ("users/-a", json!({"password": "x"}), "invalid username"),
            ("users/a", json!({ "password": long }), "72 bytes"),
            ("users/a", json!({"password": "x", "password_hash": "y"}), "only one of"),
            ("users/a", json!({"password_hash": "y"}), "bcrypt"),
            ("users/none/password", json!({"password": "x"}), "does not exist"),
        ] {
            let error = harness.call(Update, path, body).await.unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
