//! Block masks whose form is known before they are drawn: a spec holds the form, the words come with the inputs.

use std::ops::Range;

use wgpu_attention::{BlockForm, BlockMask, Seen, Shape};

/// What the blocks of [`block_words`] are: a quarter whole, a quarter empty, the rest in part.
fn seen_of(head: u32, row: u32, column: u32) -> Seen {
    match (3 * head + row + 2 * column) % 4 {
        0 => Seen::All,
        1 => Seen::None,
        _ => Seen::Some,
    }
}

/// The form of such masks for a shape.
pub(crate) fn block_form(shape: &Shape, block: u32, own: bool) -> BlockForm {
    let heads = if own { shape.q_heads } else { 1 };
    let [rows, columns] = [shape.q_len, shape.kv_len].map(|len| len.div_ceil(block));
    let all = (0..heads).flat_map(|h| (0..rows).flat_map(move |row| (0..columns).map(move |column| (h, row, column))));
    let partial = all.filter(|&(h, row, column)| seen_of(h, row, column) == Seen::Some).count() as u32;
    BlockForm { q_len: shape.q_len, kv_len: shape.kv_len, block, heads, partial }
}

/// A block mask; one in four is of words that mean nothing.
pub(crate) fn block_words(form: BlockForm, rng: &mut fastrand::Rng) -> Vec<u32> {
    let BlockForm { q_len, kv_len, block, .. } = form;
    let seed = rng.u64(..);
    if rng.u32(..4) == 0 {
        let small = |n: u32| if n.is_multiple_of(3) { n } else { n % (form.partial + 2) };
        return (0..form.words()).map(|_| if rng.bool() { small(rng.u32(..)) } else { rng.u32(..) }).collect();
    }
    let mask = |h: u32| {
        let pair = |i: u32, j: u32| {
            fastrand::Rng::with_seed(seed ^ u64::from(h) << 60 ^ u64::from(i) << 30 ^ u64::from(j)).bool()
        };
        let look = |rows: Range<u32>, keys: Range<u32>| seen_of(h, rows.start / block, keys.start / block);
        BlockMask::of_blocks([q_len, kv_len], block, look, pair).expect("a legal form")
    };
    let masks: Vec<_> = (0..form.heads).map(mask).collect();
    let mask = BlockMask::of_heads(&masks).expect("they are alike").with_room(form.partial).expect("a legal form");
    assert_eq!(mask.form(), form);
    mask.words().to_vec()
}
