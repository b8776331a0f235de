//! Verbs about the audit: what happened here, whether it is as it was written, and what it adds up to.
use kiln_client::{Client, Transport};
use kiln_ipc::reply_json;
use kiln_model::{
    AuditFilter, AuditQuestion, AuditSpan, Built, ChainFault, Entry, Fact, JobFact, JobOutcome,
    JobStep, PairingFact, PairingStep, Party, Pin, Reach, Reply, Request, SessionStep, Side,
    Statistics, Timestamp, Verification,
};

use crate::args::{AuditAction, AuditArgs, Since};
use crate::asking::{unexpected, view};
use crate::exit::Failure;
use crate::face::Face;
use crate::pick;
use crate::text::{duration, safe, table, when};

/// Digits of a hash that are shown in a list.
const SHORT: usize = 12;

pub(crate) async fn audit(
    transport: &impl Transport,
    face: &mut Face,
    wanted: AuditArgs,
    action: Option<AuditAction>,
) -> Result<(), Failure> {
    let mut client = Client::connect(transport).await?;
    match action {
        None => list(&mut client, face, wanted).await,
        Some(AuditAction::Verify { noted }) => {
            let question = AuditQuestion::Verify { noted };
            let reply = client.ask(Request::Audit(question)).await?;
            let Reply::AuditVerified(verification) = &reply else {
                return Err(unexpected());
            };
            match verification {
                Verification::Intact(span) => {
                    face.result(|| reply_json(&reply), || intact_text(span))
                }
                Verification::Broken { number, fault } => {
                    face.result(|| reply_json(&reply), String::new)?;
                    Err(Failure::AuditBroken(broken_text(*number, *fault)))
                }
            }
        }
        Some(AuditAction::Statistics { since }) => {
            let since = moment(&mut client, since).await?;
            let question = AuditQuestion::Statistics { since };
            let reply = client.ask(Request::Audit(question)).await?;
            let Reply::Statistics(statistics) = &reply else {
                return Err(unexpected());
            };
            face.result(|| reply_json(&reply), || statistics_text(statistics))
        }
    }
}

async fn list(client: &mut Client, face: &mut Face, wanted: AuditArgs) -> Result<(), Failure> {
    let filter = AuditFilter {
        since: moment(client, wanted.since).await?,
        kind: wanted.kind,
        peer: match wanted.peer {
            Some(peer) => Some(named(client, &peer).await?),
            None => None,
        },
        limit: (wanted.limit > 0).then_some(wanted.limit),
    };
    let question = AuditQuestion::Entries(filter);
    let reply = client.ask(Request::Audit(question)).await?;
    let Reply::Audit {
        entries,
        unreadable,
    } = &reply
    else {
        return Err(unexpected());
    };
    face.result(|| reply_json(&reply), || entries_text(entries))?;
    if *unreadable > 0 {
        face.notice(&format!(
            "Some entries cannot be read ({unreadable}); `kiln audit verify` says more."
        ))?;
    }
    Ok(())
}

/// Returns a point in time by the node's clock.
async fn moment(client: &mut Client, since: Option<Since>) -> Result<Option<Timestamp>, Failure> {
    Ok(match since {
        None => None,
        Some(Since::At(at)) => Some(at),
        Some(Since::Ago(micros)) => {
            let now = view(client).await?.at;
            Some(Timestamp(now.0.saturating_sub(micros)))
        }
    })
}

/// Returns whom a person means: somebody who is paired, or was and is named by the whole pin.
async fn named(client: &mut Client, wanted: &str) -> Result<Pin, Failure> {
    if let Ok(pin) = wanted.parse() {
        return Ok(pin);
    }
    let view = view(client).await?;
    match pick::receiver(&view.pairings, wanted) {
        Ok(found) => Ok(found.pairing.pin),
        Err(_) => Ok(pick::offloader(&view.peers, wanted)?.peer.pin),
    }
}

fn entries_text(entries: &[Entry]) -> String {
    if entries.is_empty() {
        return "There is no such entry.\n".to_owned();
    }
    let row = |entry: &Entry| {
        vec![
            entry.number.to_string(),
            when(entry.at),
            entry.fact.kind().word().to_owned(),
            safe(&sentence(&entry.fact)),
        ]
    };
    let rows: Vec<Vec<String>> = entries.iter().map(row).collect();
    table(&["NR", "WHEN", "KIND", "WHAT"], &rows)
}

