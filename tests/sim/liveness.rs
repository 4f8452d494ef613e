//! After everything is mended, all must be well within a bounded time: nodes run, one of each cluster is active, copies are equal, and
//! a fresh write is read everywhere.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use coffer::core::Standing;
use coffer::raft::Consensus;
use coffer::storage::Physical;
use coffer::types::Scope;
use serde_json::json;

use crate::afterwards;
use crate::clients::Clients;
use crate::everywhere;
use crate::here;
use crate::invariants::recount;
use crate::nemesis::takes_writes;
use crate::net::{HostId, now};
use crate::operator::{active, ask, is_open};
use crate::trace;
use crate::world::World;

/// How long it may take until all is well.
pub const WITHIN: Duration = Duration::from_secs(120);
/// How long what is over may stay after that.
const GONE_WITHIN: Duration = Duration::from_secs(60);

/// Waits until all is well, and looks at everything once more.
///
/// # Errors
/// With what is not well.
pub async fn check(world: &Arc<World>, clients: &Arc<Clients>) -> Result<(), String> {
    let clusters: Vec<usize> = (0..world.plan.sizes.len()).collect();
    let is_well = |cluster: usize| {
        let hosts = world.wanted(cluster);
        let actives = hosts.iter().filter(|host| world.slot(**host).running().is_some_and(|it| it.core.standing() == Standing::Active));
        actives.count() == 1 && hosts.iter().all(|host| is_open(world, *host))
    };
    world
        .wait("every node is unsealed and one of each cluster is active", WITHIN, || clusters.iter().all(|cluster| is_well(*cluster)))
        .await
        .map_err(|why| format!("{why}: {}", stand(world)))?;
    world
        .wait("the clusters have changed places", WITHIN, || !world.is_swapping.load(Ordering::Relaxed))
        .await
        .map_err(|why| format!("{why}: {}", stand(world)))?;
    world
        .wait("one cluster takes shared writes", WITHIN, || clusters.iter().filter(|cluster| takes_writes(world, **cluster)).count() == 1)
        .await?;
    let primary = clusters.iter().copied().find(|cluster| takes_writes(world, *cluster)).unwrap_or_default();

    let end = now() + WITHIN;
    let value = format!("fresh {}", world.plan.seed);
    loop {
        let written = match active(world, primary) {
            Some(host) => ask(world, host, "POST", "kv/data/fresh", &world.root(primary), &json!({ "data": { "v": value } })).await,
            None => Err(crate::net::NoAnswer::NotSent("nobody is active")),
        };
        match written {
            Ok((200..300, _)) => break,
            other if now() > end => return Err(format!("no fresh write: {other:?}")),
            _ => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
    trace::line(format_args!("a fresh write was made"));
    everywhere::read(world, &value).await?;
    everywhere::is_in_force(world, primary).await?;
    everywhere::is_rotated(world, primary).await?;
    for cluster in &clusters {
        here::make_user(world, *cluster).await?;
    }
    here::is_kept(world).await?;
    everywhere::is_streaming(world, primary).await?;
    // Another active node begins with what it has stored, not with what it remembers.
    for cluster in &clusters {
        here::hand_over(world, *cluster).await.map_err(|why| format!("{why}: {}", stand(world)))?;
    }
    everywhere::read(world, &value).await?;
    here::is_kept(world).await?;
    afterwards::moves_stay_at_home(world).await?;
    afterwards::names_are_folded(world, primary).await?;
    afterwards::tuning_adds(world, primary).await?;
    let hosts: Vec<HostId> = clusters.iter().flat_map(|cluster| world.wanted(*cluster)).collect();
    let are_equal = || {
        let shared: Vec<_> = hosts.iter().map(|host| world.slot(*host).store().sums(Scope::Shared)).collect();
        let local =
            |cluster: usize| world.wanted(cluster).into_iter().map(|host| world.slot(host).store().sums(Scope::Local)).collect::<Vec<_>>();
        shared.windows(2).all(|pair| pair[0] == pair[1])
            && clusters.iter().all(|cluster| local(*cluster).windows(2).all(|pair| pair[0] == pair[1]))
    };
    world.wait("all copies are equal", WITHIN, are_equal).await.map_err(|why| format!("{why}: {}", stand(world)))?;
    for host in &hosts {
        recount(&world.slot(*host).store()).map_err(|why| format!("{}: {why}", trace::name(*host)))?;
    }
    // A last read is one that began after the last addition had ended.
    world.wait("the clients have stopped", WITHIN, || clients.have_stopped()).await?;
    for cluster in &clusters {
        nothing_left("tokens that are over", async || clients.left_behind(*cluster).await).await?;
        nothing_left("what tokens kept that are gone", async || clients.kept_for_nobody(*cluster).await).await?;
        nothing_left("mounts that are gone", async || clients.without_mount(*cluster).await).await?;
        nothing_left("logins of mounts that are gone", async || clients.passed(*cluster).await).await?;
        nothing_left("logins that nobody ended", async || clients.gone_too().await).await?;
        nothing_left("versions that were destroyed", async || clients.destroyed(*cluster).await).await?;
        for host in world.wanted(*cluster) {
            clients.read_sets(*cluster, host, &world.names[host.0]).await?;
        }
    }
    // Last of all: a node that is unsealed begins anew, and does what it may have left undone.
    afterwards::seals_are_those_in_force(world).await
}

/// Waits until nothing is left of `what`.
async fn nothing_left(what: &str, left: impl AsyncFn() -> Result<Vec<String>, String>) -> Result<(), String> {
    let end = now() + GONE_WITHIN;
    loop {
        match left().await {
            Ok(left) if left.is_empty() => return Ok(()),
            left if now() > end => return Err(format!("of {what} something is left: {left:?}")),
            _ => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    }
}

/// How every host stands, for a failure's text.
fn stand(world: &World) -> String {
    let one = |slot: &crate::world::Slot| {
        let name = trace::name(slot.id);
        let position = slot.store().positions();
        match slot.running() {
            Some(running) => {
                let (status, log) = (running.raft.status().borrow().clone(), running.raft.indexes());
                let voters: Vec<&str> = status.peers.iter().filter(|peer| peer.is_voter).map(|peer| peer.member.name.as_str()).collect();
                let standing = match running.core.standing() {
                    Standing::Standby { active } => format!("standby of {:?}", active.map(|peer| peer.member.name)),
                    other => format!("{other:?}"),
                };
                let (term, wal) = (status.term, position.performance.wal);
                format!("{name} {standing} at {wal}, term {term}, applied {} of {}, voters {}", log.applied, log.last, voters.join(" "))
            }
            None => format!("{name} is down"),
        }
    };
    world.slots.iter().filter(|slot| slot.is_wanted()).map(one).collect::<Vec<_>>().join("; ")
}
