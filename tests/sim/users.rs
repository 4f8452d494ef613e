//! Users that belong to one client alone: their passwords, what their tokens are given, and how they are locked out.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::clients::{Clients, Told};
use crate::operator::READER;
use crate::rng::Rng;

/// Passwords of one life.
const PASSWORDS: usize = 5;
/// Wrong passwords that are tried of one user: fewer than lock him out.
const WRONG_TRIES: usize = 3;
/// So many lock him out.
const LOCKED_AFTER: usize = 5;
/// How long his tokens live, in seconds.
const TTL: u64 = 2400;

fn password(number: i64) -> String {
    format!("secret-{number}")
}

impl Clients {
    /// Makes a user and changes his password: the last one opens, no other does, and what was set for his tokens stays.
    pub async fn change_password(self: Arc<Self>, mut rng: Rng) {
        let (name, token) = (format!("own{}", self.fresh()), self.token(0));
        let user = format!("auth/up/users/{name}");
        let mut wrong_tries = 0;
        let mut now = None;
        for _ in 0..PASSWORDS {
            let next = self.fresh();
            let body = json!({ "password": password(next), "token_policies": READER, "token_ttl": TTL });
            // Later by one of two ways, neither of which says anything of tokens.
            let (path, body) = match now {
                None => (user.clone(), body),
                Some(_) if rng.permille(500) => (user.clone(), json!({ "password": password(next) })),
                Some(_) => (format!("{user}/password"), json!({ "password": password(next) })),
            };
            match self.told(self.any_host(0, &mut rng), "POST", &path, &token, &body).await {
                Told::Done(_) => {}
                Told::Refused(0, _) => continue,
                Told::Refused(_, why) => return self.world.fail(format!("POST {path} was refused: {why}")),
                Told::Unknown(_) => return,
            }
            let before = now.replace(next);
            let is_old = wrong_tries < WRONG_TRIES && rng.permille(400);
            let Some(tried) = (if is_old { before } else { now }) else { continue };
            let is_right = Some(tried) == now;
            match self.log_in_as(&name, tried, &mut rng).await {
                Told::Done(_) if !is_right => return self.world.fail(format!("{name} logged in with a password that was replaced")),
                Told::Done(answer) => {
                    let policies = answer["auth"]["token_policies"].as_array().cloned().unwrap_or_default();
                    if answer["auth"]["lease_duration"] != TTL || !policies.contains(&READER.into()) {
                        return self.world.fail(format!("{name} was to get {READER} for {TTL} s, and got {answer}"));
                    }
                }
                Told::Refused(400, why) if is_right => return self.world.fail(format!("{name} was refused with his password: {why}")),
                _ => wrong_tries += usize::from(!is_right),
            }
        }
        let gone = self.told(self.any_host(0, &mut rng), "DELETE", &user, &token, &Value::Null).await;
        let (Some(last), Told::Done(_)) = (now, gone) else { return };
        if let Told::Done(_) = self.log_in_as(&name, last, &mut rng).await {
            self.world.fail(format!("{name} was deleted, and logged in"));
        }
    }

    /// Guesses a user's password until he is locked out, and unlocks him: then he is as he was.
    pub async fn lock_out(self: Arc<Self>, mut rng: Rng) {
        let (name, right, token) = (format!("own{}", self.fresh()), self.fresh(), self.token(0));
        let told = self.told(self.any_host(0, &mut rng), "GET", "sys/auth/up", &token, &Value::Null).await;
        let Told::Done(mount) = told else { return };
        let body = json!({ "password": password(right) });
        let path = format!("auth/up/users/{name}");
        if !matches!(self.told(self.any_host(0, &mut rng), "POST", &path, &token, &body).await, Told::Done(_)) {
            return;
        }
        for guess in 1..=LOCKED_AFTER + 1 {
            match self.log_in_as(&name, -1, &mut rng).await {
                Told::Refused(400, _) if guess <= LOCKED_AFTER => {}
                Told::Refused(403, _) if guess > LOCKED_AFTER => {}
                Told::Refused(status @ (400 | 403), why) => {
                    return self.world.fail(format!("wrong password {guess} of {name} was answered with {status} {why}"));
                }
                _ => return,
            }
        }
        if let Told::Done(_) = self.log_in_as(&name, right, &mut rng).await {
            return self.world.fail(format!("{name} was locked out, and logged in"));
        }
        let accessor = mount["data"]["accessor"].as_str().or_else(|| mount["accessor"].as_str()).unwrap_or_default();
        let path = format!("sys/locked-users/{accessor}/unlock/{name}");
        match self.told(self.any_host(0, &mut rng), "POST", &path, &token, &json!({})).await {
            Told::Done(_) => {}
            Told::Refused(404 | 400, why) => return self.world.fail(format!("POST {path} was refused: {why}")),
            _ => return,
        }
        for _ in 0..2 {
            match self.log_in_as(&name, right, &mut rng).await {
                Told::Done(_) => {}
                Told::Refused(status @ (400 | 403), why) => {
                    return self.world.fail(format!("{name} was unlocked, and is refused with his password: {status} {why}"));
                }
                _ => return,
            }
            // Fewer than lock him out, since he was well.
            for _ in 1..LOCKED_AFTER {
                match self.log_in_as(&name, -1, &mut rng).await {
                    Told::Refused(400, _) => {}
                    Told::Refused(403, why) => return self.world.fail(format!("{name} is locked out too early: {why}")),
                    _ => return,
                }
            }
        }
    }

    async fn log_in_as(&self, name: &str, number: i64, rng: &mut Rng) -> Told {
        let (path, body) = (format!("auth/up/login/{name}"), json!({ "password": password(number) }));
        self.told(self.any_host(0, rng), "POST", &path, "", &body).await
    }
}
