//! Clients: each does one thing after another, at any node, and writes down what it was told.
//!
//! An answer below 300 happened. A refusal that the API documents did not. Everything else is not known: for a read that is worth
//! nothing, for a write it may have happened or happen yet.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jepsen::core::Kind;

use crate::guarded::Guarded;
use crate::history::Histories;
use crate::net::{HostId, NoAnswer, now};
use crate::operator::send;
use crate::rng::Rng;
use crate::transport::raw;
use crate::world::World;

/// A versioned register, through the active node of the primary.
pub const REGISTER: &str = "register";
/// Elements, each a secret of its own.
pub const SET: &str = "set";
/// Tokens with a number of uses.
pub const USES: &str = "uses";
/// Reads where the shared data are a copy.
pub const COPIES: &str = "copies";
/// Tokens whose parent was revoked.
pub const REVOKED: &str = "revoked";
/// Answers that are wrapped, and open once.
pub const WRAP: &str = "wrap";
/// Policies that change, and what they allow.
pub const POLICY: &str = "policy";
/// Wrong passwords.
pub const LOGINS: &str = "logins";
/// Of each cluster, elements that are there alone.
pub const LOCAL: [&str; 3] = ["local a", "local b", "local c"];
/// All of them.
pub const WORKLOADS: [&str; 11] = [REGISTER, SET, USES, COPIES, REVOKED, WRAP, POLICY, LOGINS, LOCAL[0], LOCAL[1], LOCAL[2]];

/// What clients share.
pub struct Clients {
    pub world: Arc<World>,
    pub histories: Histories,
    /// Set when clients are to stop.
    pub is_over: AtomicBool,
    /// How many have not stopped yet.
    working: AtomicU64,
    /// Values that were never written before.
    next: AtomicU64,
    answered: Mutex<Vec<Answered>>,
    /// Secrets of one owner whose versions are known for certain: of each, whether it was destroyed.
    pub owned: Mutex<BTreeMap<String, Vec<bool>>>,
    /// Tokens of mounts that were disabled, and their clusters.
    pub passing: Mutex<Vec<(usize, String)>>,
    /// Tokens of the first cluster that nobody took anything from.
    pub staying: Mutex<Vec<String>>,
}

/// A request that was done, by its id.
#[derive(Clone)]
pub struct Answered {
    pub id: String,
    /// What it was, where and when.
    pub what: String,
}

/// What an answer says.
pub enum Told {
    Done(serde_json::Value),
    Refused(u16, String),
    Unknown(String),
}

impl Told {
    /// What it says of a request that changes something, and why.
    pub fn outcome(self) -> (Kind, String) {
        match self {
            Self::Done(_) => (Kind::Ok, String::new()),
            Self::Refused(_, why) => (Kind::Fail, why),
            Self::Unknown(why) => (Kind::Info, why),
        }
    }

    /// A text of the answer, if it was done for certain.
    fn text(&self, part: &str, field: &str) -> Option<String> {
        match self {
            Self::Done(answer) => answer[part][field].as_str().map(str::to_owned),
            _ => None,
        }
    }

    /// The token that was made.
    pub fn token(&self) -> Option<String> {
        self.text("auth", "client_token")
    }

    /// Its accessor.
    pub fn accessor(&self) -> Option<String> {
        self.text("auth", "accessor")
    }

    /// The token that opens what was wrapped.
    pub fn wrapping_token(&self) -> Option<String> {
        self.text("wrap_info", "token")
    }
}

impl Clients {
    /// None that works yet.
    pub fn new(world: Arc<World>) -> Arc<Self> {
        Arc::new(Self {
            world,
            histories: Histories::default(),
            is_over: AtomicBool::new(false),
            working: AtomicU64::new(0),
            next: AtomicU64::new(1),
            answered: Mutex::default(),
            owned: Mutex::default(),
            passing: Mutex::default(),
            staying: Mutex::default(),
        })
    }

    /// The root token of a cluster.
    pub fn token(&self, cluster: usize) -> String {
        self.world.root(cluster)
    }

    /// A number that nobody had before.
    pub fn fresh(&self) -> i64 {
        i64::try_from(self.next.fetch_add(1, Ordering::Relaxed)).expect("few values are written")
    }

    /// What a host says to a request.
    pub async fn told(&self, host: HostId, method: &str, path: &str, token: &str, body: &serde_json::Value) -> Told {
        self.told_of(host, raw(method, path, Some(token), body)).await
    }

    /// What a host says to a request that is made already.
    pub async fn told_of(&self, host: HostId, request: coffer::core::RawRequest) -> Told {
        let what = format!("{} {} at {}", request.method, request.uri, self.world.names[host.0]);
        let told = judged(send(&self.world, host, request).await);
        if let Told::Done(answer) = &told
            && let Some(id) = answer["request_id"].as_str().filter(|id| !id.is_empty())
        {
            let one = Answered { id: id.to_owned(), what: format!("{what}, {} ms", now().as_millis()) };
            self.answered.lock().expect("no holder of this lock panics").push(one);
        }
        told
    }

