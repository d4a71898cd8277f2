//! Receipts and consistency proofs: what holds, and that nothing else does.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use mihwar_ledger::{
    Checkpoint, Consistency, DocumentError, EvidenceError, Frontier, Hash, Inclusion, Nodes, NoteError, Receipt,
    Signer, TILE_WIDTH, TileId, TileSet, consistency_proof, document_format, inclusion_proof, leaf_hash,
};
use proptest::prelude::*;

const ORIGIN: &str = "محور.example/ledger";

fn signer() -> Signer {
    Signer::from_seed(ORIGIN, &[7; 32]).unwrap()
}

/// A ledger of few entries, in one tile.
struct Ledger {
    events: Vec<Vec<u8>>,
    tiles: TileSet,
    signer: Signer,
}

impl Ledger {
    fn of(events: Vec<Vec<u8>>) -> Self {
        assert!(events.len() < TILE_WIDTH);
        let mut tiles = TileSet::new();
        let leaves = events.iter().map(|event| leaf_hash(event)).collect();
        tiles.insert(TileId { level: 0, index: 0 }, leaves);
        Self {
            events,
            tiles,
            signer: signer(),
        }
    }

    fn numbered(count: usize) -> Self {
        let event = |number: usize| format!("شكوى رقم {number}").into_bytes();
        Self::of((0..count).map(event).collect())
    }

    fn checkpoint(&self, size: usize) -> Checkpoint {
        let mut frontier = Frontier::new();
        for event in &self.events[..size] {
            frontier.append(leaf_hash(event));
        }
        Checkpoint {
            origin: ORIGIN.to_owned(),
            size: size as u64,
            root: frontier.root(),
            extensions: Vec::new(),
        }
    }

    fn receipt(&self, indices: &[usize], size: usize) -> Receipt {
        let inclusion = |index: &usize| Inclusion {
            index: *index as u64,
            event: self.events[*index].clone(),
            audit_path: inclusion_proof(&self.tiles, *index as u64, size as u64).unwrap(),
        };
        Receipt {
            feedback: "01990000-0000-7000-8000-000000000000".to_owned(),
            key: self.signer.verifying_key(),
            checkpoint: self.checkpoint(size).sign(&self.signer).unwrap(),
            entries: indices.iter().map(inclusion).collect(),
        }
    }

    fn consistency(&self, old: usize, new: usize) -> Consistency {
        Consistency {
            key: self.signer.verifying_key(),
            old: self.checkpoint(old).sign(&self.signer).unwrap(),
            new: self.checkpoint(new).sign(&self.signer).unwrap(),
            proof: consistency_proof(&self.tiles, old as u64, new as u64).unwrap(),
        }
    }
}

#[test]
fn a_receipt_is_read_as_it_was_written_and_holds() {
    let ledger = Ledger::numbered(11);
    let receipt = ledger.receipt(&[4, 2, 10], 11);
    for text in [receipt.to_json().unwrap(), receipt.to_short_json().unwrap()] {
        let read = Receipt::from_json(text.as_bytes()).unwrap();
        assert_eq!(read, receipt);
        assert_eq!(read.verify(&signer().verifying_key()), Ok(ledger.checkpoint(11)));
    }
    assert_eq!(receipt.to_short_json().unwrap().lines().count(), 1);
    let first = receipt.of_first_entry();
    assert_eq!((first.entries.len(), first.entries[0].index), (1, 4));
    assert!(first.verify(&signer().verifying_key()).is_ok());
    let format = document_format(receipt.to_json().unwrap().as_bytes());
    assert_eq!(format.unwrap().as_deref(), Some("mihwar-receipt/1"));
}

