//! The tree against published values and against `ct-merkle`, which shares no code with it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use mihwar_ledger::{
    Frontier, Hash, TILE_WIDTH, TileId, TileSet, VerifyError, consistency_proof, inclusion_proof, leaf_hash,
    subtree_root, verify_consistency, verify_inclusion,
};
use proptest::prelude::*;
use sha2::Sha256;

/// The leaves and roots of the test tree of Certificate Transparency (RFC 6962).
const PUBLISHED: [(&[u8], &str); 8] = [
    (b"", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
    (
        b"\x00",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    ),
    (
        b"\x10",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    ),
    (
        b"\x20\x21",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (
        b"\x30\x31",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    ),
    (
        b"\x40\x41\x42\x43",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    ),
    (
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    ),
    (
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ),
];

/// A tree of ours and of the oracle over the same leaves.
struct Pair {
    leaves: Vec<Vec<u8>>,
    oracle: MemoryBackedTree<Sha256, Vec<u8>>,
    tiles: TileSet,
}

impl Pair {
    fn new(leaves: Vec<Vec<u8>>) -> Self {
        let mut oracle = MemoryBackedTree::new();
        for leaf in &leaves {
            oracle.push(leaf.clone());
        }
        let tiles = tiles_of(leaves.iter().map(|leaf| leaf_hash(leaf)).collect());
        Self { leaves, oracle, tiles }
    }

    fn numbered(count: u64) -> Self {
        Self::new(
            (0..count)
                .map(|number| format!("ملاحظة {number}").into_bytes())
                .collect(),
        )
    }

    fn root_at(&self, size: u64) -> Hash {
        let mut frontier = Frontier::new();
        for leaf in &self.leaves[..usize::try_from(size).unwrap()] {
            frontier.append(leaf_hash(leaf));
        }
        frontier.root()
    }
}

/// Cuts the nodes of every eighth level into tiles.
fn tiles_of(leaves: Vec<Hash>) -> TileSet {
    let mut tiles = TileSet::new();
    let mut nodes = leaves;
    for level in 0.. {
        for (index, hashes) in (0..).zip(nodes.chunks(TILE_WIDTH)) {
            tiles.insert(TileId { level, index }, hashes.to_vec());
        }
        nodes = nodes
            .chunks_exact(TILE_WIDTH)
            .map(|full| {
                let mut frontier = Frontier::new();
                full.iter().for_each(|hash| frontier.append(*hash));
                frontier.root()
            })
            .collect();
        if nodes.is_empty() {
            break;
        }
    }
    tiles
}

fn oracle_root(root: &Hash, size: u64) -> RootHash<Sha256> {
    RootHash::new((*root.as_bytes()).into(), size)
}

fn bytes(proof: &[Hash]) -> Vec<u8> {
    proof.iter().flat_map(|hash| hash.0).collect()
}

fn hashes(proof: &[u8]) -> Vec<Hash> {
    proof.chunks(32).map(|hash| Hash::try_from(hash).unwrap()).collect()
}

#[test]
fn roots_are_the_published_ones() {
    let mut frontier = Frontier::new();
    for (leaf, root) in PUBLISHED {
        frontier.append(leaf_hash(leaf));
        assert_eq!(frontier.root().to_string(), root, "size {}", frontier.size());
    }
}

#[test]
fn every_small_proof_holds_here_and_at_the_oracle_and_theirs_hold_here() {
    for size in 1..=70_u64 {
        let pair = Pair::numbered(size);
        let root = pair.root_at(size);
        let theirs = pair.oracle.root();
        assert_eq!(theirs.as_bytes().as_slice(), root.as_bytes());
        for (index, leaf) in (0..).zip(&pair.leaves) {
            let proof = inclusion_proof(&pair.tiles, index, size).unwrap();
            verify_inclusion(&leaf_hash(leaf), index, size, &proof, &root).unwrap();
            let for_them = InclusionProof::try_from_bytes(bytes(&proof)).unwrap();
            theirs.verify_inclusion(leaf, index, &for_them).unwrap();
            let from_them = pair.oracle.prove_inclusion(usize::try_from(index).unwrap());
            assert_eq!(hashes(from_them.as_bytes()), proof);
        }
        for old in 1..size {
            let old_root = pair.root_at(old);
            let proof = consistency_proof(&pair.tiles, old, size).unwrap();
            verify_consistency(old, size, &old_root, &root, &proof).unwrap();
            let for_them = ConsistencyProof::try_from_bytes(bytes(&proof)).unwrap();
            theirs
                .verify_consistency(&oracle_root(&old_root, old), &for_them)
                .unwrap();
            let from_them = pair.oracle.prove_consistency(usize::try_from(size - old).unwrap());
            assert_eq!(hashes(from_them.as_bytes()), proof);
        }
    }
}

#[test]
fn proofs_need_a_leaf_that_exists_and_a_tree_that_grew() {
    let pair = Pair::numbered(3);
    assert!(inclusion_proof(&pair.tiles, 3, 3).is_err());
    assert!(inclusion_proof(&pair.tiles, 0, 0).is_err());
    assert!(consistency_proof(&pair.tiles, 3, 2).is_err());
    assert_eq!(consistency_proof(&pair.tiles, 0, 3), Ok(vec![]));
    assert_eq!(consistency_proof(&pair.tiles, 3, 3), Ok(vec![]));
    let root = pair.root_at(3);
    let empty = Hash::of_empty_tree();
    assert_eq!(verify_consistency(0, 3, &empty, &root, &[]), Ok(()));
    assert_eq!(verify_consistency(3, 3, &root, &root, &[]), Ok(()));
    assert!(verify_consistency(0, 3, &root, &root, &[]).is_err());
    assert!(verify_consistency(3, 3, &empty, &root, &[]).is_err());
    assert_eq!(
        verify_consistency(4, 3, &root, &root, &[]),
        Err(VerifyError::Shrunk { old: 4, new: 3 })
    );
    assert_eq!(
        verify_inclusion(&root, 3, 3, &[], &root),
        Err(VerifyError::NoSuchLeaf { index: 3, size: 3 })
    );
}

#[test]
fn a_missing_tile_is_named() {
    let pair = Pair::numbered(600);
    let mut some = TileSet::new();
    let error = inclusion_proof(&some, 0, 600).unwrap_err();
    assert_eq!(error, mihwar_ledger::ProveError::Nodes(TileId { level: 0, index: 0 }));
    // Fetching what is named, again and again, ends with the same proof.
    let mut fetched = 0;
    let proof = loop {
        match inclusion_proof(&some, 0, 600) {
            Ok(proof) => break proof,
            Err(mihwar_ledger::ProveError::Nodes(id)) => {
                let hashes = (0..id.width(600) as u64).map(|place| {
                    let level = id.level * 8;
                    let start = (id.index * 256 + place) << level;
                    subtree_root(&pair.tiles, start, start + (1 << level)).unwrap()
                });
                some.insert(id, hashes.collect());
                fetched += 1;
            }
            Err(other) => panic!("{other}"),
        }
    };
    assert_eq!(proof, inclusion_proof(&pair.tiles, 0, 600).unwrap());
    assert!(fetched <= 4, "{fetched} tiles");
}

#[test]
fn widths_of_tiles_follow_the_size() {
    let width = |level, index, size| TileId { level, index }.width(size);
    assert_eq!(width(0, 0, 0), 0);
    assert_eq!(width(0, 0, 255), 255);
    assert_eq!(width(0, 0, 256), 256);
    assert_eq!(width(0, 1, 256), 0);
    assert_eq!(width(0, 1, 257), 1);
    assert_eq!(width(1, 0, 255), 0);
    assert_eq!(width(1, 0, 65_535), 255);
    assert_eq!(width(1, 0, 65_536), 256);
    assert_eq!(width(2, 0, 65_536), 1);
    assert_eq!(width(7, 0, u64::MAX), 255);
    assert_eq!(width(8, 0, u64::MAX), 0);
    assert_eq!(width(255, u64::MAX, u64::MAX), 0);
}

fn sizes() -> impl Strategy<Value = u64> {
    // Around full tiles of two levels' edge is where tiles could go wrong.
    prop_oneof![1..40_u64, 250..262_u64, 505..520_u64, 1..1_500_u64]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn inclusion_agrees_with_the_oracle_across_tiles(size in sizes(), at in any::<prop::sample::Index>()) {
        let pair = Pair::numbered(size);
        let place = at.index(pair.leaves.len());
        let index = place as u64;
        let root = pair.root_at(size);
        prop_assert_eq!(pair.oracle.root(), oracle_root(&root, size));
        prop_assert_eq!(subtree_root(&pair.tiles, 0, size), Ok(root));
        let proof = inclusion_proof(&pair.tiles, index, size).unwrap();
        prop_assert_eq!(verify_inclusion(&leaf_hash(&pair.leaves[place]), index, size, &proof, &root), Ok(()));
        let from_them = pair.oracle.prove_inclusion(place);
        prop_assert_eq!(hashes(from_them.as_bytes()), proof);
    }

    #[test]
    fn consistency_agrees_with_the_oracle_across_tiles(new in sizes(), at in any::<prop::sample::Index>()) {
        let pair = Pair::numbered(new);
        let old = at.index(pair.leaves.len()) as u64 + 1;
        let (old_root, root) = (pair.root_at(old), pair.root_at(new));
        let proof = consistency_proof(&pair.tiles, old, new).unwrap();
        prop_assert_eq!(verify_consistency(old, new, &old_root, &root, &proof), Ok(()));
        let from_them = pair.oracle.prove_consistency(usize::try_from(new - old).unwrap());
        prop_assert_eq!(hashes(from_them.as_bytes()), proof);
    }

    #[test]
    fn a_proof_for_an_older_size_comes_from_the_same_tiles(old in 1..700_u64, grown in 0..300_u64) {
        let pair = Pair::numbered(old + grown);
        let proof = inclusion_proof(&pair.tiles, old - 1, old).unwrap();
        let leaf = leaf_hash(&pair.leaves[usize::try_from(old - 1).unwrap()]);
        prop_assert_eq!(verify_inclusion(&leaf, old - 1, old, &proof, &pair.root_at(old)), Ok(()));
    }

    #[test]
    fn any_changed_part_of_an_inclusion_proof_is_noticed(
        size in 1..300_u64,
        at in any::<prop::sample::Index>(),
        bit in any::<prop::sample::Index>(),
    ) {
        let pair = Pair::numbered(size);
        let place = at.index(pair.leaves.len());
        let (index, leaf, root) = (place as u64, leaf_hash(&pair.leaves[place]), pair.root_at(size));
        let proof = inclusion_proof(&pair.tiles, index, size).unwrap();
        let refused = |leaf: &Hash, index, size, proof: &[Hash], root: &Hash| {
            verify_inclusion(leaf, index, size, proof, root).is_err()
        };
        prop_assert!(refused(&flip(&leaf, bit), index, size, &proof, &root));
        prop_assert!(refused(&leaf, index, size, &proof, &flip(&root, bit)));
        for changed in changed_proofs(&proof, bit) {
            prop_assert!(refused(&leaf, index, size, &changed, &root));
        }
        for other in (0..size).filter(|other| *other != index) {
            prop_assert!(refused(&leaf, other, size, &proof, &root), "as leaf {}", other);
        }
    }

    #[test]
    fn any_changed_part_of_a_consistency_proof_is_noticed(
        new in 2..300_u64,
        at in any::<prop::sample::Index>(),
        bit in any::<prop::sample::Index>(),
    ) {
        let pair = Pair::numbered(new);
        let old = at.index(pair.leaves.len() - 1) as u64 + 1;
        let (old_root, new_root) = (pair.root_at(old), pair.root_at(new));
        let proof = consistency_proof(&pair.tiles, old, new).unwrap();
        prop_assert!(verify_consistency(old, new, &flip(&old_root, bit), &new_root, &proof).is_err());
        prop_assert!(verify_consistency(old, new, &old_root, &flip(&new_root, bit), &proof).is_err());
        for changed in changed_proofs(&proof, bit) {
            prop_assert!(verify_consistency(old, new, &old_root, &new_root, &changed).is_err());
        }
        // A log that changed an old entry cannot pass, whatever proof it makes.
        let mut forged = pair.leaves.clone();
        forged[0].push(b'!');
        let forged = Pair::new(forged);
        let proof = consistency_proof(&forged.tiles, old, new).unwrap();
        prop_assert!(verify_consistency(old, new, &old_root, &forged.root_at(new), &proof).is_err());
    }
}

fn flip(hash: &Hash, bit: prop::sample::Index) -> Hash {
    let mut flipped = *hash;
    let bit = bit.index(256);
    flipped.0[bit / 8] ^= 1 << (bit % 8);
    flipped
}

/// The proof with one bit changed in each place, cut short, and made longer.
fn changed_proofs(proof: &[Hash], bit: prop::sample::Index) -> Vec<Vec<Hash>> {
    let mut changed: Vec<Vec<Hash>> = (0..proof.len())
        .map(|place| {
            let mut proof = proof.to_vec();
            proof[place] = flip(&proof[place], bit);
            proof
        })
        .collect();
    changed.extend((0..proof.len()).map(|length| proof[..length].to_vec()));
    let mut longer = proof.to_vec();
    longer.push(Hash::of_empty_tree());
    changed.push(longer);
    changed
}

#[test]
fn the_example_of_the_format_description_hashes_to_what_it_says() {
    let entry: Vec<u8> = [
        &[0x83, 0x1b, 0x00, 0x00, 0x01, 0xa0, 0xc4, 0x50, 0x6c, 0x00][..],
        &[0x82, 0x03, 0x80],
        &[0x82, 0x0e, 0x81, 0x81, 0x50],
        &(0..16).collect::<Vec<u8>>(),
    ]
    .concat();
    let hash: String = leaf_hash(&entry).0.iter().map(|byte| format!("{byte:02x}")).collect();
    let page = include_str!("../../../docs/ledger-format.md");
    assert!(page.contains(&format!("leaf hash: {hash}")), "{hash}");
}
