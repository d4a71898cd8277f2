//! Call detail records of Asterisk.

use jiff::tz::TimeZone;
use mihwar_sdk::Identifier;

use crate::{
    Settings,
    call::{Call, Outcome, unfit_id},
    moment,
    number::Number,
    row::{Bad, Row},
};

/// The columns in the order in which Asterisk writes them.
pub(crate) const COLUMNS: [&str; 18] = [
    "accountcode",
    "src",
    "dst",
    "dcontext",
    "clid",
    "channel",
    "dstchannel",
    "lastapp",
    "lastdata",
    "start",
    "answer",
    "end",
    "duration",
    "billsec",
    "disposition",
    "amaflags",
    "uniqueid",
    "userfield",
];

const TIME_FORMAT: &str = "%Y-%m-%d %H:%M:%S";

/// Whether the line holds the names of the columns rather than a call.
pub(crate) fn is_header(line: &[String]) -> bool {
    let is = |at: usize, name: &str| {
        line.get(at)
            .is_some_and(|field| field.trim().eq_ignore_ascii_case(name))
    };
    is(0, "accountcode") && is(1, "src")
}

/// Reads one line of 18 columns.
pub(crate) fn read(row: &Row<'_>, settings: &Settings, zone: &TimeZone) -> Result<Call, Bad> {
    let field = |name: &str| row.at(COLUMNS.iter().position(|column| *column == name)).trim();
    let length = |name: &'static str| moment::length(field(name)).map_err(|why| Bad::field("bad-length", name, why));
    let id = field("uniqueid");
    if let Some(unfit) = unfit_id(id, "uniqueid", "; set `loguniqueid = yes` in cdr.conf") {
        return Err(unfit);
    }
    let started_at =
        moment::instant(field("start"), TIME_FORMAT, zone).map_err(|why| Bad::field("bad-time", "start", why))?;
    let is_outbound = settings
        .outbound_contexts
        .iter()
        .any(|context| context == field("dcontext"));
    let in_queue = field("lastapp").eq_ignore_ascii_case("queue");
    let outcome = outcome(field("disposition"), in_queue, field("dstchannel"))?;
    let (name, clid_number) = caller_id(field("clid"));
    let (caller, callee) = if is_outbound {
        (field("dst"), field("src"))
    } else {
        (field("src"), field("dst"))
    };
    let caller = if caller.is_empty() && !is_outbound {
        clid_number
    } else {
        caller
    };
    Ok(Call {
        id: id.to_owned(),
        caller: Number::read(caller, settings),
        // Of an outgoing call, the name is ours and not the customer's.
        caller_name: name.filter(|_| !is_outbound).map(str::to_owned),
        callee: callee.to_owned(),
        started_at,
        // Time spoken if somebody answered, else time waited.
        duration_ms: if outcome == Outcome::Answered {
            length("billsec")?
        } else {
            length("duration")?
        },
        outcome,
        is_outbound,
        queue: in_queue.then(|| queue_name(field("lastdata"))).flatten(),
        agent: if outcome == Outcome::Answered {
            agent(field("dstchannel"))
        } else {
            None
        },
        note: field("userfield").to_owned(),
    })
}

/// Asterisk calls a queue's welcome message an answer: a caller in a queue was answered only if a channel to somebody
/// was opened.
fn outcome(disposition: &str, in_queue: bool, opened_channel: &str) -> Result<Outcome, Bad> {
    let was_alone = in_queue && opened_channel.is_empty();
    match disposition.to_ascii_uppercase().as_str() {
        "ANSWERED" | "NO ANSWER" | "NOANSWER" | "CANCEL" if was_alone => Ok(Outcome::Abandoned),
        "ANSWERED" => Ok(Outcome::Answered),
        "NO ANSWER" | "NOANSWER" | "CANCEL" => Ok(Outcome::Missed),
        "BUSY" => Ok(Outcome::Busy),
        "FAILED" | "CONGESTION" | "CHANUNAVAIL" => Ok(Outcome::Failed),
        other => Err(Bad::field(
            "bad-disposition",
            "disposition",
            format!("`{other}` is none that Asterisk writes"),
        )),
    }
}

/// Name and number of `"Name" <number>`.
fn caller_id(clid: &str) -> (Option<&str>, &str) {
    let (name, number) = clid
        .rsplit_once('<')
        .map_or((clid, ""), |(name, rest)| (name, rest.trim_end_matches('>')));
    let name = name.trim().trim_matches('"').trim();
    // Exchanges put the number where they know no name.
    let is_name = name.chars().any(char::is_alphabetic) && !name.eq_ignore_ascii_case("anonymous");
    (is_name.then_some(name), number.trim())
}

/// `support` of `support,t,,,300` or of the older `support|t|||300`.
fn queue_name(data: &str) -> Option<String> {
    data.split([',', '|'])
        .next()
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
}

/// `104` of `PJSIP/104-0000001c`, `SIP/104-1c` or `Local/104@from-queue-1c;1`.
fn agent(channel: &str) -> Option<Identifier> {
    let (_, rest) = channel.split_once('/')?;
    let id = rest.split(['-', '@', ';']).next()?.trim();
    (!id.is_empty()).then(|| Identifier {
        scheme: "extension".to_owned(),
        id: id.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caller_ids_hold_names_in_any_script() {
        assert_eq!(
            caller_id("\"سارة العلي\" <0501234567>"),
            (Some("سارة العلي"), "0501234567")
        );
        assert_eq!(caller_id("0501234567"), (None, ""));
        assert_eq!(caller_id("\"Anonymous\" <anonymous>"), (None, "anonymous"));
    }

    #[test]
    fn a_queue_that_only_played_music_was_left() {
        assert_eq!(outcome("ANSWERED", true, "").unwrap(), Outcome::Abandoned);
        assert_eq!(outcome("ANSWERED", true, "PJSIP/104-1").unwrap(), Outcome::Answered);
        assert_eq!(outcome("no answer", false, "").unwrap(), Outcome::Missed);
        assert!(outcome("MAYBE", false, "").is_err());
    }

    #[test]
    fn channels_name_the_agent() {
        let id = |channel| agent(channel).map(|agent| agent.id);
        assert_eq!(id("PJSIP/104-0000001c").as_deref(), Some("104"));
        assert_eq!(id("Local/105@from-queue-1c;1").as_deref(), Some("105"));
        assert_eq!(id(""), None);
    }
}
