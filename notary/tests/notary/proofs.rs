//! Proofs of every leaf and every older tree of all sizes to 300, and that no changed one is believed.

use notary::{Hashes, ProofError, TileError, check_consistency, check_inclusion, consistency, inclusion, root};
use proptest::{prelude::any, prop_assert_eq, prop_assert_ne, prop_assume, proptest};

use crate::facts::{leaf, leaves};

/// Sizes at which tiles end, beside all small ones.
fn sizes() -> impl Iterator<Item = u64> {
    (1..=300).chain([511, 512, 513, 65_535, 65_536, 65_537])
}

#[test]
fn every_leaf_of_every_tree_is_proved() {
    let all = leaves(65_537);
    for size in sizes() {
        let root = root(&all, size).unwrap();
        let step = if size <= 300 { 1 } else { 97 };
        for index in (0..size).step_by(step).chain([size - 1]) {
            let path = inclusion(&all, index, size).unwrap();
            assert_eq!(check_inclusion(leaf(index), index, size, &path, root), Ok(()), "{index} of {size}");
            assert_ne!(check_inclusion(leaf(index + 1), index, size, &path, root), Ok(()));
        }
        assert!(matches!(inclusion(&all, size, size), Err(TileError::Outside { .. })));
    }
}

#[test]
fn every_tree_is_proved_to_begin_with_every_older_one() {
    let all = leaves(65_537);
    let roots: Vec<_> = (0..=300).map(|size| root(&all, size).unwrap()).collect();
    for new in sizes() {
        let new_root = root(&all, new).unwrap();
        for old in 0..=new.min(300) {
            let path = consistency(&all, old, new).unwrap();
            let old_root = roots[usize::try_from(old).unwrap()];
            assert_eq!(check_consistency((old, old_root), (new, new_root), &path), Ok(()), "{old} of {new}");
        }
        assert!(matches!(consistency(&all, new + 1, new), Err(TileError::Outside { .. })));
    }
    let empty = roots[0];
    assert_eq!(check_consistency((0, [1; 32]), (1, roots[1]), &[]), Err(ProofError::OldRoot));
    assert_eq!(check_consistency((0, empty), (0, [1; 32]), &[]), Err(ProofError::Root));
    assert_eq!(check_consistency((2, roots[2]), (1, roots[1]), &[]), Err(ProofError::Outside { asked: 2, size: 1 }));
}

proptest! {
    /// A proof that is cut, made longer, changed in a bit, or about another leaf or size proves nothing.
    #[test]
    fn a_changed_proof_of_a_leaf_is_refused(size in 1u64..300, at in any::<u64>(), bit in 0usize..256, place in any::<usize>()) {
        let (all, index) = (leaves(size), at % size);
        let (root, path) = (root(&all, size).unwrap(), inclusion(&all, index, size).unwrap());
        prop_assert_eq!(check_inclusion(leaf(index), index, size, &path, root), Ok(()));
        let mut longer = path.clone();
        longer.insert(place % (path.len() + 1), leaf(at));
        prop_assert_ne!(check_inclusion(leaf(index), index, size, &longer, root), Ok(()));
        for other in (0..size).filter(|other| *other != index) {
            prop_assert_ne!(check_inclusion(leaf(index), other, size, &path, root), Ok(()));
        }
        prop_assume!(!path.is_empty());
        let (mut flipped, mut shorter) = (path.clone(), path.clone());
        flipped[place % path.len()][bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(check_inclusion(leaf(index), index, size, &flipped, root), Err(ProofError::Root));
        shorter.remove(place % path.len());
        prop_assert_ne!(check_inclusion(leaf(index), index, size, &shorter, root), Ok(()));
    }

    #[test]
    fn a_changed_proof_of_an_older_tree_is_refused(new in 2u64..300, at in any::<u64>(), bit in 0usize..256, place in any::<usize>()) {
        let (all, old) = (leaves(new), 1 + at % (new - 1));
        let (was, is) = (root(&all, old).unwrap(), root(&all, new).unwrap());
        let path = consistency(&all, old, new).unwrap();
        prop_assert_eq!(check_consistency((old, was), (new, is), &path), Ok(()));
        let (mut flipped, mut shorter, mut longer) = (path.clone(), path.clone(), path.clone());
        flipped[place % path.len()][bit / 8] ^= 1 << (bit % 8);
        prop_assert_ne!(check_consistency((old, was), (new, is), &flipped), Ok(()));
        shorter.remove(place % path.len());
        prop_assert_ne!(check_consistency((old, was), (new, is), &shorter), Ok(()));
        longer.insert(place % (path.len() + 1), leaf(at));
        prop_assert_ne!(check_consistency((old, was), (new, is), &longer), Ok(()));
        prop_assert_ne!(check_consistency((old, leaf(at)), (new, is), &path), Ok(()));
        prop_assert_ne!(check_consistency((old, was), (new, leaf(at)), &path), Ok(()));
    }
}

#[test]
fn a_tile_that_is_not_there_is_an_error_and_no_shorter_proof() {
    struct Nothing;
    impl Hashes for Nothing {
        fn tile(&self, tile: notary::Tile) -> Result<Vec<notary::Node>, TileError> {
            Err(TileError::Missing(tile))
        }
    }
    assert!(matches!(inclusion(&Nothing, 0, 2), Err(TileError::Missing(_))));
    assert!(matches!(consistency(&Nothing, 1, 2), Err(TileError::Missing(_))));
}
