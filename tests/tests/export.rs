//! The ledger is exported while the hub serves, checked where there is no hub, and holds nothing that people said unless that
//! was wanted.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test reports by panic, its helpers too"
)]

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use mihwar_tests::{Receiver, Site, said};

/// What people said, and what names them.
const THEIRS: [&str; 8] = [
    "هدى العلي",
    "Huda Al-Ali",
    "huda@example.com",
    "الخدمة سيئة جدا",
    "The service is very bad",
    "شكوى من الفرع",
    "m1@example.com",
    "صورة الفاتورة",
];

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn import(site: &Site, number: usize) {
    import_lines(site, number, 1);
}

/// Somebody says the same so many times.
fn import_lines(site: &Site, number: usize, times: usize) {
    let path = site.path().join(format!("رسالة-{number}.eml"));
    let mail = format!(
        "From: هدى العلي <huda@example.com>\r\nSubject: شكوى من الفرع\r\nMessage-ID: <m{number}@example.com>\r\n\
         Date: Sun, 22 Nov 2026 09:00:00 +0300\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
    );
    let line = format!("الخدمة سيئة جدا. The service is very bad. Huda Al-Ali, صورة الفاتورة {number}\r\n");
    fs::write(&path, mail + &line.repeat(times)).unwrap();
    site.ends_with(0, &["import", "mail", text(&path)]);
}

fn theirs_in(bytes: &[u8]) -> Vec<&'static str> {
    let is_there = |word: &&str| bytes.windows(word.len()).any(|window| window == word.as_bytes());
    THEIRS.into_iter().filter(|word| is_there(word)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_checks_the_whole_history_with_one_file() {
    let receiver = Receiver::start(0).await.unwrap();
    let site = Site::new(receiver.address).unwrap();
    let running = site.serve().unwrap();
    for number in 0..3 {
        import(&site, number);
    }
    let outside = tempfile::tempdir().unwrap();
    let bundle = outside.path().join("دفتر.tar");
    let exported = site.json(&["ledger", "export", text(&bundle)]);
    let head = outside.path().join("head.txt");
    fs::write(&head, site.ends_with(0, &["ledger", "head"])).unwrap();
    let bytes = fs::read(&bundle).unwrap();
    assert_eq!(theirs_in(&bytes), [""; 0]);
    assert_eq!(
        (&exported["contents"], &exported["bytes"]),
        (&0.into(), &bytes.len().into())
    );
    // Nothing is overwritten unasked, and nothing else was left there.
    let again = site.ends_with(1, &["ledger", "export", text(&bundle)]);
    assert!(again.contains("exists already"), "{again}");
    site.ends_with(0, &["ledger", "export", text(&bundle), "--force"]);
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 2);

    // On another machine: nothing but the binary and the files.
    let key = exported["verifier_key"].as_str().unwrap();
    let checked = ["ledger", "verify", text(&bundle), "--key", key];
    let checked = site.json(&checked);
    assert_eq!(
        (&checked["ok"], &checked["feedback"]),
        (&true.into(), &3.into()),
        "{checked}"
    );
    assert_eq!(checked["events"]["received"], 3);
    let told = site.ends_with(0, &["ledger", "verify", text(&bundle), "--key", key]);
    assert!(
        told.contains("Proved: these are the") && told.contains("nothing that people said"),
        "{told}"
    );
    by_its_own_program(&bundle, key);

    // What people said, where that is wanted: each content as its entry commits to it.
    let whole = outside.path().join("مع-المحتوى.tar");
    site.ends_with(0, &["ledger", "export", text(&whole), "--with-content"]);
    let found = theirs_in(&fs::read(&whole).unwrap());
    assert!(
        found.contains(&"الخدمة سيئة جدا") && found.contains(&"huda@example.com"),
        "{found:?}"
    );
    let checked = site.json(&["ledger", "verify", text(&whole), "--key", key]);
    assert_eq!(checked["contents"], 3, "{checked}");
    by_its_own_program(&whole, key);

    // Without a hub that serves, the same; and what was signed while it served is still its history.
    assert!(running.stop(), "{}", site.log());
    without_a_hub(&site, outside.path(), &bundle, &head);
}

fn without_a_hub(site: &Site, outside: &Path, bundle: &Path, head: &Path) {
    import(site, 3);
    let later = outside.join("لاحق.tar");
    site.ends_with(0, &["ledger", "export", text(&later)]);
    let told = site.ends_with(
        0,
        &[
            "ledger",
            "verify",
            text(&later),
            "--checkpoint",
            text(head),
            "--key",
            text(head),
        ],
    );
    assert!(
        told.contains("of the same history") && told.contains("rests on the bundle's own checkpoint"),
        "{told}"
    );
    let told = site.ends_with(1, &["ledger", "verify", text(bundle), "--checkpoint", text(&later)]);
    assert!(told.contains("NOT proved"), "{told}");
    older_than_a_checkpoint(site, outside, bundle);
}

/// The size that a checkpoint speaks of.
fn size_in(checkpoint: &str) -> &str {
    checkpoint.lines().nth(1).unwrap()
}

