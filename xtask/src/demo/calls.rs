//! Call records as Asterisk writes them: answered with the agent's note, missed, and left while waiting.

use anyhow::{Context, Result, bail};

use super::dates::Moment;
use super::texts::{People, Person, Row};

const HEADER: &str = "accountcode,src,dst,dcontext,clid,channel,dstchannel,lastapp,lastdata,start,answer,end,duration,\
                      billsec,disposition,amaflags,uniqueid,userfield";
const SWITCHBOARD: &str = "920000000";
/// Answered calls come from the notes; of the others there are so many.
const MISSED: i64 = 34;
const ABANDONED: i64 = 26;

/// One file with a line of names.
pub(super) fn file(people: &People, notes: &[Row]) -> Result<String> {
    let persons: Vec<&Person> = people.values().collect();
    let mut calls: Vec<(Moment, String)> = Vec::new();
    let mut number = 0;
    for row in notes {
        let [queue, caller, note] = row.as_slice() else {
            bail!("a note has three columns")
        };
        let caller = people
            .get(caller)
            .with_context(|| format!("nobody is called `{caller}`"))?;
        calls.push(line(number, caller, Outcome::Answered { queue, note }));
        number += 1;
    }
    let missed = (0..MISSED).map(|_| Outcome::Missed);
    for outcome in missed.chain((0..ABANDONED).map(|_| Outcome::Abandoned)) {
        let at = usize::try_from(number * 7)? % persons.len().max(1);
        let caller = persons.get(at).context("people.txt is empty")?;
        calls.push(line(number, caller, outcome));
        number += 1;
    }
    calls.sort();
    let mut file = format!("{HEADER}\n");
    for (_, call) in calls {
        file.push_str(&call);
        file.push('\n');
    }
    Ok(file)
}

#[derive(Debug, Clone, Copy)]
enum Outcome<'t> {
    Answered { queue: &'t str, note: &'t str },
    Missed,
    Abandoned,
}

fn line(number: i64, person: &Person, outcome: Outcome<'_>) -> (Moment, String) {
    const QUEUES: [&str; 4] = ["delivery", "billing", "app", "care"];
    let queue = match outcome {
        Outcome::Answered { queue, .. } => queue,
        _ => QUEUES
            .get(usize::try_from(number % 4).unwrap_or(0))
            .copied()
            .unwrap_or("care"),
    };
    // Spread over working hours of seven weeks, by steps that share no factor with the week.
    let start = Moment::day(2026, 10, 1).plus((number * 17 % 49) * 86_400 + 8 * 3_600 + number * 2_311 % 43_200);
    let (waited, talked) = (12 + number * 13 % 170, 40 + number * 29 % 400);
    let serial = 28 + number;
    let extension = 101 + number % 6;
    let trunk = format!("PJSIP/trunk-{serial:08x}");
    let (opened, application, data, billsec, disposition, note) = match outcome {
        Outcome::Answered { note, .. } => (
            format!("PJSIP/{extension}-{serial:08x}"),
            "Queue",
            format!("{queue},t,,,300"),
            talked,
            "ANSWERED",
            note,
        ),
        Outcome::Missed => (
            format!("PJSIP/{extension}-{serial:08x}"),
            "Dial",
            format!("PJSIP/{extension},30"),
            0,
            "NO ANSWER",
            "",
        ),
        Outcome::Abandoned => (String::new(), "Queue", format!("{queue},t,,,300"), 0, "NO ANSWER", ""),
    };
    let duration = waited + billsec;
    let answer = if billsec > 0 {
        start.plus(waited).cdr()
    } else {
        String::new()
    };
    let fields = [
        String::new(),
        person.telephone.clone(),
        SWITCHBOARD.to_owned(),
        "from-trunk".to_owned(),
        format!("\"{}\" <{}>", person.name, person.telephone),
        trunk,
        opened,
        application.to_owned(),
        data,
        start.cdr(),
        answer,
        start.plus(duration).cdr(),
        duration.to_string(),
        billsec.to_string(),
        disposition.to_owned(),
        "DOCUMENTATION".to_owned(),
        format!("{}.{serial}", start.seconds()),
        note.to_owned(),
    ];
    (start, fields.map(|field| quoted(&field)).join(","))
}

fn quoted(field: &str) -> String {
    format!("\"{}\"", field.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_person() -> People {
        let person = Person {
            name: "سارة".into(),
            address: "s@example.com".into(),
            telephone: "+966500000103".into(),
        };
        People::from([("sara".to_owned(), person)])
    }

    fn note(caller: &str) -> Row {
        ["billing", caller, "قالت \"شكرًا\" وأغلقت"].map(str::to_owned).into()
    }

    #[test]
    fn every_line_has_the_columns_of_the_header() {
        let file = file(&one_person(), &[note("sara")]).unwrap();
        let lines: Vec<&str> = file.lines().collect();
        assert_eq!(lines.len(), 1 + 1 + 60);
        for line in &lines[1..] {
            assert_eq!(line.matches("\",\"").count(), 17, "{line}");
        }
        assert!(file.contains("\"قالت \"\"شكرًا\"\" وأغلقت\""));
    }

    #[test]
    fn an_unknown_caller_is_an_error() {
        assert!(file(&one_person(), &[note("nobody")]).is_err());
    }
}
