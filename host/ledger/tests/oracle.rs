//! Notes, checkpoints, tiles and proofs against `signed_note` and `tlog_tiles`, which share no code with this crate: what
//! we write they read, and the other way round.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mihwar_ledger::{
    Checkpoint, Frontier, Hash, Node, Nodes, SignedNote, Signer, TILE_WIDTH, TileAddress, TileId, TileSet,
    VerifyingKey, consistency_proof, inclusion_proof, leaf_hash, verify_consistency, verify_inclusion,
};
use proptest::prelude::*;
use signed_note::{Note, Signer as _, StandardSigner, StandardVerifier, Verifier as _, VerifierList};
use tlog_tiles::{Tile, TileHashReader, TileReader};

const ORIGIN: &str = "hub.example/محور";
const SEED: [u8; 32] = [7; 32];
/// As many hashes lie in a tile as in 2^8 leaves.
const HEIGHT: u8 = 8;

fn signer() -> Signer {
    Signer::from_seed(ORIGIN, &SEED).unwrap()
}

/// The same key as they write it, secret part included.
fn their_signer(name: &str, seed: &[u8; 32]) -> StandardSigner {
    let key = Signer::from_seed(name, seed).unwrap().verifying_key();
    let id = u32::from_be_bytes(key.id());
    let secret = STANDARD.encode([&[1][..], seed].concat());
    StandardSigner::new(&format!("PRIVATE+KEY+{name}+{id:08x}+{secret}")).unwrap()
}

fn their_verifier(key: &VerifyingKey) -> VerifierList {
    VerifierList::new(vec![Box::new(StandardVerifier::new(&key.to_string()).unwrap())])
}

fn theirs(hash: &Hash) -> tlog_tiles::Hash {
    tlog_tiles::Hash(hash.0)
}

fn all_theirs(hashes: &[Hash]) -> Vec<tlog_tiles::Hash> {
    hashes.iter().map(theirs).collect()
}

fn all_ours(hashes: &[tlog_tiles::Hash]) -> Vec<Hash> {
    hashes.iter().map(|hash| Hash(hash.0)).collect()
}

/// A ledger of ours, whose tiles they read.
struct Ledger {
    leaves: Vec<Hash>,
    tiles: TileSet,
}

impl Ledger {
    fn of(size: usize) -> Self {
        assert!(size <= TILE_WIDTH * TILE_WIDTH);
        let leaf = |number: usize| leaf_hash(format!("ملاحظة {number}").as_bytes());
        let leaves: Vec<Hash> = (0..size).map(leaf).collect();
        let mut tiles = TileSet::new();
        let mut level_one = Vec::new();
        for (index, hashes) in (0..).zip(leaves.chunks(TILE_WIDTH)) {
            tiles.insert(TileId { level: 0, index }, hashes.to_vec());
            if hashes.len() == TILE_WIDTH {
                level_one.push(root(hashes));
            }
        }
        tiles.insert(TileId { level: 1, index: 0 }, level_one);
        Self { leaves, tiles }
    }

    fn size(&self) -> u64 {
        self.leaves.len() as u64
    }

    fn root_at(&self, size: u64) -> Hash {
        root(&self.leaves[..usize::try_from(size).unwrap()])
    }

    fn reader(&self) -> TileHashReader<'_> {
        TileHashReader::new(self.size(), theirs(&self.root_at(self.size())), self)
    }
}

fn root(leaves: &[Hash]) -> Hash {
    let mut frontier = Frontier::new();
    leaves.iter().for_each(|leaf| frontier.append(*leaf));
    frontier.root()
}

impl TileReader for Ledger {
    fn height(&self) -> u8 {
        HEIGHT
    }

