//! A host's software: the production node on the simulation's disks, network, clock and random numbers.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use coffer::core::node_identity::NodeIdentity;
use coffer::core::{RawRequest, Serve, ServeNode, ServeSecondary, Standing, Upstream};
use coffer::crypto::entropy::SeededEntropy;
use coffer::raft::transport::{Appends, Receiver};
use coffer::raft::{Consensus, Member};
use coffer::replication::Keep;
use coffer::replication::link::{Accept, Duplex, LinkError};
use coffer::server::assembly::{Assembly, Ground};
use coffer::types::NodeId;
use coffer::{core, http, raft, replication};
use futures::StreamExt;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use crate::disk::Loss;
use crate::net::{Delivery, HostId, until};
use crate::rng::Rng;
use crate::store::SimStore;
use crate::talk::{Proof, Reply, Request};
use crate::trace;
use crate::transport::{Forwarder, ToPrimary, Wire};
use crate::world::{Order, Running, World};

/// How often an open link's secondary must still be admitted.
const ADMIT_EVERY: Duration = Duration::from_secs(1);

/// Runs a node until the host ends.
///
/// # Errors
/// If what it needs of the real system is not there.
pub async fn run(world: Arc<World>, id: HostId) -> Result<(), String> {
    let slot = world.slot(id);
    std::fs::create_dir_all(&slot.folder).map_err(|error| error.to_string())?;
    let ground = ground(&world, id)?;
    let identity = ground.identity.clone();
    let assembly = match Assembly::start(ground).await {
        Ok(assembly) => assembly,
        Err(error) => {
            trace::line(format_args!("did not start: {error:?}"));
            // A log that lost what it had acknowledged must not open; most disks of ours never lose that.
            let has_lost = slot.has_lost_log.load(Ordering::Relaxed);
            if matches!(error, raft::StartError::LogTooShort { .. } | raft::StartError::Raft(_)) && !has_lost {
                world.fail(format!("{} does not start: {error}", trace::name(id)));
            }
            // Its disk is bad: the process ends, and is started again.
            world.order(Order::End(id, Loss::Process));
            return std::future::pending().await;
        }
    };
    if slot.has_lost_log.load(Ordering::Relaxed) {
        world.fail(format!("{} starts with a log that lost what it had acknowledged", trace::name(id)));
    }
    let mut inbox = world.net.listen(id);
    let stop = CancellationToken::new();
    for (_, task) in assembly.tasks(&stop) {
        tokio::spawn(task);
    }
    slot.runs(Running { core: assembly.core.clone(), raft: assembly.raft.clone() });
    let services = Services {
        world: world.clone(),
        identity,
        receiver: assembly.raft.receiver(),
        raft: assembly.raft,
        core: assembly.core,
        api: assembly.api,
        streams: assembly.streams,
        node: assembly.node,
    };
    trace::line(format_args!("runs"));
    while let Some(delivery) = inbox.recv().await {
        let services = services.clone();
        tokio::spawn(async move {
            until(delivery.at).await;
            services.answer(delivery).await;
        });
    }
    Ok(())
}

fn ground(world: &Arc<World>, id: HostId) -> Result<Ground, String> {
    let (slot, plan) = (world.slot(id), &world.plan);
    let name = world.names[id.0].clone();
    let starts = slot.starts();
    let me = Member { name: name.clone(), cluster_addr: format!("{name}:8201"), api_addr: format!("http://{name}:8200") };
    let options = raft::Options {
        disk: Arc::new(slot.disk.clone()),
        heartbeat_interval: plan.heartbeat,
        election_timeout: plan.election,
        snapshot_entries: plan.snapshot_entries,
        log_keep_entries: plan.log_keep_entries,
        ..raft::Options::new(NodeId::of_name(&name), slot.folder.join("raft"))
    };
    let wire = Wire { net: world.net.clone(), me: id, names: world.names.clone() };
    let (contact, primary) = watch::channel(None);
    let to_primary = ToPrimary { wire: wire.clone(), contact: primary };
    let upstream = {
        let primary = to_primary.clone();
        Box::new(move |status| -> Arc<dyn Upstream> { Arc::new(Forwarder { primary, status }) })
    };
    Ok(Ground {
        store: Arc::new(SimStore::new(slot.store(), world.clone(), id)),
        raft: options,
        transport: Arc::new(wire.clone()),
        link: Arc::new(to_primary.clone()),
        upstream,
        contact,
        clock: slot.clock.clone(),
        entropy: Arc::new(SeededEntropy::new(Rng::new(plan.seed, &format!("entropy {name} {starts}")).number())),
        identity: Arc::new(NodeIdentity::open(&slot.folder).map_err(|error| error.to_string())?),
        join_client: Arc::new(wire),
        primary_client: Arc::new(to_primary),
        keep: Keep { bytes: plan.keep_bytes, ..Keep::default() },
        options: core::Options { cluster_name: Some(name[..1].to_owned()), api_addr: me.api_addr.clone(), ..core::Options::default() },
        api: http::Options::default(),
        me,
    })
}

