//! After the crash: is everything there that was acknowledged?

use super::clients::Client;
use super::ledger::Ledger;
use super::plan::{Outcome, Plan, Target};
use super::vault_client::VaultClient;

/// How many differences are told in words.
const TOLD: usize = 5;

/// Reads every key that was ever written, and looks up every token.
pub async fn compare(plan: &Plan, ledger: &Ledger) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut client = Client::connect(plan).await?;
    for (number, entry) in ledger.keys.iter().enumerate().filter(|(_, entry)| entry.acknowledged > 0) {
        let key = u32::try_from(number)?;
        outcome.compared += 1;
        match client.read(key).await {
            Ok(Some(found)) if entry.agrees(found.attempt, found.versions) => {}
            found => wrong(&mut outcome, format!("key {key}: {entry:?}, found {found:?}")),
        }
    }
    if let Target::Vault { address, token } = &plan.target {
        let mut client = VaultClient::connect(address, token, plan).await?;
        for token in &ledger.tokens {
            outcome.compared += 1;
            match client.knows(address, token).await {
                Ok(true) => {}
                Ok(false) => wrong(&mut outcome, "a token is gone".into()),
                Err(failure) => {
                    wrong(&mut outcome, format!("a token: {failure:?}"));
                    client.reconnect().await?;
                }
            }
        }
    }
    Ok(outcome)
}

fn wrong(outcome: &mut Outcome, text: String) {
    *outcome.failed.entry("not read back".into()).or_default() += 1;
    if outcome.wrong.len() < TOLD {
        outcome.wrong.push(text);
    }
}