    /// All requests that were done.
    pub fn answered(&self) -> Vec<Answered> {
        self.answered.lock().expect("no holder of this lock panics").clone()
    }

    /// A host of a cluster, one that does not run perhaps.
    pub fn any_host(&self, cluster: usize, rng: &mut Rng) -> HostId {
        *rng.pick(&self.world.plan.all_of(cluster))
    }

    /// Starts the clients of all clusters.
    pub fn start(self: &Arc<Self>) {
        let plan = &self.world.plan;
        for cluster in 0..plan.sizes.len() {
            for number in 0..plan.clients {
                let rng = Rng::new(plan.seed, &format!("client {cluster} {number}"));
                self.working.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(self.clone().work(cluster, number, rng));
            }
        }
    }

    /// Does something beside what a client does.
    pub fn aside(self: &Arc<Self>, what: impl Future<Output = ()> + Send + 'static) {
        self.working.fetch_add(1, Ordering::Relaxed);
        let clients = self.clone();
        tokio::spawn(async move {
            what.await;
            clients.working.fetch_sub(1, Ordering::Relaxed);
        });
    }

    /// Whether all have stopped: nothing is under way any more.
    pub fn have_stopped(&self) -> bool {
        self.working.load(Ordering::Relaxed) == 0
    }

    async fn work(self: Arc<Self>, cluster: usize, number: u64, mut rng: Rng) {
        let mut process = self.histories.process();
        let mut guarded = Guarded::new(number);
        // Where policies and passwords are a copy, changes arrive late.
        let is_origin = cluster == 0 && !self.world.plan.changes_roles();
        let rest = u64::try_from(self.world.plan.rest.as_millis()).unwrap_or(1000);
        while !self.is_over.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(rng.between(1, rest))).await;
            let host = self.any_host(cluster, &mut rng);
            let one = Rng::new(rng.number(), "one");
            match rng.below(100) {
                0..30 if is_origin => self.read(cluster, host, &mut rng, &mut process, REGISTER).await,
                // Where the shared data are a copy, or may become one, reads may be late.
                0..30 => self.read(cluster, host, &mut rng, &mut process, COPIES).await,
                30..44 => self.write(cluster, host, &mut rng, &mut process).await,
                44..58 => self.cas(cluster, host, &mut rng, &mut process).await,
                58..69 => self.add(cluster, host, &mut process).await,
                69..73 => self.aside(self.clone().use_up(cluster, one)),
                73..76 => self.aside(self.clone().end_family(cluster, one)),
                76..79 => self.aside(self.clone().open_wrapped(cluster, one)),
                79..82 => self.leave_behind(cluster, host).await,
                82 => self.aside(self.clone().go_around(cluster, one)),
                83 => self.aside(self.clone().outlive(cluster, one)),
                84..92 if is_origin => self.change_or_probe(host, &mut guarded, &mut rng, &mut process).await,
                92 if is_origin => self.aside(self.clone().come_and_go(one)),
                94 if is_origin => self.aside(self.clone().patch_together(one)),
                99 if is_origin => self.aside(self.clone().log_in_passing(one)),
                98 => self.aside(self.clone().keep_to_itself(cluster, one)),
                95 | 96 if is_origin => self.aside(self.clone().keep_secret(one)),
                97 if is_origin && number == 0 => self.aside(self.clone().change_password(one)),
                97 if is_origin && number == 1 => self.aside(self.clone().lock_out(one)),
                97 if is_origin && self.world.plan.sizes.len() > 1 => self.aside(self.clone().write_by_copy(one)),
                93 if is_origin && number == 0 => {
                    for _ in 0..3 {
                        self.login_wrongly(self.any_host(cluster, &mut rng), &mut process).await;
                    }
                }
                _ => self.keep_here(cluster, host, &mut process).await,
            }
        }
        self.working.fetch_sub(1, Ordering::Relaxed);
    }
}

fn judged(answer: Result<(u16, serde_json::Value), NoAnswer>) -> Told {
    match answer {
        Ok((status, answer)) if status < 300 => Told::Done(answer),
        // Whoever is sent elsewhere asks there, as nothing was done here.
        Ok((307, _)) => Told::Refused(0, "another node is to be asked".to_owned()),
        Ok((status, answer)) => {
            let text = answer["errors"].to_string();
            // Of these the API says that nothing happened.
            if matches!(status, 400 | 403 | 404 | 405 | 412) {
                Told::Refused(status, text)
            } else {
                Told::Unknown(format!("{status} {text}"))
            }
        }
        Err(NoAnswer::NotSent(why)) => Told::Refused(0, why.to_owned()),
        Err(NoAnswer::Unknown(why)) => Told::Unknown(why.to_owned()),
    }
}
