//! Checkpoints and signed notes, against published examples and against tampering.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mihwar_ledger::{
    Checkpoint, CheckpointError, Hash, KeyError, NoteError, NoteSignature, SignedNote, Signer, VerifyingKey, leaf_hash,
};

const ORIGIN: &str = "hub.example/محور";

/// The example of Go's `golang.org/x/mod/sumdb/note`: verifier key and signed note.
const GO_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const GO_NOTE: &str = "If you think cryptography is the answer to your problem,\n\
    then you don't know what your problem is.\n\
    \n\
    \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

fn signer() -> Signer {
    Signer::from_seed(ORIGIN.split('/').next().unwrap(), &[7; 32]).unwrap()
}

fn checkpoint() -> Checkpoint {
    Checkpoint {
        origin: ORIGIN.to_owned(),
        size: 20_852_163,
        root: leaf_hash("شكوى".as_bytes()),
        extensions: vec!["سطر إضافي".to_owned()],
    }
}

#[test]
fn the_published_go_note_verifies_and_is_written_back_unchanged() {
    let key: VerifyingKey = GO_KEY.parse().unwrap();
    assert_eq!(key.name(), "PeterNeumann");
    assert_eq!(key.to_string(), GO_KEY);
    let note = SignedNote::parse(GO_NOTE).unwrap();
    assert_eq!(note.verify(&key), Ok(()));
    assert_eq!(note.to_string(), GO_NOTE);
}

#[test]
fn signing_the_go_text_gives_the_published_signature() {
    // The private key in Go's example is the algorithm byte 0x01 and the seed, in base64.
    let private = STANDARD.decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz").unwrap();
    let signer = Signer::from_seed("PeterNeumann", private[1..].try_into().unwrap()).unwrap();
    assert_eq!(signer.verifying_key().to_string(), GO_KEY);
    let text = SignedNote::parse(GO_NOTE).unwrap().text().to_owned();
    assert_eq!(signer.sign_note(&text).unwrap().to_string(), GO_NOTE);
}

#[test]
fn the_key_id_of_the_go_checksum_database_is_computed_right() {
    let text = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
    let key: VerifyingKey = text.parse().unwrap();
    assert_eq!(key.id(), [0x03, 0x3d, 0xe0, 0xae]);
    assert_eq!(key.to_string(), text);
}

#[test]
fn a_checkpoint_is_opened_as_it_was_signed() {
    let published = checkpoint().sign(&signer()).unwrap().to_string();
    let key = signer().verifying_key();
    let (opened, note) = Checkpoint::open(&published, ORIGIN, &key).unwrap();
    assert_eq!(opened, checkpoint());
    assert_eq!(note.to_string(), published);
    let lines: Vec<&str> = published.lines().collect();
    assert_eq!(lines[..2], [ORIGIN, "20852163"]);
    assert_eq!(lines[2], checkpoint().root.to_base64());
    assert_eq!(lines[4], "");
    assert!(lines[5].starts_with("\u{2014} hub.example "));
}

#[test]
fn every_changed_character_is_noticed() {
    let published = checkpoint().sign(&signer()).unwrap().to_string();
    let key = signer().verifying_key();
    let characters: Vec<char> = published.chars().collect();
    for place in 0..characters.len() {
        for replacement in ['0', 'A', 'ش', '\n', ' '] {
            if characters[place] == replacement {
                continue;
            }
            let mut changed = characters.clone();
            changed[place] = replacement;
            let changed: String = changed.into_iter().collect();
            assert!(
                Checkpoint::open(&changed, ORIGIN, &key).is_err(),
                "character {place} as {replacement:?}"
            );
        }
    }
    for end in 0..characters.len() {
        let cut: String = characters[..end].iter().collect();
        assert!(Checkpoint::open(&cut, ORIGIN, &key).is_err(), "cut at {end}");
    }
}

#[test]
fn another_log_and_another_key_are_refused() {
    let published = checkpoint().sign(&signer()).unwrap().to_string();
    let key = signer().verifying_key();
    assert!(matches!(
        Checkpoint::open(&published, "other.example", &key),
        Err(CheckpointError::Origin { .. })
    ));
    let same_name = Signer::from_seed("hub.example", &[8; 32]).unwrap().verifying_key();
    assert!(matches!(
        Checkpoint::open(&published, ORIGIN, &same_name),
        Err(CheckpointError::Note(NoteError::NotSigned { .. }))
    ));
    // The same key under another name is another key.
    let same_bytes = VerifyingKey::from_public_key("other.example", key.public_key()).unwrap();
    assert_ne!(same_bytes.id(), key.id());
    assert!(Checkpoint::open(&published, ORIGIN, &same_bytes).is_err());
}

#[test]
fn cosignatures_by_unknown_keys_are_kept() {
    let mut note = checkpoint().sign(&signer()).unwrap();
    let witness = NoteSignature {
        name: "witness.example".to_owned(),
        key_id: [1, 2, 3, 4],
        bytes: vec![9; 72],
    };
    note.add(witness.clone());
    let (_, opened) = Checkpoint::open(&note.to_string(), ORIGIN, &signer().verifying_key()).unwrap();
    assert_eq!(opened.signatures().len(), 2);
    assert_eq!(opened.signatures()[1], witness);
}