#[derive(Clone)]
struct Services {
    world: Arc<World>,
    identity: Arc<NodeIdentity>,
    receiver: Arc<dyn Receiver>,
    raft: Arc<raft::Raft>,
    core: Arc<core::Core>,
    api: http::Api,
    streams: replication::Handle,
    node: Arc<core::NodeService>,
}

impl Services {
    async fn answer(self, delivery: Delivery) {
        let Delivery { request, answer, .. } = delivery;
        // Without a certificate there are no connections between nodes: the asker's is reset.
        if !matches!(request, Request::Client(_)) && self.identity.current().is_none() {
            return;
        }
        let reply = match request {
            Request::Raft(call, message) => Reply::Raft(self.receiver.call(call, message).await),
            Request::Appends(messages, answers) => {
                let messages = Appends::new(messages.stream(), self.receiver.clone());
                if let Ok(given) = self.receiver.append(messages.boxed()).await {
                    answers.send_all(given).await;
                }
                return;
            }
            Request::Snapshot(head, files) => Reply::Raft(self.install(head, files).await),
            Request::Client(request) => self.serve_client(request).await,
            Request::Forward(request) if self.node.is_active() => Reply::Response(self.api.serve(request).await),
            Request::Forward(_) => Reply::NotActive,
            Request::WhoIsActive => self.who_is_active(),
            Request::ForPrimary(proof, call) => match self.refusal(&proof) {
                None => self.core.serve_call(&proof.id, *call).await.map_or(Reply::NotActive, Reply::Primary),
                Some(refusal) => refusal,
            },
            Request::Bootstrap(proof) => match self.refusal(&proof) {
                None => Reply::Package(Box::new(self.core.bootstrap(&proof.id).await)),
                Some(refusal) => refusal,
            },
            Request::Link(proof, said, saying) => {
                if let Some(refusal) = self.refusal(&proof) {
                    return answer.send(refusal);
                }
                answer.send(Reply::Accepted);
                let (out, rx) = mpsc::channel(8);
                let gone = out.clone();
                let incoming = said.stream().map(|item| item.map_err(|why| LinkError::Broken(why.to_owned()))).boxed();
                let sending = tokio::spawn(saying.send_all(ReceiverStream::new(rx).map(Ok::<_, Infallible>).boxed()));
                tokio::select! {
                    () = self.streams.accept(proof.id.clone(), Duplex { out, incoming }) => {}
                    () = gone.closed() => {}
                    () = self.until_not_admitted(&proof) => {}
                }
                sending.abort();
                return;
            }
        };
        answer.send(reply);
    }

    async fn serve_client(&self, request: RawRequest) -> Reply {
        let is_sealed = || self.core.standing() == Standing::Sealed;
        let (was_sealed, uri) = (is_sealed(), request.uri.clone());
        let response = self.api.serve_client(request).await;
        if uri == "/v1/sys/seal" && response.status < 300 && !is_sealed() {
            self.world.fail("a node was sealed, and is open".to_owned());
        }
        if was_sealed && is_sealed() && response.status < 300 && !uri.starts_with("/v1/sys/") {
            self.world.fail(format!("a sealed node answered {uri}"));
        }
        Reply::Response(response)
    }

    async fn install(&self, head: Bytes, files: Vec<(String, Vec<u8>)>) -> Result<Bytes, String> {
        let folder = self.receiver.stage().await?;
        for (name, bytes) in files {
            std::fs::write(folder.join(name), bytes).map_err(|error| error.to_string())?;
        }
        self.receiver.install(head, folder).await
    }

    /// What is answered to a secondary that is not to be served here.
    fn refusal(&self, proof: &Proof) -> Option<Reply> {
        if !self.node.is_active() {
            return Some(Reply::NotActive);
        }
        match self.core.admits(&proof.id, &proof.certificate) {
            Ok(()) => {
                self.world.admits(&proof.id);
                None
            }
            Err(why) => Some(Reply::Denied(why.to_owned())),
        }
    }

    async fn until_not_admitted(&self, proof: &Proof) {
        while self.refusal(proof).is_none() {
            tokio::time::sleep(ADMIT_EVERY).await;
        }
    }

    fn who_is_active(&self) -> Reply {
        let is_active = self.node.is_active();
        if let Some(told) = self.core.told_addrs() {
            return Reply::Active(is_active, None, told);
        }
        let status = self.raft.status();
        let status = status.borrow();
        let active = status.leader_peer().map(|leader| leader.member.cluster_addr.clone());
        Reply::Active(is_active, active, status.peers.iter().map(|peer| peer.member.cluster_addr.clone()).collect())
    }
}
