//! The command, against a hub in this process and against one that does not keep to the rules.

use std::path::{Path, PathBuf};

use mihwar_hub::Config;
use mihwar_model::{Actor, Channel, Draft, InstanceName, Scalar, Tag, Time};
use mihwar_server::wire::{
    AttachmentWire, AuthorWire, ContentView, DetailsWire, FeedbackQuery, FeedbackView, IdentifierWire, LeftOut,
    ScoreWire, SocialWire,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use super::form::Wanted;
use super::{missing, run, to_file};
use crate::args::{Export, Format, Separator};
use crate::client::{Client, Opening};
use crate::output::Outcome;

/// A record that has something in every column but those of other scores and of an end.
pub(super) fn record() -> FeedbackView {
    let some = |text: &str| Some(text.to_owned());
    let attributes = |name: &str, value: &str| [(name.to_owned(), Scalar::Text(value.to_owned()))].into();
    FeedbackView {
        id: "019aa7c0-8f00-7000-8000-00000000002a".to_owned(),
        revision: 2,
        contact: "019aa7c0-8f00-7000-8000-00000000002b".to_owned(),
        instance: "kiosk".to_owned(),
        channel: "branch".to_owned(),
        kind: some("complaint"),
        occurred_at: Some(Time(1_795_329_000_000)),
        received_at: Time(1_795_329_600_000),
        thread: some("019aa7c0-8f00-7000-8000-00000000002c"),
        language: some("ar"),
        sentiment: Some(-0.25),
        scores: vec![ScoreWire {
            metric: "nps".to_owned(),
            value: 3.0,
            min: Some(0.0),
            max: Some(10.0),
        }],
        tags: vec!["شحن".to_owned(), "delay".to_owned()],
        attributes: attributes("region", "riyadh"),
        destinations: vec!["service".to_owned()],
        withdrawn: false,
        erased_at: None,
        quarantine: None,
        body_chars: 15,
        content: Some(ContentView {
            external_id: some("ticket-1042"),
            source_revision: some("r2"),
            author: Some(AuthorWire {
                name: some("ليلى حداد"),
                identifiers: vec![IdentifierWire {
                    scheme: "tel".to_owned(),
                    id: "+966500000001".to_owned(),
                }],
                locale: some("ar-SA"),
            }),
            thread: some("محادثة"),
            in_reply_to: some("ticket-1041"),
            subject: some("تأخر التوصيل"),
            body: "لم يصل طلبي بعد".to_owned(),
            attachments: vec![AttachmentWire {
                name: "فاتورة.pdf".to_owned(),
                ..AttachmentWire::default()
            }],
            details: Some(DetailsWire::Social(SocialWire {
                network: "example".to_owned(),
                ..SocialWire::default()
            })),
            attributes: attributes("branch", "الرياض"),
            ..ContentView::default()
        }),
        content_unreadable: false,
    }
}

/// A hub in this process, with these bodies in it.
async fn hub_with(folder: &Path, bodies: &[String]) -> Client {
    let path = folder.join("mihwar.toml");
    std::fs::write(&path, "[storage]\nfolder = \"data\"\nfree-space-floor = \"1MiB\"\n").unwrap();
    let config = Config::load(&path, &[], std::iter::empty()).unwrap();
    let client = Client::connect(config, Opening::Whole).await.unwrap();
    let Client::Here { hub, .. } = &client else {
        panic!("no hub runs here");
    };
    let draft = |body: &String| Draft {
        body: body.clone(),
        ..Draft::new(Channel::new(Tag::new("branch").unwrap()))
    };
    let instance = InstanceName::new("kiosk").unwrap();
    for part in bodies.chunks(300) {
        let drafts = part.iter().map(draft).collect();
        hub.accept(&Actor::Console, &instance, drafts).await.unwrap();
    }
    client
}

/// A hub that answers any question with these lines, whole or broken off behind them.
async fn teller(folder: &Path, lines: Vec<String>, is_whole: bool) -> Client {
    let socket = folder.join("hub.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                asked.push(stream.read_u8().await.unwrap());
            }
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n";
            stream.write_all(head.as_bytes()).await.unwrap();
            for line in &lines {
                let chunk = format!("{:x}\r\n{line}\n\r\n", line.len() + 1);
                stream.write_all(chunk.as_bytes()).await.unwrap();
            }
            if is_whole {
                stream.write_all(b"0\r\n\r\n").await.unwrap();
            }
        }
    });
    Client::Running(socket)
}

