//! Promises of lockout: over its rows, and through a whole core in memory.

use std::sync::LazyLock;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::{Lock, Lockouts, Settings, WrongLogin, lock, succeeded};
use crate::core::testing::TestCore;
use crate::core::token::testing::World;
use crate::engine::{Kind, Operation};

struct Door {
    world: World,
    lockouts: Lockouts,
}

impl Door {
    async fn new(most: usize) -> Self {
        let lockouts = Lockouts::default();
        lockouts.shrink(most);
        Self { world: World::new().await, lockouts }
    }

    async fn fail(&self, alias: &str, is_known: bool) -> Lock {
        let mount = self.world.mount("auth/userpass/");
        let now = self.world.now();
        let wrong = WrongLogin { mount: &mount, alias, is_known };
        self.world.write(|txn| Ok(self.lockouts.failed(txn, wrong, Settings::default(), now)?)).await.unwrap();
        self.lock(alias).await
    }

    async fn lock(&self, alias: &str) -> Lock {
        let mount = self.world.mount("auth/userpass/");
        self.world.write(|txn| Ok(lock(txn, &mount, alias, self.world.now())?)).await.unwrap()
    }

    async fn pass(&self, secs: u64) {
        self.world.ground.clock.pass(secs);
        self.world.sweep().await;
    }

    fn names(&self) -> usize {
        self.world.rows("sys/lockout/seen/")
    }
}

#[tokio::test]
async fn a_user_is_locked_out_and_let_in_again() {
    let door = Door::new(10).await;
    for name in ["mia", "MIA", " mia", "Mia "] {
        assert_eq!(door.fail(name, true).await, Lock::Open);
    }
    assert_eq!(door.fail("mia", true).await, Lock::Told, "five failures lock, however the name is spelled");
    door.world.ground.clock.pass(15 * 60);
    assert_eq!(door.fail("mia", true).await, Lock::Open, "a failure after the lock is the first again");
    let mount = door.world.mount("auth/userpass/");
    door.world.write(|txn| Ok(succeeded(txn, &mount, "mia")?)).await.unwrap();
    assert_eq!(door.world.rows("sys/lockout/"), 0);
    door.fail("mia", true).await;
    door.pass(15 * 60).await;
    assert_eq!(door.world.rows("sys/lockout/") + door.world.rows("sys/lease/"), 0, "nothing is left of old failures");
}

#[tokio::test]
async fn names_that_nobody_has_are_bounded_and_neither_lock_nor_unlock_others() {
    let door = Door::new(8).await;
    for _ in 0..5 {
        door.fail("before", true).await;
    }
    for number in 0..100 {
        door.fail(&format!("nobody{number}"), false).await;
    }
    assert_eq!(door.names(), 8);
    assert_eq!(door.lock("before").await, Lock::Told, "nobody is unlocked by others' failures");
    assert_eq!(door.lock("bystander").await, Lock::Open, "nobody is locked by others' failures");
    // Of two names that come too late, only the one that somebody has is locked, and it cannot be told from the other.
    for _ in 0..5 {
        door.fail("ann", true).await;
        assert_eq!(door.fail("nobody", false).await, Lock::Open);
    }
    assert_eq!((door.lock("ann").await, door.lock("nobody").await), (Lock::Silent, Lock::Open));
    // Each of their failures costs an entry, or a faster answer would tell them apart.
    for (name, is_known) in [("ann", true), ("nobody", false)] {
        let before = door.world.ground.raft.proposed.load(Ordering::Relaxed);
        door.fail(name, is_known).await;
        assert_eq!(door.world.ground.raft.proposed.load(Ordering::Relaxed), before + 1, "{name}");
    }
    assert_eq!((door.names(), door.world.rows("sys/lockout/decoy/")), (8, 2));
    // There is room again once the old ones count no more; until then both go the same way once more.
    door.pass(14 * 60).await;
    door.fail("early", true).await;
    door.pass(60).await;
    assert_eq!(door.names(), 0);
    for tries in 1..=5 {
        let told = if tries == 5 { Lock::Told } else { Lock::Open };
        assert_eq!(door.fail("nobody", false).await, told);
        assert_eq!(door.fail("early", true).await, if tries == 4 { Lock::Silent } else { told }, "try {tries}");
    }
}

static KINDS: LazyLock<Vec<&'static Kind>> = LazyLock::new(|| [crate::engines::ALL, crate::auth::ALL].concat());

#[tokio::test]
async fn while_names_are_too_many_a_locked_user_is_answered_as_for_a_wrong_password() {
    let test = TestCore::new(&KINDS).await;
    test.core.lockouts.shrink(0);
    test.ask(Operation::Update, "sys/auth/userpass", json!({ "type": "userpass" })).await.unwrap();
    test.ask(Operation::Update, "auth/userpass/users/ann", json!({ "password": "right" })).await.unwrap();
    let login = async |name: &str, password: &str| {
        let login = test.ask(Operation::Update, &format!("auth/userpass/login/{name}"), json!({ "password": password })).await;
        login.map(|_| ()).map_err(|error| error.to_string())
    };
    login("ann", "right").await.unwrap();
    for _ in 0..5 {
        assert_eq!(login("ann", "wrong").await, login("nobody", "wrong").await);
    }
    assert_eq!(login("ann", "right").await.unwrap_err(), "invalid username or password");
    let locked = test.data(Operation::Read, "sys/locked-users", Value::Null).await;
    let mount = &locked["by_namespace"][0]["mount_accessors"][0];
    assert_eq!((&locked["total"], &mount["alias_identifiers"]), (&json!(1), &json!(["ann"])));
    let accessor = mount["mount_accessor"].as_str().unwrap();
    test.ask(Operation::Update, &format!("sys/locked-users/{accessor}/unlock/ann"), Value::Null).await.unwrap();
    login("ann", "right").await.unwrap();
}

#[tokio::test]
async fn wrong_logins_add_up_whichever_node_they_came_to() {
    let test = TestCore::new(&KINDS).await;
    test.ask(Operation::Update, "sys/auth/userpass", json!({ "type": "userpass" })).await.unwrap();
    test.ask(Operation::Update, "auth/userpass/users/ann", json!({ "password": "right" })).await.unwrap();
    let login = async |password: &str| test.ask(Operation::Update, "auth/userpass/login/ann", json!({ "password": password })).await;
    for node in [1, 1, 1, 2, 2] {
        test.ground.raft.call_it(crate::types::NodeId(node));
        assert!(login("wrong").await.is_err());
    }
    assert!(login("right").await.is_err(), "locked by five wrong logins");
}

#[tokio::test]
async fn nobody_is_told_of_a_wrong_password_that_is_not_counted() {
    let test = TestCore::new(&KINDS).await;
    test.ask(Operation::Update, "sys/auth/userpass", json!({ "type": "userpass" })).await.unwrap();
    test.ask(Operation::Update, "auth/userpass/users/ann", json!({ "password": "right" })).await.unwrap();
    let login = async || {
        let answer = test.ask(Operation::Update, "auth/userpass/login/ann", json!({ "password": "wrong" })).await;
        answer.unwrap_err().to_string()
    };
    test.ground.raft.loses_next_answer.store(true, Ordering::Relaxed);
    let untold = login().await;
    assert!(!untold.contains("invalid username or password"), "{untold}");
    // One was counted, though nobody can know: four are left, however many try at one time.
    let answers = futures::future::join_all((0..12).map(|_| login())).await;
    let told = answers.iter().filter(|answer| answer.contains("invalid username or password")).count();
    assert_eq!(told, 4, "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| *answer == "permission denied").count(), 8, "{answers:?}");
}