    /// Finds each tile under the address that its path gives, as a reader over HTTP would.
    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        let read = |tile: &Tile| -> Vec<u8> {
            let path = tile.path();
            let (level, address) = path.strip_prefix("tile/8/").unwrap().split_once('/').unwrap();
            let level: u8 = level.parse().unwrap();
            let TileAddress { index, width } = TileAddress::parse(address).unwrap();
            let start = index * TILE_WIDTH as u64;
            let node = |place: usize| Node {
                level: level * HEIGHT,
                index: start + place as u64,
            };
            let hashes = (0..width).map(|place| self.tiles.node(node(place)).unwrap());
            hashes.flat_map(|hash| hash.0).collect()
        };
        Ok(tiles.iter().map(read).collect())
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

#[test]
fn they_open_our_checkpoint_and_we_open_theirs() {
    let checkpoint = Checkpoint {
        origin: ORIGIN.to_owned(),
        size: 20_852_163,
        root: leaf_hash("شكوى".as_bytes()),
        extensions: vec!["سطر".to_owned()],
    };
    let published = checkpoint.sign(&signer()).unwrap().to_string();
    let note = Note::from_bytes(published.as_bytes()).unwrap();
    let (verified, unknown) = note.verify(&their_verifier(&signer().verifying_key())).unwrap();
    assert_eq!((verified.len(), unknown.len()), (1, 0));
    let read = tlog_tiles::Checkpoint::from_bytes(note.text()).unwrap();
    assert_eq!((read.origin(), read.size()), (ORIGIN, checkpoint.size));
    assert_eq!(read.hash().0, checkpoint.root.0);
    assert_eq!(read.extension(), "سطر\n");

    let made = tlog_tiles::Checkpoint::new(ORIGIN, 20_852_163, theirs(&checkpoint.root), "سطر\n").unwrap();
    let mut note = Note::new(&made.to_bytes(), &[]).unwrap();
    note.add_sigs(&[&their_signer(ORIGIN, &SEED)]).unwrap();
    let text = String::from_utf8(note.to_bytes()).unwrap();
    assert_eq!(text, published);
    let (opened, _) = Checkpoint::open(&text, ORIGIN, &signer().verifying_key()).unwrap();
    assert_eq!(opened, checkpoint);
}

#[test]
fn a_witness_of_theirs_cosigns_our_checkpoint_and_both_signatures_hold_at_both() {
    let checkpoint = Checkpoint {
        origin: ORIGIN.to_owned(),
        size: 3,
        root: Ledger::of(3).root_at(3),
        extensions: Vec::new(),
    };
    let published = checkpoint.sign(&signer()).unwrap().to_string();
    let witness = their_signer("witness.example", &[9; 32]);
    let mut note = Note::from_bytes(published.as_bytes()).unwrap();
    note.add_sigs(&[&witness]).unwrap();
    let cosigned = String::from_utf8(note.to_bytes()).unwrap();
    let (opened, kept) = Checkpoint::open(&cosigned, ORIGIN, &signer().verifying_key()).unwrap();
    assert_eq!((opened, kept.signatures().len()), (checkpoint, 2));
    assert_eq!(kept.to_string(), cosigned);
    let witness_key = Signer::from_seed("witness.example", &[9; 32]).unwrap().verifying_key();
    assert_eq!(u32::from_be_bytes(witness_key.id()), witness.key_id());
    assert_eq!(SignedNote::parse(&cosigned).unwrap().verify(&witness_key), Ok(()));
    let (verified, unknown) = note.verify(&their_verifier(&witness_key)).unwrap();
    assert_eq!((verified.len(), unknown.len()), (1, 1));
}

#[test]
fn keys_are_written_alike() {
    let ours = signer().verifying_key();
    let verifier = StandardVerifier::new(&ours.to_string()).unwrap();
    assert_eq!(
        (verifier.name(), verifier.key_id()),
        (ORIGIN, u32::from_be_bytes(ours.id()))
    );
    let text = "كلام موقّع\n";
    assert!(verifier.verify(text.as_bytes(), &signer().sign(text).bytes));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn proofs_agree_across_tiles_in_both_directions(
        size in prop_oneof![1..40_usize, 250..262_usize, 505..800_usize],
        at in any::<prop::sample::Index>(),
    ) {
        let ledger = Ledger::of(size);
        let (size, reader) = (ledger.size(), ledger.reader());
        let root = ledger.root_at(size);
        let place = at.index(ledger.leaves.len());
        let (index, leaf) = (place as u64, ledger.leaves[place]);

        let proof = inclusion_proof(&ledger.tiles, index, size).unwrap();
        let from_them = tlog_tiles::prove_record(size, index, &reader).unwrap();
        prop_assert_eq!(&all_ours(&from_them), &proof);
        prop_assert!(tlog_tiles::check_record(&all_theirs(&proof), size, theirs(&root), index, theirs(&leaf)).is_ok());
        prop_assert_eq!(verify_inclusion(&leaf, index, size, &all_ours(&from_them), &root), Ok(()));

        let old = index + 1;
        let old_root = ledger.root_at(old);
        let proof = consistency_proof(&ledger.tiles, old, size).unwrap();
        let from_them = tlog_tiles::prove_tree(size, old, &reader).unwrap();
        prop_assert_eq!(&all_ours(&from_them), &proof);
        prop_assert!(tlog_tiles::check_tree(&all_theirs(&proof), size, theirs(&root), old, theirs(&old_root)).is_ok());
        prop_assert_eq!(verify_consistency(old, size, &old_root, &root, &all_ours(&from_them)), Ok(()));
        prop_assert_eq!(tlog_tiles::tree_hash(size, &reader).unwrap().0, root.0);
    }

    #[test]
    fn addresses_of_tiles_are_written_alike(index in any::<u64>(), width in 1..=256_usize) {
        // Theirs counts the leaves before a tile in 64 bits.
        let index = index >> 8;
        let their_tile = Tile::new(HEIGHT, 3, index, u32::try_from(width).unwrap(), false);
        let ours = TileAddress { index, width }.to_string();
        prop_assert_eq!(their_tile.path(), format!("tile/8/3/{ours}"));
        let read = Tile::from_path(&format!("tile/8/3/{ours}"));
        prop_assert!(read.is_ok_and(|tile| tile == their_tile));
    }
}