fn to(path: PathBuf) -> Export {
    Export {
        out: Some(path),
        ..Export::default()
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = folder.read_dir().unwrap();
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<_> = entries.map(name).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn each_form_holds_every_record_of_a_hub() {
    let folder = tempfile::tempdir().unwrap();
    let bodies: Vec<_> = (0..450).map(|number| format!("=ملاحظة {number}\nسطر")).collect();
    let client = hub_with(folder.path(), &bodies).await;
    for ending in ["ndjson", "csv", "parquet"] {
        let path = folder.path().join(format!("تصدير.{ending}"));
        assert_eq!(run(&client, to(path.clone()), true).await.unwrap(), Outcome::Done);
        let bytes = std::fs::read(&path).unwrap();
        match ending {
            "ndjson" => assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 450),
            "csv" => {
                assert!(bytes.starts_with("\u{FEFF}id,".as_bytes()));
                let mut reader = csv::Reader::from_reader(bytes.as_slice());
                let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
                assert_eq!(rows.len(), 450);
                assert!(
                    rows.iter()
                        .all(|row| row.iter().any(|cell| cell.starts_with("'=ملاحظة")))
                );
            }
            _ => {
                use parquet::file::reader::{FileReader, SerializedFileReader};
                let file = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
                assert_eq!(file.metadata().file_metadata().num_rows(), 450);
            }
        }
    }
    client.close().await.unwrap();
}

#[tokio::test]
async fn an_export_of_nothing_is_a_whole_one() {
    let folder = tempfile::tempdir().unwrap();
    let client = hub_with(folder.path(), &[]).await;
    for (ending, length_min) in [("ndjson", 0), ("csv", 100), ("parquet", 100)] {
        let path = folder.path().join(format!("فارغ.{ending}"));
        assert_eq!(run(&client, to(path.clone()), true).await.unwrap(), Outcome::Done);
        assert!(path.metadata().unwrap().len() >= length_min, "{ending}");
    }
    client.close().await.unwrap();
}

#[tokio::test]
async fn what_breaks_off_leaves_no_file_and_the_earlier_one() {
    let line = serde_json::to_string(&record()).unwrap();
    let problem = r#"{"problem":{"type":"x","title":"x","status":503,"detail":"القرص ممتلئ"}}"#.to_owned();
    let half = line.chars().take(40).collect::<String>();
    for (lines, is_whole, said) in [
        (vec![line.clone(), line.clone()], false, "broke off"),
        (vec![line.clone(), problem], true, "القرص ممتلئ"),
        (vec![line.clone(), half], true, "does not know"),
    ] {
        for ending in ["ndjson", "csv", "parquet"] {
            // NDJSON is handed on as it comes: what is in a line is its reader's to look at.
            if ending == "ndjson" && said == "does not know" {
                continue;
            }
            let folder = tempfile::tempdir().unwrap();
            let client = teller(folder.path(), lines.clone(), is_whole).await;
            let path = folder.path().join(format!("تصدير.{ending}"));
            let error = run(&client, to(path.clone()), true).await.unwrap_err();
            let text = format!("{error:#}");
            assert!(
                text.contains(said) && text.contains("was not written"),
                "{ending}: {text}"
            );
            assert_eq!(names(folder.path()), ["hub.sock"], "{ending}");

            std::fs::write(&path, "الأقدم").unwrap();
            let forced = Export {
                force: true,
                ..to(path.clone())
            };
            run(&client, forced, true).await.unwrap_err();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), "الأقدم");
        }
    }
}

#[tokio::test]
async fn what_is_told_to_stop_leaves_no_file_either() {
    let folder = tempfile::tempdir().unwrap();
    let line = serde_json::to_string(&record()).unwrap();
    let client = teller(folder.path(), vec![line], true).await;
    let path = folder.path().join("شكاوى.csv");
    let query = FeedbackQuery::from(Export::default().filter);
    let wanted = Wanted {
        format: Format::Csv,
        has_bom: false,
        separator: Separator::Comma,
    };
    let told = std::future::ready(());
    let error = to_file(&client, &query, wanted, &path, false, true, told)
        .await
        .unwrap_err();
    assert!(format!("{error:#}").contains("told to stop"), "{error:#}");
    assert_eq!(names(folder.path()), ["hub.sock"]);
}