#[test]
fn a_wrong_signature_is_not_hidden_by_a_right_one() {
    let mut note = checkpoint().sign(&signer()).unwrap();
    note.add(signer().sign("something else\n"));
    assert!(matches!(
        note.verify(&signer().verifying_key()),
        Err(NoteError::BadSignature { .. })
    ));
}

#[test]
fn checkpoint_texts_of_a_wrong_form_name_the_line() {
    let root = Hash::of_empty_tree().to_base64();
    let parse = |text: String| Checkpoint::from_text(&text).unwrap_err();
    assert_eq!(parse(String::new()), CheckpointError::Lines);
    assert_eq!(parse(format!("o\n1\n{root}")), CheckpointError::Lines);
    assert_eq!(parse("o\n1\n".to_owned()), CheckpointError::Lines);
    assert_eq!(parse(format!("\n1\n{root}\n")), CheckpointError::Lines);
    for size in ["", "01", "+1", "-1", "1 ", "٣", "18446744073709551616"] {
        let expected = CheckpointError::Size { text: size.to_owned() };
        assert_eq!(parse(format!("o\n{size}\n{root}\n")), expected);
    }
    for root in [
        "",
        "AAAA",
        root.trim_start_matches('4'),
        &format!("{root}="),
        &root.replace('=', ""),
    ] {
        let expected = CheckpointError::Root { text: root.to_owned() };
        assert_eq!(parse(format!("o\n1\n{root}\n")), expected);
    }
    assert_eq!(
        parse(format!("o\n1\n{root}\nx\n\n")),
        CheckpointError::Extension { line: 5 }
    );
    let largest = format!("o\n{}\n{root}\n", u64::MAX);
    assert_eq!(Checkpoint::from_text(&largest).unwrap().size, u64::MAX);
}

#[test]
fn checkpoints_that_cannot_be_written_are_refused() {
    for (origin, extension) in [("", "x"), ("a\nb", "x"), ("o", ""), ("o", "x\ny"), ("o", "x\ty")] {
        let checkpoint = Checkpoint {
            origin: origin.to_owned(),
            extensions: vec![extension.to_owned()],
            ..checkpoint()
        };
        assert!(checkpoint.sign(&signer()).is_err(), "{origin:?} {extension:?}");
    }
}

#[test]
fn notes_of_a_wrong_form_say_what_is_wrong() {
    let parse = |note: &str| SignedNote::parse(note).unwrap_err();
    assert_eq!(parse(""), NoteError::NoSignatures);
    assert_eq!(parse("text\n"), NoteError::NoSignatures);
    assert_eq!(parse("text\n\n"), NoteError::NoSignatures);
    assert_eq!(
        parse("a\nb\tc\n\n\u{2014} n AAAAAAA=\n"),
        NoteError::ControlCharacter { line: 2 }
    );
    for line in [
        "- n AAAAAAA=",
        "\u{2014} n",
        "\u{2014} n AAAA",
        "\u{2014} n+m AAAAAAA=",
        "\u{2014}  AAAAAAA=",
    ] {
        assert_eq!(
            parse(&format!("text\n\n\u{2014} n AAAAAAA=\n{line}\n")),
            NoteError::SignatureLine { line: 2 },
            "{line}"
        );
    }
    let many = format!("text\n\n{}", "\u{2014} n AAAAAAA=\n".repeat(101));
    assert_eq!(parse(&many), NoteError::TooManySignatures);
    let long = format!("{}\n\n\u{2014} n AAAAAAA=\n", "ش".repeat(600_000));
    assert!(matches!(parse(&long), NoteError::TooLong { .. }));
    assert_eq!(SignedNote::new("no line feed"), Err(NoteError::TextEnd));
}

#[test]
fn keys_of_a_wrong_form_say_what_is_wrong() {
    let parse = |text: &str| text.parse::<VerifyingKey>().unwrap_err();
    let (name_and_id, key) = GO_KEY.rsplit_once('+').unwrap();
    let with_byte = |byte: u8| {
        let mut bytes = STANDARD.decode(key).unwrap();
        bytes[0] = byte;
        format!("{name_and_id}+{}", STANDARD.encode(bytes))
    };
    assert_eq!(parse(""), KeyError::Form);
    assert_eq!(parse(name_and_id), KeyError::Form);
    assert_eq!(parse(&with_byte(2)), KeyError::Algorithm { algorithm: 2 });
    assert_eq!(
        parse(&GO_KEY.replace("Peter", "")),
        KeyError::Id {
            given: "c74f20a3".to_owned(),
            computed: VerifyingKey::from_public_key("Neumann", GO_KEY.parse::<VerifyingKey>().unwrap().public_key())
                .unwrap()
                .to_string()
                .split('+')
                .nth(1)
                .unwrap()
                .to_owned(),
        }
    );
    assert_eq!(
        parse(&format!("+c74f20a3+{key}")),
        KeyError::Name { name: String::new() }
    );
    // The neutral element: every signature by it would fit every text.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    assert_eq!(
        VerifyingKey::from_public_key("n", &neutral).unwrap_err(),
        KeyError::PublicKey
    );
    for name in ["", "a b", "a+b", "a\u{a0}b", "a\nb"] {
        assert!(Signer::from_seed(name, &[1; 32]).is_err(), "{name:?}");
    }
}