fn sentence(fact: &Fact) -> String {
    match fact {
        Fact::Started { version, pin, tier } => format!(
            "Kiln {version} started with key {}, boxes of tier {}",
            pin.short(),
            tier.number()
        ),
        Fact::Pairing(fact) => pairing(fact),
        Fact::Rotated { from, to } => {
            format!("own key changed from {} to {}", from.short(), to.short())
        }
        Fact::Session(fact) => {
            let who = who(fact.side, &fact.party);
            match fact.step {
                SessionStep::Opened => format!("session with {who} opened"),
                SessionStep::Closed => format!("session with {who} closed: {}", fact.why),
            }
        }
        Fact::Job(fact) => job(fact),
        Fact::Setting { name, old, new } => format!("{name} changed from {old:?} to {new:?}"),
    }
}

fn pairing(fact: &PairingFact) -> String {
    let who = who(fact.side, &fact.party);
    match (fact.step, fact.side) {
        (PairingStep::Asked, Side::Offloader) => format!("{who} asked to be paired"),
        (PairingStep::Asked, Side::Receiver) => format!("{who} was asked to pair"),
        (PairingStep::Found, _) => format!("{who} was paired already"),
        (PairingStep::Approved, _) => format!("{who} is paired"),
        (PairingStep::Rejected, _) => format!("{who} was refused by you"),
        (PairingStep::Removed, _) => format!("{who} was removed"),
        (PairingStep::Revoked, _) => format!("{who} does not know this computer any more"),
        (PairingStep::Superseded, _) => format!("another Kiln took over the session with {who}"),
        (PairingStep::KeyChanged, _) => match fact.observed {
            Some(pin) => format!("another key ({}) answered for {who}", pin.short()),
            None => format!("another key answered for {who}"),
        },
    }
}

fn who(side: Side, party: &Party) -> String {
    format!("{} {}", side.word(), name(party))
}

fn name(party: &Party) -> String {
    let short = party.pin.short();
    if party.label.is_empty() {
        short
    } else {
        format!("{} ({short})", party.label)
    }
}

fn job(fact: &JobFact) -> String {
    let of = match &fact.sender {
        Some(sender) => format!(" for {}", name(sender)),
        None => String::new(),
    };
    let place = match &fact.built {
        Built::Here => "here".to_owned(),
        Built::There(receiver) => format!("on {}", name(receiver)),
        Built::Undecided => "on some receiver".to_owned(),
    };
    let what = format!(
        "{} {} {}{of}",
        fact.job,
        fact.kind.word(),
        fact.configuration
    );
    match fact.step {
        JobStep::Accepted => format!("{what}: accepted"),
        JobStep::Started => format!("{what}: started {place}"),
        JobStep::Packed => {
            let hash = fact.artifacts.map(|digest| digest.to_string());
            let short: String = hash.unwrap_or_default().chars().take(SHORT).collect();
            format!("{what}: artifacts {short} packed")
        }
        JobStep::Ended => {
            let outcome = match fact.outcome {
                Some(JobOutcome::Completed) => format!("completed {place}"),
                Some(JobOutcome::Failed) => format!("failed {place}: {}", fact.reason),
                Some(JobOutcome::Cancelled) => "cancelled".to_owned(),
                Some(JobOutcome::HandedBack) => format!("handed back: {}", fact.reason),
                None => "ended".to_owned(),
            };
            let took = match (fact.started, fact.ended) {
                (Some(from), Some(to)) => format!(", {}", duration(from, to)),
                _ => String::new(),
            };
            format!("{what}: {outcome}{took}{}", held(fact))
        }
    }
}