#[test]
fn a_receipt_holds_against_its_own_a_later_and_an_earlier_checkpoint_and_no_other() {
    let ledger = Ledger::numbered(20);
    let key = signer().verifying_key();
    let receipt = ledger.receipt(&[4], 11);
    let against = |held: &Checkpoint, bridge: Option<&Consistency>| receipt.verify_against(&key, held, bridge);
    assert!(against(&ledger.checkpoint(11), None).is_ok());
    let unconnected = |old, new| Err(EvidenceError::Unconnected { old, new });
    assert_eq!(against(&ledger.checkpoint(20), None), unconnected(11, 20));
    assert_eq!(against(&ledger.checkpoint(7), None), unconnected(7, 11));
    assert!(against(&ledger.checkpoint(20), Some(&ledger.consistency(11, 20))).is_ok());
    assert!(against(&ledger.checkpoint(7), Some(&ledger.consistency(7, 11))).is_ok());
    assert_eq!(
        against(&ledger.checkpoint(20), Some(&ledger.consistency(11, 19))),
        unconnected(11, 20)
    );
    let shorter = EvidenceError::Shorter { index: 4, size: 4 };
    assert_eq!(
        against(&ledger.checkpoint(4), Some(&ledger.consistency(4, 11))),
        Err(shorter)
    );
}

#[test]
fn a_history_that_was_rewritten_is_told_although_it_holds_in_itself() {
    let (ledger, key) = (Ledger::numbered(20), signer().verifying_key());
    let mut events = ledger.events.clone();
    events[3] = "تقييم جيد جدا".into();
    let rewritten = Ledger::of(events);
    let receipt = rewritten.receipt(&[4], 11);
    assert!(receipt.verify(&key).is_ok());
    assert_eq!(
        receipt.verify_against(&key, &ledger.checkpoint(11), None),
        Err(EvidenceError::Forked { size: 11 })
    );
    let bridge = rewritten.consistency(11, 20);
    assert!(bridge.verify(&key).is_ok());
    assert_eq!(
        receipt.verify_against(&key, &ledger.checkpoint(20), Some(&bridge)),
        Err(EvidenceError::Forked { size: 20 })
    );
    // What connects an old checkpoint of the one history with a new one of the other does not exist.
    let forged = Consistency {
        old: ledger.consistency(11, 20).old,
        ..rewritten.consistency(11, 20)
    };
    assert!(matches!(
        forged.verify(&key),
        Err(EvidenceError::Growth { old: 11, new: 20, .. })
    ));
}

#[test]
fn another_key_another_ledger_and_another_event_are_refused() {
    let ledger = Ledger::numbered(9);
    let (receipt, key) = (ledger.receipt(&[4], 9), signer().verifying_key());
    let other_key = Signer::from_seed(ORIGIN, &[8; 32]).unwrap();
    let refused = receipt.verify(&other_key.verifying_key()).unwrap_err();
    assert!(matches!(refused, EvidenceError::Checkpoint { .. }), "{refused}");
    let not_signed = NoteError::NotSigned { key: String::new() }.to_string();
    assert!(refused.to_string().contains(not_signed.trim_end()), "{refused}");
    let elsewhere = Checkpoint {
        origin: "other.example/ledger".to_owned(),
        ..ledger.checkpoint(9)
    };
    assert!(matches!(
        receipt.verify_against(&key, &elsewhere, None),
        Err(EvidenceError::OtherLedger { .. })
    ));
    let mut swapped = receipt.clone();
    swapped.entries[0].event = "شيء آخر".into();
    assert!(matches!(
        swapped.verify(&key),
        Err(EvidenceError::Entry { index: 4, .. })
    ));
    let mut moved = receipt;
    moved.entries[0].index = 5;
    assert!(matches!(moved.verify(&key), Err(EvidenceError::Entry { index: 5, .. })));
}

