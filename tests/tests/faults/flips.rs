//! Bytes that are not what was written: in the compiled code, in the store's file, in the files beside it.

use std::fs;
use std::path::{Path, PathBuf};

use mihwar_tests::{Dice, Receiver, Site, assert_same_picture, picture, report_faults, rounds};
use serde_json::json;

use crate::support::{assert_verifies, client, hand_in, marked, token, until, without_plugins};

/// Records in the store whose bytes are flipped.
const RECORDS: usize = 150;
/// Flips in the store's file in a usual run.
const STORE_FLIPS: u64 = 24;
/// Flips in each kind of other file in a usual run.
const FILE_FLIPS: u64 = 3;

/// Flips one bit of a file.
fn flip(file: &Path, place: u64, bit: u64) {
    let mut bytes = fs::read(file).unwrap();
    bytes[usize::try_from(place).unwrap()] ^= 1 << bit;
    fs::write(file, bytes).unwrap();
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let (mut files, mut rest) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = rest.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                rest.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// Compiled code is native code: what was not written by this hub is never run. It is compiled again instead.
#[tokio::test(flavor = "multi_thread")]
async fn flipped_bytes_in_compiled_code_cost_time_and_nothing_else() {
    let mut dice = Dice::thrown();
    let receiver = Receiver::start(0).await.unwrap();
    let site = Site::small(receiver.address).unwrap();
    let running = site.serve().unwrap();
    let (http, token) = (client(), token(&site));
    assert!(running.stop());
    // What other sites compiled is here, too; of its own plugins there are two.
    let compiled = site.data().join("compiled");
    files_below(&compiled)
        .iter()
        .for_each(|file| fs::remove_file(file).unwrap());
    assert!(site.serve().unwrap().stop());
    let files = files_below(&compiled);
    assert_eq!(files.len(), 2, "{files:?}");
    let flips = rounds(FILE_FLIPS);
    for number in 0..flips {
        for file in &files {
            let size = fs::metadata(file).unwrap().len();
            // The head (mark, authentication, length of what follows) and the code in turn.
            let place = dice.below(if number % 3 == 0 { 64 } else { size });
            flip(file, place, dice.below(8));
        }
        let running = site.serve().unwrap();
        let told = site.log().matches("compiling again").count();
        assert_eq!(told, files.len(), "{}", site.log());
        let mark = format!("compiled-{number}");
        let (status, answer) = hand_in(&http, &site, &token, &mark, "").await;
        assert_eq!(status, 201, "{answer}");
        let expected = usize::try_from(number).unwrap() + 1;
        until("the delivery", || (receiver.delivered() >= expected).then_some(())).await;
        assert!(running.stop());
    }
    // What was compiled again is good: nothing is said of it.
    let running = site.serve().unwrap();
    assert!(!site.log().contains("compiling again"), "{}", site.log());
    assert!(running.stop());
    assert_verifies(&site, "after flips in compiled code");
    let flipped = flips * files.len() as u64;
    report_faults(
        "flipped bytes in compiled code",
        &[
            ("seed", dice.seed()),
            ("flipped", flipped),
            ("found", flipped),
            ("run all the same", 0),
        ],
    );
}

/// A stopped hub with some records, each of them delivered, and files beside some. Its configuration names no plugins
/// any more: looking at records needs none.
async fn filled_site(receiver: &Receiver) -> Site {
    let site = Site::small(receiver.address).unwrap();
    let running = site.serve().unwrap();
    let token = token(&site);
    let line = |number: usize| {
        let files = match number % 30 {
            0 => {
                json!([{ "name": "فاتورة.txt", "media_type": "text/plain", "content_base64": "2YHYp9iq2YjYsdip".repeat(40) }])
            }
            _ => json!([]),
        };
        // Long ones become files, too.
        let raw = if number.is_multiple_of(50) {
            "ن".repeat(100_000)
        } else {
            String::new()
        };
        json!({
            "external_id": format!("r-{number}"),
            "author": { "identifiers": [{ "scheme": "email", "id": format!("u{}@example.com", number % 40) }] },
            "body": marked(&format!("r-{number}")),
            "attachments": files,
            "raw": raw,
        })
        .to_string()
    };
    let lines: Vec<String> = (0..RECORDS).map(line).collect();
    let answer = client()
        .post(format!("http://{}/api/v1/feedback:batch", site.listen))
        .bearer_auth(&token)
        .header("content-type", "application/x-ndjson")
        .body(lines.join("\n"))
        .send()
        .await
        .unwrap();
    let text = answer.bytes().await.unwrap();
    let summary = text.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap();
    let summary: serde_json::Value = serde_json::from_slice(summary).unwrap();
    assert_eq!(summary["summary"]["new"], RECORDS, "{summary}");
    until("every delivery", || (receiver.delivered() >= RECORDS).then_some(())).await;
    assert!(running.stop());
    without_plugins(&site);
    site
}

/// What a look at damaged data says; `None` when nothing is found.
fn found_by(site: &Site, words: &[&str]) -> Option<String> {
    let output = site.run(words).unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(
        output.status.code().is_some(),
        "mihwar {words:?} was ended by a signal: {said}"
    );
    (!output.status.success()).then_some(said)
}

/// Words of which one must stand in what is said of damage.
const NAMED: [&str; 7] = [
    "damaged",
    "is not what",
    "is gone, and no event says why",
    "have the root",
    "the entries hash to",
    "not a redb database",
    "is missing",
];

fn is_named(said: &str) -> bool {
    let said = said.to_lowercase();
    NAMED.iter().any(|words| said.contains(words))
}

#[tokio::test(flavor = "multi_thread")]
async fn flipped_bytes_in_the_store_are_found_and_named_or_were_in_nothing() {
    let mut dice = Dice::thrown();
    let receiver = Receiver::start(0).await.unwrap();
    let site = filled_site(&receiver).await;
    let file = site.data().join("mihwar.redb");
    let sound = fs::read(&file).unwrap();
    assert!(site.run(&["doctor"]).unwrap().status.success());
    fs::write(&file, &sound).unwrap();
    let good = picture(&site);
    let flips = rounds(STORE_FLIPS);
    let (mut by_verify, mut by_doctor, mut in_nothing) = (0, 0, 0);
    for number in 0..flips {
        fs::write(&file, &sound).unwrap();
        // Every fourth in the head of the file, which says where everything is.
        let end = if number % 4 == 0 { 512 } else { sound.len() as u64 };
        let (place, bit) = (dice.below(end), dice.below(8));
        flip(&file, place, bit);
        let moment = format!("bit {bit} of byte {place} (seed {})", dice.seed());
        let doctor = found_by(&site, &["doctor"]);
        if doctor.is_some() {
            let left = fs::read(&file).unwrap();
            let differing = left.iter().zip(&sound).filter(|(one, other)| one != other).count();
            assert!(
                left.len() == sound.len() && differing == 1,
                "{moment}: doctor changed a damaged file"
            );
        }
        let verify = found_by(&site, &["ledger", "verify"]);
        let said = [&doctor, &verify].into_iter().flatten();
        let said: Vec<&String> = said.collect();
        assert!(
            said.is_empty() || said.iter().any(|said| is_named(said)),
            "{moment}: found, but not named: {said:?}"
        );
        match (doctor, verify) {
            (None, None) => {
                assert_same_picture(
                    &picture(&site),
                    &good,
                    &format!("{moment}, read differently, and nobody noticed"),
                );
                in_nothing += 1;
            }
            (doctor, verify) => {
                by_verify += u64::from(verify.is_some());
                by_doctor += u64::from(doctor.is_some());
            }
        }
    }
    // Every page of the file that holds anything is the doctor's to look at.
    assert!(by_doctor > 0, "{flips} flips, and the doctor found none");
    report_faults(
        "flipped bytes in the store",
        &[
            ("seed", dice.seed()),
            ("flipped", flips),
            ("found", flips - in_nothing),
            ("by doctor", by_doctor),
            ("by ledger verify", by_verify),
            ("in free space", in_nothing),
            ("unnoticed", 0),
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn flipped_bytes_in_stored_files_are_found_and_named() {
    let mut dice = Dice::thrown();
    let receiver = Receiver::start(0).await.unwrap();
    let site = filled_site(&receiver).await;
    assert_verifies(&site, "before the flips");
    let files = files_below(&site.data().join("blobs"));
    assert_eq!(files.len(), RECORDS.div_ceil(30) + RECORDS.div_ceil(50), "{files:?}");
    let (mut flipped, mut cut) = (0, 0);
    for _ in 0..rounds(FILE_FLIPS) {
        for file in &files {
            let sound = fs::read(file).unwrap();
            let place = dice.below(sound.len() as u64);
            // Every fifth is cut short there instead, or is gone altogether.
            match dice.below(10) {
                0 => fs::write(file, &sound[..usize::try_from(place).unwrap()]).unwrap(),
                1 => fs::remove_file(file).unwrap(),
                _ => flip(file, place, dice.below(8)),
            }
            cut += u64::from(fs::read(file).map_or(0, |left| left.len()) != sound.len());
            flipped += 1;
            let report = site.json(&["ledger", "verify"]);
            assert_eq!(report["ok"], false, "{} at byte {place}", file.display());
            let finding = report["findings"][0].as_str().unwrap();
            let named = finding.starts_with("the file ") || finding.starts_with("the content of ");
            assert!(named && report["findings"].as_array().unwrap().len() == 1, "{report:#}");
            fs::write(file, sound).unwrap();
        }
    }
    assert_verifies(&site, "after the bytes were put back");
    report_faults(
        "flipped bytes in stored files",
        &[
            ("seed", dice.seed()),
            ("flipped", flipped - cut),
            ("cut or removed", cut),
            ("found", flipped),
            ("unnoticed", 0),
        ],
    );
}