/// Says what held a build of somebody else, and which hosts it asked for.
fn held(fact: &JobFact) -> String {
    let tier = match fact.tier {
        Some(tier) => format!(", tier {}", tier.number()),
        None => String::new(),
    };
    let host = |(place, reach): (&str, Reach)| match reach {
        Reach::Reached => place.to_owned(),
        Reach::Refused | Reach::Failed => format!("{place} ({})", reach.word()),
    };
    let hosts: Vec<String> = fact
        .hosts
        .iter()
        .map(|of| host((&of.place, of.reach)))
        .collect();
    match (hosts.is_empty(), fact.more_hosts) {
        (true, _) => tier,
        (false, 0) => format!("{tier}, asked for {}", hosts.join(", ")),
        (false, more) => format!("{tier}, asked for {} and {more} more", hosts.join(", ")),
    }
}

fn intact_text(span: &AuditSpan) -> String {
    if span.last < span.first {
        return "The audit is intact: nothing was written yet.\n".to_owned();
    }
    format!(
        "The audit is intact: entries {} to {}.\nhead  {}\n",
        span.first, span.last, span.head
    )
}

fn broken_text(number: u64, fault: ChainFault) -> String {
    match fault {
        ChainFault::Changed => format!("The audit is broken: entry {number} was changed."),
        ChainFault::Missing => format!("The audit is broken: entry {number} is missing."),
        ChainFault::Reordered => {
            format!("The audit is broken: entry {number} is not where it belongs.")
        }
        ChainFault::BeginningCut => {
            format!("The audit is broken: it was cut off before or at entry {number}.")
        }
        ChainFault::EndCut => {
            format!("The audit is broken: it was cut off from entry {number} on.")
        }
        ChainFault::NoAnchor => {
            "The audit is broken: what says where it begins and ends was lost.".to_owned()
        }
        ChainFault::NotedMissing => "The audit does not hold the entry that you noted: it was \
                                     rewritten, or the entry is so old that it was pruned."
            .to_owned(),
    }
}

fn statistics_text(statistics: &Statistics) -> String {
    let Some(since) = statistics.since else {
        return "Nothing was written yet.\n".to_owned();
    };
    let builds: u64 = statistics.given.iter().map(|of| of.completed).sum();
    let seconds: u64 = statistics.given.iter().map(|of| of.seconds).sum();
    let mut text = format!(
        "Since {}.\nBuilt for others: {builds}, {} of this computer's time.\n",
        when(since),
        took(seconds)
    );
    let given: Vec<Vec<String>> = statistics
        .given
        .iter()
        .map(|of| {
            vec![
                safe(&name(&of.party)),
                of.completed.to_string(),
                of.failed.to_string(),
                of.cancelled.to_string(),
                of.handed_back.to_string(),
                took(of.seconds),
            ]
        })
        .collect();
    if !given.is_empty() {
        let heading = ["FOR", "DONE", "FAILED", "CANCELLED", "HANDED BACK", "TIME"];
        text.push_str(&table(&heading, &given));
    }
    let builds: u64 = statistics.gained.iter().map(|of| of.completed).sum();
    let compared: u64 = statistics.gained.iter().map(|of| of.compared).sum();
    let saved: i64 = statistics.gained.iter().map(|of| of.saved_seconds).sum();
    text.push_str(&format!("Built by others: {builds}"));
    text.push_str(&match compared {
        0 => ".\n".to_owned(),
        _ => {
            let word = if saved < 0 { "lost" } else { "saved" };
            let time = took(saved.unsigned_abs());
            format!(", {time} {word} in the {compared} that can be compared.\n")
        }
    });
    let gained: Vec<Vec<String>> = statistics
        .gained
        .iter()
        .map(|of| {
            vec![
                safe(&name(&of.party)),
                of.completed.to_string(),
                took(of.seconds),
                match of.compared {
                    0 => "not known".to_owned(),
                    _ => saved_text(of.saved_seconds),
                },
            ]
        })
        .collect();
    if !gained.is_empty() {
        text.push_str(&table(&["BY", "DONE", "TIME", "SAVED"], &gained));
    }
    text
}

fn took(seconds: u64) -> String {
    let micros = i64::try_from(seconds).unwrap_or(i64::MAX);
    duration(Timestamp(0), Timestamp(micros.saturating_mul(1_000_000)))
}

fn saved_text(seconds: i64) -> String {
    let sign = if seconds < 0 { "-" } else { "" };
    format!("{sign}{}", took(seconds.unsigned_abs()))
}
