//! Rules of several faults at once: a line is cut if one of them cuts it, and as bad as the worst says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::world::World;
use crate::world::rule::{Damage, Rule};
use crate::world::switch::Pair;

/// What each fault asks of the switch.
pub struct Network {
    world: Arc<World>,
    layers: Mutex<BTreeMap<u64, Vec<(Pair, Rule)>>>,
}

impl Network {
    /// All lines open.
    pub fn new(world: Arc<World>) -> Self {
        Self { world, layers: Mutex::default() }
    }

    /// Puts a fault's rules in force; gives the number under which they are taken away.
    pub fn install(&self, rules: Vec<(Pair, Rule)>) -> u64 {
        let mut layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        let number = layers.keys().last().map_or(0, |last| last + 1);
        layers.insert(number, rules);
        self.apply(&layers);
        number
    }

    /// Takes a fault's rules away.
    pub fn remove(&self, number: u64) {
        let mut layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        layers.remove(&number);
        self.apply(&layers);
    }

    /// Opens every line.
    pub fn clear(&self) {
        let mut layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        layers.clear();
        self.world.switch.clear();
    }

    fn apply(&self, layers: &BTreeMap<u64, Vec<(Pair, Rule)>>) {
        let mut merged: BTreeMap<Pair, Rule> = BTreeMap::new();
        for (pair, rule) in layers.values().flatten() {
            let slot = merged.entry(*pair).or_default();
            *slot = worst(slot, rule);
        }
        let open = self.world.switch.rules().into_iter().map(|(pair, _)| (pair, Rule::default()));
        let rules: BTreeMap<Pair, Rule> = open.chain(merged).collect();
        self.world.switch.set(rules);
    }
}

fn worst(one: &Rule, other: &Rule) -> Rule {
    Rule {
        drop: one.drop || other.drop,
        delay_us: one.delay_us.max(other.delay_us),
        jitter_us: one.jitter_us.max(other.jitter_us),
        loss: one.loss.max(other.loss),
        duplicate: one.duplicate.max(other.duplicate),
        reorder: one.reorder.max(other.reorder),
        corrupt: one.corrupt.max(other.corrupt),
        damage: if one.damage == Damage::Hidden { Damage::Hidden } else { other.damage },
        rate: match (one.rate, other.rate) {
            (0, rate) | (rate, 0) => rate,
            (one, other) => one.min(other),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_faults_on_a_line_the_worse_holds() {
        let slow = Rule { delay_us: 5, rate: 100, ..Rule::default() };
        let lossy = Rule { loss: 7, rate: 50, ..Rule::default() };
        assert_eq!(worst(&slow, &lossy), Rule { delay_us: 5, loss: 7, rate: 50, ..Rule::default() });
        assert!(worst(&slow, &Rule::cut()).drop);
        assert_eq!(worst(&Rule::default(), &slow).rate, 100);
    }
}