#[tokio::test]
async fn a_damaged_record_in_the_middle_stops_nothing_and_is_told() {
    let line = |damaged: bool| {
        let mut given = record();
        if damaged {
            given.content = None;
            given.content_unreadable = true;
        }
        serde_json::to_string(&given).unwrap()
    };
    for ending in ["ndjson", "csv", "parquet"] {
        let folder = tempfile::tempdir().unwrap();
        let client = teller(folder.path(), vec![line(false), line(true), line(false)], true).await;
        let path = folder.path().join(format!("تصدير.{ending}"));
        assert_eq!(run(&client, to(path.clone()), true).await.unwrap(), Outcome::Refused);
        if ending == "csv" {
            let mut reader = csv::Reader::from_path(&path).unwrap();
            let place = reader
                .headers()
                .unwrap()
                .iter()
                .position(|name| name == "has_content")
                .unwrap();
            let has: Vec<_> = reader.records().map(|row| row.unwrap()[place].to_owned()).collect();
            assert_eq!(has, ["true", "false", "true"]);
        }
    }
    // What a person wrote is not taken for it.
    let mut given = record();
    if let Some(content) = &mut given.content {
        content.body = "\"content_unreadable\":true".to_owned();
        content.raw = Some(serde_json::json!({ "content_unreadable": true }));
    }
    let folder = tempfile::tempdir().unwrap();
    let client = teller(folder.path(), vec![serde_json::to_string(&given).unwrap()], true).await;
    let path = folder.path().join("سليم.ndjson");
    assert_eq!(run(&client, to(path), true).await.unwrap(), Outcome::Done);
}

#[tokio::test]
async fn a_record_that_is_damaged_in_the_lists_costs_itself_only_and_is_named() {
    let line = serde_json::to_string(&record()).unwrap();
    let end = r#"{"problem":{"type":"/problems/damaged","title":"x","status":500,"detail":"سجل تالف"},"left_out":{"records":2,"ids":["019aa7c0-8f00-7000-8000-0000000000ff"]}}"#;
    for ending in ["ndjson", "csv", "parquet"] {
        let folder = tempfile::tempdir().unwrap();
        let lines = vec![line.clone(), line.clone(), end.to_owned()];
        let client = teller(folder.path(), lines, true).await;
        let path = folder.path().join(format!("تصدير.{ending}"));
        assert_eq!(run(&client, to(path.clone()), true).await.unwrap(), Outcome::Refused);
        let bytes = std::fs::read(&path).unwrap();
        let shown = String::from_utf8_lossy(&bytes);
        assert!(!shown.contains("problem") && !shown.contains("سجل تالف"), "{ending}");
        match ending {
            "ndjson" => assert_eq!(shown.lines().count(), 2),
            "csv" => assert_eq!(csv::Reader::from_reader(bytes.as_slice()).records().count(), 2),
            _ => {}
        }
    }
    let told = missing(&LeftOut {
        records: 2,
        ids: vec!["019aa7c0-8f00-7000-8000-0000000000ff".to_owned()],
    });
    for said in [
        "2 records are",
        "-0000000000ff",
        "… and 1 more",
        "mihwar doctor --rebuild",
    ] {
        assert!(told.contains(said), "{said}: {told}");
    }
}

#[tokio::test]
async fn nothing_is_asked_or_written_where_the_answer_could_not_be_kept() {
    let folder = tempfile::tempdir().unwrap();
    let there = folder.path().join("هنا.csv");
    std::fs::write(&there, "الأقدم").unwrap();
    // Nobody listens there: what is refused was refused before.
    let client = Client::Running(folder.path().join("hub.sock"));
    let of = |name: &str| to(folder.path().join(name));
    let no_csv = Export {
        separator: Some(Separator::Semicolon),
        ..of("جدول.parquet")
    };
    let no_csv_either = Export {
        bom: Some(false),
        format: Some(Format::Ndjson),
        ..of("جدول.csv")
    };
    for (options, said) in [
        (to(there.clone()), "exists already"),
        (of("جدول.xlsx"), "--format"),
        (of("جدول"), "--format"),
        (no_csv, "--separator"),
        (no_csv_either, "--bom"),
        (of("ليس-هنا/جدول.csv"), "ليس-هنا"),
    ] {
        let error = format!("{:#}", run(&client, options, true).await.unwrap_err());
        assert!(error.contains(said), "{error}");
    }
    assert_eq!(std::fs::read_to_string(&there).unwrap(), "الأقدم");
    assert_eq!(names(folder.path()), ["هنا.csv"]);
}

#[tokio::test]
async fn the_choices_of_csv_are_heeded() {
    let line = serde_json::to_string(&record()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let client = teller(folder.path(), vec![line], true).await;
    let path = folder.path().join("بلا-علامة.txt");
    let options = Export {
        format: Some(Format::Csv),
        bom: Some(false),
        separator: Some(Separator::Tab),
        ..to(path.clone())
    };
    run(&client, options, true).await.unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("id\trevision\t"), "{text}");
    assert!(text.contains("\t\"تأخر التوصيل\"\t"), "{text}");
}