#[test]
fn a_wrong_document_says_what_is_wrong_with_it() {
    let receipt = Ledger::numbered(9).receipt(&[4], 9);
    let text = receipt.to_json().unwrap();
    let read = |text: &str| Receipt::from_json(text.as_bytes()).unwrap_err();
    for cut in [0, 1, text.len() / 2, text.len() - 3] {
        assert!(
            matches!(read(text.get(..cut).unwrap_or_default()), DocumentError::Cut { .. }),
            "{cut}"
        );
    }
    let expected = "mihwar-receipt/1";
    assert_eq!(read("<html>"), DocumentError::NotJson { line: 1, column: 1 });
    for foreign in ["{}", "[]", "7", "{\"format\":7}", "{\"format\":\"شهادة\"}"] {
        assert_eq!(read(foreign), DocumentError::Foreign { expected }, "{foreign}");
    }
    let found = "mihwar-receipt/2".to_owned();
    assert_eq!(
        read(&text.replace("mihwar-receipt/1", "mihwar-receipt/2")),
        DocumentError::Version { found, expected }
    );
    let consistency = Ledger::numbered(9).consistency(4, 9).to_json().unwrap();
    assert_eq!(read(&consistency), DocumentError::Foreign { expected });
    let leaf = leaf_hash(&receipt.entries[0].event).to_base64();
    let (leaf, other_leaf) = (leaf.as_str(), Hash::of_empty_tree().to_base64());
    for (from, to, named) in [
        ("\"index\"", "\"idx\"", "idx"),
        ("\"index\": 4", "\"index\": -4", "-4"),
        ("\"feedback\"", "\"name\": \"هدى\", \"feedback\"", "name"),
        (leaf, other_leaf.as_str(), "entries[0].leaf_hash"),
        (leaf, "ليس تجزئة", "entries[0].leaf_hash"),
        ("\"event\": \"", "\"event\": \"?", "entries[0].event"),
        (ORIGIN, "", "verifier_key"),
    ] {
        let wrong = read(&text.replacen(from, to, 1));
        assert!(matches!(wrong, DocumentError::Field { .. }), "{to}: {wrong}");
        assert!(wrong.to_string().contains(named), "{to}: {wrong}");
    }
    let nothing = Receipt {
        entries: Vec::new(),
        ..receipt
    };
    assert!(read(&nothing.to_json().unwrap()).to_string().contains("0 of them"));
    let huge = " ".repeat(8_000_001);
    assert!(matches!(read(&huge), DocumentError::TooLong { .. }));
}

#[test]
fn a_consistency_proof_is_read_as_it_was_written_and_its_paths_are_bounded() {
    let proof = Ledger::numbered(20).consistency(7, 20);
    let text = proof.to_json().unwrap();
    assert_eq!(Consistency::from_json(text.as_bytes()), Ok(proof.clone()));
    let long = Consistency {
        proof: vec![Hash::of_empty_tree(); 66],
        ..proof.clone()
    };
    let refused = Consistency::from_json(long.to_json().unwrap().as_bytes()).unwrap_err();
    assert!(refused.to_string().contains("66 hashes"), "{refused}");
    let turned = Consistency {
        old: proof.new.clone(),
        new: proof.old.clone(),
        ..proof
    };
    assert!(matches!(
        turned.verify(&signer().verifying_key()),
        Err(EvidenceError::Growth { .. })
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_changed_character_of_a_receipt_goes_unnoticed(
        size in 1..40_usize,
        at in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        to in prop_oneof![Just('0'), Just('A'), Just('"'), Just('ش'), Just(' ')],
    ) {
        let ledger = Ledger::numbered(size);
        let receipt = ledger.receipt(&[at.index(size)], size);
        let characters: Vec<char> = receipt.to_short_json().unwrap().chars().collect();
        let place = place.index(characters.len());
        let mut changed = characters.clone();
        changed[place] = to;
        let changed: String = changed.into_iter().collect();
        let key = signer().verifying_key();
        if let Ok(read) = Receipt::from_json(changed.as_bytes()) {
            // What the entries tell of is for the reader of the events to compare; all else is bound.
            let same = Receipt { feedback: receipt.feedback.clone(), ..read.clone() } == receipt;
            prop_assert!(same || read.verify(&key).is_err(), "{}", changed);
        }
    }

    #[test]
    fn no_bytes_end_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Receipt::from_json(&bytes).is_err());
        prop_assert!(Consistency::from_json(&bytes).is_err());
    }
}

/// Of a ledger in one tile, so that `Nodes` is seen to be all that a prover needs.
#[test]
fn proofs_are_made_from_hashes_alone() {
    let ledger = Ledger::numbered(5);
    let node = mihwar_ledger::Node { level: 0, index: 3 };
    assert_eq!(ledger.tiles.node(node), Ok(leaf_hash(&ledger.events[3])));
}
