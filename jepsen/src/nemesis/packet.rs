//! Bad lines that are not cut: slow, lossy, narrow, twice, out of order, damaged.

use serde::{Deserialize, Serialize};

use crate::core::Value;
use crate::world::rule::{Damage, Rule};

use super::context::{Context, Installed};
use super::target::Target;

/// What is bad about the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trouble {
    /// 50 to 200 ms each way.
    Slow,
    /// A fifth is lost.
    Lossy,
    /// 64 KiB per second.
    Narrow,
    /// A tenth arrives twice, a fifth overtakes others.
    Jumbled,
    /// A hundredth has a bit flipped, which checksums notice.
    Damaged,
    /// A hundredth has a bit flipped under a right checksum: TLS must notice.
    Forged,
}

/// All that there are.
pub const TROUBLES: &[Trouble] = &[Trouble::Slow, Trouble::Lossy, Trouble::Jumbled, Trouble::Forged, Trouble::Damaged, Trouble::Narrow];

impl Trouble {
    fn rule(self) -> Rule {
        let clear = Rule::default();
        match self {
            Self::Slow => Rule { delay_us: 50_000, jitter_us: 150_000, ..clear },
            Self::Lossy => Rule { loss: 200_000, ..clear },
            Self::Narrow => Rule { rate: 64 * 1024, ..clear },
            Self::Jumbled => Rule { delay_us: 2000, jitter_us: 10_000, duplicate: 100_000, reorder: 200_000, ..clear },
            Self::Damaged => Rule { corrupt: 10_000, ..clear },
            Self::Forged => Rule { corrupt: 10_000, damage: Damage::Hidden, ..clear },
        }
    }
}

/// Puts it in force, between these nodes and all other nodes; clients' lines stay good, as their requests are not encrypted here.
///
/// # Errors
/// If there is nobody to be far from.
pub fn install(context: &Context, cluster: &str, target: Target, trouble: Trouble, dice: u64) -> Result<Installed, String> {
    let victims = target.nodes(context.cluster(cluster)?, dice);
    let lines = victims.iter().flat_map(|victim| context.world.nodes().map(|other| (victim.link, other.link)));
    let lines = lines.filter(|(one, other)| one != other).flat_map(|(one, other)| [(one, other), (other, one)]);
    let rules: Vec<_> = lines.map(|pair| (pair, trouble.rule())).collect();
    if rules.is_empty() {
        return Err("there is nobody to talk to".to_owned());
    }
    let before = context.world.switch.counts();
    let number = context.network.install(rules.clone());
    let what = Value::list(victims.iter().map(|node| node.name.as_str()));
    Ok(Installed::new(what, move |context| {
        context.network.remove(number);
        let after = context.world.switch.counts();
        let lost = |counts: &std::collections::BTreeMap<_, crate::world::switch::Count>| -> u64 {
            rules.iter().filter_map(|(pair, _)| counts.get(pair)).map(|count| count.lost).sum()
        };
        Ok(Value::map([("packets-lost", lost(&after).saturating_sub(lost(&before)))]))
    }))
}
