//! Tokens go with the tokens that made them, and for no other reason; logins go with the mount that let them in.
//!
//! | `:f` | value |
//! | --- | --- |
//! | `create` | `{:token t, :parent p, :type :service}`; the parent is a token, a mount, or `nil` for an orphan |
//! | `revoke` | `{:token t, :way w}`: `:all` ends a token and all below it, or a mount and its logins; `:alone` spares the children, who are orphans from then on; `:under` ends all that a mount has let in so far |
//! | `use` | a token's name; a `fail` with `:error "revoked"` is the refusal of a token that is over |
//!
//! No token ends by its age in such a history. A batch token is no entry of its own: it goes with its parent, however that goes.

use std::collections::{BTreeMap, BTreeSet};

use super::lines::part;
use super::verdict::Verdict;
use crate::core::{Call, History, Malformed, Op, Outcome, Value, calls};

/// The error of a token that is over.
pub const REVOKED: &str = "revoked";

/// Longer lines of ancestors are not followed: names that go round would never end.
const MOST_GENERATIONS: usize = 64;

/// Checks each token that was made and used.
///
/// # Errors
/// A line lacks a part, or makes a token that is there already.
pub fn check(history: &History) -> Result<Verdict, Malformed> {
    let calls = calls(history)?;
    let kin = Kin::of(&calls)?;
    let mut uses: BTreeMap<&Value, Vec<Call<'_>>> = BTreeMap::new();
    for call in calls.iter().filter(|call| call.f() == "use") {
        uses.entry(call.argument()).or_default().push(*call);
    }
    let (mut wrong, mut good, mut over) = (Vec::new(), 0, 0);
    for (token, uses) in &uses {
        if !kin.made.contains_key(token) {
            continue;
        }
        wrong.extend(kin.judge(token, uses));
        good += usize::from(uses.iter().any(|call| call.outcome == Outcome::Ok));
        over += usize::from(uses.iter().any(|call| call.is_refused_as(REVOKED)));
    }
    if !wrong.is_empty() {
        return Ok(Verdict::all("kin", wrong));
    }
    Ok(match (good, over) {
        (0, _) | (_, 0) => Verdict::unknown("kin", format!("{good} tokens were ever good, {over} ever over")),
        _ => Verdict::valid("kin", format!("{} tokens: {good} were good, and {over} over when and only when they should be", uses.len())),
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    All,
    Alone,
    Under,
}

/// Who made whom, and who was revoked how.
#[derive(Default)]
struct Kin<'a> {
    made: BTreeMap<&'a Value, (Call<'a>, &'a Value)>,
    revoked: BTreeMap<&'a Value, Vec<(Call<'a>, Way)>>,
    batch: BTreeSet<&'a Value>,
}

impl<'a> Kin<'a> {
    fn of(calls: &[Call<'a>]) -> Result<Self, Malformed> {
        let mut kin = Kin::default();
        for call in calls {
            let part = |name| part(call.invoke, call.began, name);
            match call.f() {
                "create" => {
                    let token = part("token")?;
                    if kin.made.insert(token, (*call, part("parent")?)).is_some() {
                        return Err(Malformed::new(call.began, format!("{token} is made a second time")));
                    }
                    if part("type")?.as_str() == Some("batch") {
                        kin.batch.insert(token);
                    }
                }
                "revoke" => {
                    let way = match part("way")?.as_str() {
                        Some("all") => Way::All,
                        Some("alone") => Way::Alone,
                        Some("under") => Way::Under,
                        _ => return Err(Malformed::new(call.began, ":way is :all, :alone or :under")),
                    };
                    kin.revoked.entry(part("token")?).or_default().push((*call, way));
                }
                _ => {}
            }
        }
        Ok(kin)
    }

    /// What is wrong with one token.
    fn judge(&self, token: &Value, uses: &[Call<'a>]) -> Option<Verdict> {
        let name = format!("token {token}");
        let made = self.made.get(token).map(|(call, _)| *call);
        let invalid = |text: &str, calls: Vec<Call<'_>>| {
            let calls = made.into_iter().chain(calls);
            Some(Verdict::invalid(&name, text, calls.flat_map(|call| call.lines().collect::<Vec<Op>>()).collect()))
        };
        let ends = self.ends(token);
        let first_refusal = uses.iter().filter(|call| call.is_refused_as(REVOKED)).min_by_key(|call| call.ended);
        for good in uses.iter().filter(|call| call.outcome == Outcome::Ok) {
            if let Some((revoke, _)) = ends.iter().find(|(revoke, is_sure)| *is_sure && revoke.is_before(good)) {
                return invalid("good after it was revoked", vec![*revoke, *good]);
            }
            if let Some(refusal) = first_refusal.filter(|refusal| refusal.is_before(good)) {
                return invalid("good again after it was refused as over", vec![*refusal, *good]);
            }
        }
        let refusal = first_refusal?;
        // One that is said to be over was ended by somebody, whose call may be without an answer.
        let is_explained = ends.iter().any(|(revoke, _)| revoke.began < refusal.ended);
        if is_explained { None } else { invalid("over, and nobody revoked it or what made it", vec![*refusal]) }
    }

    /// Revocations that may have ended a token, and whether each did for sure.
    fn ends(&self, token: &Value) -> Vec<(Call<'a>, bool)> {
        let mut ends = Vec::new();
        // Revocations that may have made an orphan of somebody between the token and where we are.
        let mut cuts: Vec<Call<'a>> = Vec::new();
        let is_batch = self.batch.contains(token);
        let mut at = token;
        for generation in 0..MOST_GENERATIONS {
            let revoked = self.revoked.get(at).map_or(&[][..], Vec::as_slice);
            let happened = || revoked.iter().filter(|(call, _)| call.outcome != Outcome::Fail);
            let goes_anyway = generation == 0 || (generation == 1 && is_batch);
            if !goes_anyway {
                cuts.extend(happened().filter(|(_, way)| *way == Way::Alone).map(|(call, _)| *call));
            }
            for (call, way) in happened() {
                let is_spared = cuts.iter().any(|cut| cut.outcome == Outcome::Ok && cut.is_before(call));
                let may_be_spared = cuts.iter().any(|cut| cut.began < call.ended);
                let (may_reach, must_reach) = match way {
                    Way::Alone => (goes_anyway, true),
                    Way::All => (true, true),
                    Way::Under => {
                        self.let_in(token, at).map_or((false, false), |let_in| (let_in.began < call.ended, let_in.is_before(call)))
                    }
                };
                if may_reach && !is_spared {
                    ends.push((*call, must_reach && !may_be_spared && call.outcome == Outcome::Ok));
                }
            }
            match self.made.get(at) {
                Some((_, parent)) if **parent != Value::Nil => at = parent,
                _ => break,
            }
        }
        ends
    }

    /// The call that made whoever is `token` or above it, and was let in by this mount.
    fn let_in(&self, token: &Value, mount: &Value) -> Option<Call<'a>> {
        let mut at = token;
        for _ in 0..MOST_GENERATIONS {
            let (call, parent) = self.made.get(at)?;
            if *parent == mount {
                return Some(*call);
            }
            at = parent;
        }
        None
    }
}
