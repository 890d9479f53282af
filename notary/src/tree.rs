//! The Merkle tree over the log: its root, computed while the digests stream by (RFC 6962, section 2.1; RFC 9162).

use sha2::{Digest as _, Sha256};

/// A node of the tree: a leaf hash (the digest of a record) or the hash of two nodes.
pub type Node = [u8; 32];

/// The right edge of a growing tree, from which its root follows. It keeps one node per complete subtree, so at most 64, however long the log is.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    size: u64,
    subtrees: Vec<Node>,
}

impl Tree {
    /// The tree of `size` leaves whose largest complete subtrees, from left to right, have these roots: to go on without the
    /// leaves. None if that is not one root for each bit of the size.
    pub fn resume(size: u64, subtrees: Vec<Node>) -> Option<Self> {
        (subtrees.len() == size.count_ones() as usize).then_some(Self { size, subtrees })
    }

    /// Adds the next leaf, which must already be a leaf hash, as the digests of records are.
    pub fn push(&mut self, leaf: Node) {
        let mut node = leaf;
        // Each trailing one bit of the size is a complete subtree that the new leaf completes a larger one with.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.subtrees.pop() {
                node = parent(left, node);
            }
        }
        self.subtrees.push(node);
        self.size += 1;
    }

    /// How many leaves the tree has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root: the hash of all leaves in order; the SHA-256 of nothing for an empty tree.
    pub fn root(&self) -> Node {
        let mut subtrees = self.subtrees.iter().rev().copied();
        let Some(last) = subtrees.next() else { return Sha256::digest([]).into() };
        subtrees.fold(last, |right, left| parent(left, right))
    }
}

/// The hash of two nodes.
pub(crate) fn parent(left: Node, right: Node) -> Node {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// Lower-case hexadecimal.
pub fn hex(node: &Node) -> String {
    node.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads 64 hexadecimal digits; `None` for anything else.
pub fn from_hex(text: &str) -> Option<Node> {
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut node = Node::default();
    for (byte, digits) in node.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(node)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The leaves and heads that implementations of RFC 6962 test each other with (certificate-transparency).
    const LEAVES: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    const HEADS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    fn leaf(data: &[u8]) -> Node {
        Sha256::new().chain_update([0]).chain_update(data).finalize().into()
    }

    #[test]
    fn the_head_is_that_of_the_reference_trees_at_every_size() {
        let mut tree = Tree::default();
        assert_eq!(hex(&tree.root()), HEADS[0]);
        for (data, head) in LEAVES.iter().zip(&HEADS[1..]) {
            tree.push(leaf(data));
            assert_eq!(hex(&tree.root()), *head, "of {} leaves", tree.size());
        }
    }

    #[test]
    fn a_hash_reads_back_what_it_prints() {
        let node = leaf(b"tea");
        assert_eq!(from_hex(&hex(&node)), Some(node));
        assert_eq!((from_hex("ff"), from_hex(&"g".repeat(64)), from_hex(&"é".repeat(32))), (None, None, None));
    }
}