/// A bundle from before a checkpoint is not the whole ledger; with what connects the two it is that of its time.
fn older_than_a_checkpoint(site: &Site, outside: &Path, bundle: &Path) {
    let newer = outside.join("الأحدث.txt");
    let head = site.ends_with(0, &["ledger", "head"]);
    fs::write(&newer, &head).unwrap();
    let told = site.ends_with(1, &["ledger", "verify", text(bundle), "--checkpoint", text(&newer)]);
    assert!(told.contains("It is NOT the whole ledger"), "{told}");
    let own = match Command::new("tar").args(["xOf", text(bundle), "checkpoint"]).output() {
        Ok(unpacked) => String::from_utf8(unpacked.stdout).unwrap(),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
            return eprintln!("an older bundle was not connected with a newer checkpoint: tar is not there");
        }
    };
    let of_its_time = outside.join("checkpoint");
    fs::write(&of_its_time, &own).unwrap();
    let (from, to) = (size_in(&own), size_in(&head));
    site.ends_with(
        0,
        &["ledger", "prove", "--from", from, "--to", to, "--out", text(outside)],
    );
    let consistency = outside.join("consistency.json");
    let connected = [
        "ledger",
        "verify",
        text(&consistency),
        "--checkpoint",
        text(&of_its_time),
        "--checkpoint",
        text(&newer),
    ];
    site.ends_with(0, &connected);
    let told = site.ends_with(
        0,
        &["ledger", "verify", text(bundle), "--checkpoint", text(&of_its_time)],
    );
    assert!(told.contains(&format!("these are the {from} entries")), "{told}");
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn one_damaged_content_is_left_out_and_named_by_every_program() {
    let receiver = Receiver::start(0).await.unwrap();
    let site = Site::new(receiver.address).unwrap();
    import(&site, 0);
    // So long that it lies in a file of its own.
    import_lines(&site, 1, 1_000);
    import(&site, 2);
    let files = files_below(&site.data().join("blobs"));
    assert_eq!(files.len(), 1, "{files:?}");
    let mut sealed = fs::read(&files[0]).unwrap();
    let middle = sealed.len() / 2;
    sealed[middle] ^= 1;
    fs::write(&files[0], sealed).unwrap();

    let bundle = site.path().join("ناقص.tar");
    let told = site.ends_with(1, &["ledger", "export", text(&bundle), "--with-content"]);
    let count = "What the hub could not read is not in it (contents: 1)";
    assert!(told.contains(count) && told.contains("mihwar ledger verify"), "{told}");
    let exported = site.json(&["ledger", "export", text(&bundle), "--with-content", "--force"]);
    assert_eq!(
        (&exported["contents"], &exported["contents_missing"]),
        (&2.into(), &1.into()),
        "{exported}"
    );
    let missing = &exported["missing"][0];
    let (id, why) = (missing["feedback"].as_str().unwrap(), missing["why"].as_str().unwrap());
    assert!(why.contains("does not open") && told.contains(why), "{why}: {told}");
    let named = format!("feedback {id}, revision 1");
    assert!(told.contains(&named), "{told}");
    let found = theirs_in(&fs::read(&bundle).unwrap());
    assert!(
        found.contains(&"الخدمة سيئة جدا"),
        "what is beside it is there: {found:?}"
    );

    let key = exported["verifier_key"].as_str().unwrap();
    let checked = ["ledger", "verify", text(&bundle), "--key", key];
    let told = site.ends_with(0, &checked);
    assert!(told.contains(count) && told.contains(&named), "{told}");
    let told = by_its_own_program(&bundle, key).unwrap_or(told);
    assert!(told.contains(count) && told.contains(&named), "{told}");
    // Without what people said it lacks nothing.
    site.ends_with(0, &["ledger", "export", text(&bundle), "--force"]);
}

/// A tar file that says of its first file that it is all holes, 64 MiB of them. Another number, and it is any amount of memory.
fn full_of_holes() -> Vec<u8> {
    let mut block = vec![0_u8; 512];
    let sum: u32 = {
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"mihwar-bundle");
        put(100, b"0000644\x000000000\x000000000\x0000000000000\x0000000000000");
        put(148, b"        S");
        put(257, b"ustar  ");
        put(483, b"00400000000");
        block.iter().copied().map(u32::from).sum()
    };
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block.resize(3 * 512, 0);
    block
}

#[test]
fn the_program_in_a_bundle_takes_no_file_with_holes_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ثقوب.tar");
    fs::write(&file, full_of_holes()).unwrap();
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/ledger/src/bundle/verify.py");
    let key = "hub+b16644ed+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    match Command::new("python3")
        .args([text(&program), text(&file), key])
        .output()
    {
        Ok(checked) => {
            assert_eq!(checked.status.code(), Some(1), "{}", said(&checked));
            assert!(said(&checked).contains("it is no plain file"), "{}", said(&checked));
        }
        Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error}"),
    }
}

/// What the program that is in the bundle says, where there is something to run it with.
fn by_its_own_program(bundle: &Path, key: &str) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let unpacked = Command::new("tar")
        .args(["xf", text(bundle), "verify.py"])
        .current_dir(folder.path())
        .output();
    let checked = Command::new("python3")
        .args(["verify.py", text(bundle), key])
        .current_dir(folder.path())
        .output();
    match (unpacked, checked) {
        (Ok(unpacked), Ok(checked)) => {
            assert!(unpacked.status.success(), "{}", said(&unpacked));
            assert!(checked.status.success(), "{}", said(&checked));
            assert!(said(&checked).contains("Proved: these are the"), "{}", said(&checked));
            Some(said(&checked))
        }
        (Err(error), _) | (_, Err(error)) => {
            assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
            eprintln!("the program in the bundle was not tried: tar or python3 is not there");
            None
        }
    }
}
