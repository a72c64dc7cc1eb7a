//! Block masks: each constructor against its predicate by brute force, the format, and what is refused.

use wgpu_attention::{BlockForm, BlockMask, Error, Pattern, Seen};

const LENS: [[u32; 2]; 5] = [[1, 1], [16, 16], [100, 100], [70, 130], [150, 33]];

/// Every pair of a mask is what the predicate says, and blocks are kept as whole, in part or not by what they hold.
fn compare(what: &str, mask: &BlockMask, sees: impl Fn(u32, u32) -> bool) {
    let BlockForm { q_len, kv_len, block, .. } = mask.form();
    let (mut kept, mut partial) = (0, 0);
    for (row, column) in (0..q_len.div_ceil(block)).flat_map(|row| (0..kv_len.div_ceil(block)).map(move |c| (row, c))) {
        let rows = row * block..(row * block + block).min(q_len);
        let keys = column * block..(column * block + block).min(kv_len);
        let (mut seen, mut pairs) = (0, 0);
        for (i, j) in rows.flat_map(|i| keys.clone().map(move |j| (i, j))) {
            assert_eq!(mask.sees(0, i, j), sees(i, j), "{what}, {i} {j}, {:?}", mask.form());
            seen += u32::from(sees(i, j));
            pairs += 1;
        }
        kept += u64::from(seen > 0);
        partial += u32::from(seen > 0 && seen < pairs);
    }
    assert_eq!((mask.kept(), mask.partial()), (kept, partial), "{what}, {:?}", mask.form());
    assert_eq!(mask.form().partial, partial);
    assert_eq!(mask.words().len() as u64, mask.form().words());
    assert!(!mask.sees(0, q_len, 0) && !mask.sees(0, 0, kv_len), "what does not exist is not seen");
}

fn every(check: impl Fn([u32; 2], u32)) {
    LENS.into_iter().for_each(|lens| [16, 32, 64, 128, 256].into_iter().for_each(|block| check(lens, block)));
}

#[test]
fn any_predicate_is_exact() {
    type Predicate = fn(u32, u32) -> bool;
    let predicates: [(&str, Predicate); 4] = [
        ("all", |_, _| true),
        ("none", |_, _| false),
        ("some", |i, j| (i * 31 + j * 17) % 23 < 9),
        ("one block", |i, j| (16..32).contains(&i) && (0..16).contains(&j)),
    ];
    for (what, sees) in predicates {
        every(|lens, block| compare(what, &BlockMask::of(lens, block, sees).expect("legal sizes"), sees));
    }
}

#[test]
fn patterns_are_their_predicates() {
    let check = |pattern: Pattern, sees: &dyn Fn(u32, u32) -> bool| {
        every(|lens, block| {
            compare(&format!("{pattern:?}"), &BlockMask::pattern(lens, block, pattern).expect("legal sizes"), sees);
        });
    };
    for (window, globals) in [(0, 0), (5, 3), (40, 0), (16, 40), (u32::MAX, 0), (0, u32::MAX)] {
        check(Pattern::LocalGlobalRandom { window, globals, random: 0, seed: 1 }, &|i, j| {
            i < globals || j < globals || i.abs_diff(j) <= window
        });
    }
    for (local, stride) in [(0, 1), (3, 7), (5, 0), (2, 40), (20, 64), (0, u32::MAX)] {
        check(Pattern::Strided { local, stride }, &|i, j| {
            let far = i.abs_diff(j);
            far <= local || (stride > 0 && far.is_multiple_of(stride))
        });
    }
    for prefix in [0, 1, 40, u32::MAX] {
        check(Pattern::PrefixLm { prefix }, &|i, j| j < prefix || j <= i);
    }
}

#[test]
fn documents_see_themselves() {
    for (lens, block) in [(&[100][..], 16), (&[3, 0, 40, 16, 1], 16), (&[64, 64, 10], 64), (&[1; 70], 32)] {
        let of = |i: u32| {
            let mut left = i;
            lens.iter().take_while(|&&len| left.checked_sub(len).inspect(|&less| left = less).is_some()).count()
        };
        let mask = BlockMask::documents(lens, block).expect("legal sizes");
        assert_eq!(mask.form().q_len, lens.iter().sum::<u32>());
        compare("documents", &mask, |i, j| of(i) == of(j));
    }
}

/// Of each block of queries so many whole blocks, and another draw for another seed.
#[test]
fn random_blocks_are_whole_and_as_many_as_asked_for() {
    let drawn = |random, seed| {
        let pattern = Pattern::LocalGlobalRandom { window: 0, globals: 0, random, seed };
        BlockMask::pattern([320, 480], 32, pattern).expect("legal sizes")
    };
    for random in [1, 4, 15, 99] {
        let mask = drawn(random, 7);
        for row in 0..10 {
            let whole = |&column: &u32| {
                let mut pairs = (0..32).flat_map(|i| (0..32).map(move |j| (row * 32 + i, column * 32 + j)));
                pairs.all(|(i, j)| mask.sees(0, i, j))
            };
            assert_eq!((0..15).filter(whole).count() as u32, random.min(15));
        }
    }
    assert_eq!(drawn(4, 7), drawn(4, 7));
    assert_ne!(drawn(4, 7), drawn(4, 8));
    let seeds: Vec<_> = (0..200).map(|seed| drawn(1, seed)).collect();
    for column in 0..15 {
        let hits = seeds.iter().filter(|mask| mask.sees(0, 1, column * 32 + 9)).count();
        assert!((3..30).contains(&hits), "block {column} is drawn {hits} times of 200, 13 expected");
    }
}

#[test]
fn edges_are_what_is_seen() {
    let mut rng = fastrand::Rng::with_seed(3);
    every(|lens, block| {
        let mut rng = rng.clone();
        let mut edges: Vec<_> = (0..200).map(|_| (rng.u32(..lens[0]), rng.u32(..lens[1]))).collect();
        // One block of all its pairs.
        edges.extend((0..16.min(lens[0])).flat_map(|i| (0..16.min(lens[1])).map(move |j| (i, j))));
        let mask = BlockMask::edges(lens, block, &edges).expect("legal edges");
        compare("edges", &mask, |i, j| edges.contains(&(i, j)));
    });
    rng.u32(..);
    compare("no edges", &BlockMask::edges([40, 50], 16, &[]).expect("legal"), |_, _| false);
}

#[test]
fn blocks_are_asked_before_pairs() {
    let asked = std::cell::Cell::new(0);
    let mask = BlockMask::of_blocks(
        [64, 64],
        16,
        |rows, keys| match (rows.start / 16, keys.start / 16) {
            (row, column) if row == column => Seen::Some,
            (0, _) => Seen::All,
            _ => Seen::None,
        },
        |i, j| {
            asked.set(asked.get() + 1);
            j <= i
        },
    )
    .expect("legal sizes");
    compare("blocks", &mask, |i, j| if i / 16 == j / 16 { j <= i } else { i < 16 });
    assert_eq!(asked.get(), 4 * 256, "only pairs of four blocks");
    assert_eq!((mask.kept(), mask.partial(), mask.blocks(), mask.density()), (7, 4, 16, 7.0 / 16.0));
}

/// Room for more changes what a plan knows, and no pair.
#[test]
fn masks_of_one_form_differ() {
    let causal = BlockMask::of([70, 70], 16, |i, j| j <= i).expect("legal sizes");
    let wide = causal.clone().with_room(9).expect("legal");
    assert_eq!((causal.partial(), wide.partial(), wide.form().partial), (5, 5, 9));
    assert_eq!(causal.clone().with_room(2).expect("legal"), causal, "no less than it has");
    compare_pairs(&wide, |_, i, j| j <= i);
    let other = BlockMask::of([70, 70], 16, |i, j| (i + j).is_multiple_of(2)).expect("legal sizes");
    assert_eq!(other.partial(), 25);
    assert_eq!(causal.with_room(25).expect("legal").form(), other.form());
}

fn compare_pairs(mask: &BlockMask, sees: impl Fn(u32, u32, u32) -> bool) {
    for h in 0..mask.form().heads {
        for (i, j) in (0..70).flat_map(|i| (0..70).map(move |j| (i, j))) {
            assert_eq!(mask.sees(h, i, j), sees(h, i, j), "{h} {i} {j}");
        }
    }
}

#[test]
fn heads_have_masks_of_their_own() {
    let one = |n: u32| BlockMask::of([70, 70], 16, move |i, j| (i + j * n).is_multiple_of(n + 2)).expect("legal sizes");
    let all = BlockMask::of_heads(&[one(0), one(1).with_room(40).expect("legal"), one(5)]).expect("they are alike");
    compare_pairs(&all, |h, i, j| {
        let n = [0, 1, 5][h as usize];
        (i + j * n).is_multiple_of(n + 2)
    });
    assert_eq!(all.form().partial, all.partial());
    assert!(!all.sees(3, 0, 0), "there is no such head");
    assert!(one(0).sees(3, 0, 0), "all heads have the same");
    assert_eq!(all.kept(), [0, 1, 5].map(|n| one(n).kept()).iter().sum::<u64>());
}

#[test]
fn what_makes_no_mask_is_refused() {
    let said = |result: Result<BlockMask, Error>| result.expect_err("it is refused").to_string();
    let of = |lens, block| said(BlockMask::of(lens, block, |_, _| true));
    for block in [0, 1, 8, 48, 100, 512, u32::MAX] {
        let text = format!("block {block} is not a power of two from 16 to 256");
        assert_eq!(of([10, 10], block), text);
        assert_eq!(said(BlockMask::pattern([10, 10], block, Pattern::PrefixLm { prefix: 1 })), text);
        assert_eq!(said(BlockMask::edges([10, 10], block, &[])), text);
        let random = Pattern::LocalGlobalRandom { window: 1, globals: 1, random: 1, seed: 1 };
        assert_eq!(said(BlockMask::pattern([10, 10], block, random)), text);
    }
    assert_eq!(of([0, 10], 16), "q_len is 0");
    assert_eq!(of([10, 0], 16), "kv_len is 0");
    assert_eq!(of([10, u32::MAX], 16), "kv_len 4294967295 is above 536870912");
    assert_eq!(said(BlockMask::documents(&[], 16)), "q_len is 0");
    assert_eq!(said(BlockMask::documents(&[u32::MAX, 1], 16)), "the size of the documents overflows 64 bits");
    assert_eq!(
        said(BlockMask::edges([10, 20], 16, &[(9, 19), (10, 0)])),
        "the query of an edge 10..11 are empty or outside 0..10"
    );
    assert_eq!(
        said(BlockMask::edges([10, 20], 16, &[(0, 20)])),
        "the key of an edge 20..21 are empty or outside 0..20"
    );
    assert_eq!(said(BlockMask::of_heads(&[])), "heads is 0");
    let causal = |lens, block| BlockMask::of(lens, block, |i, j| j <= i).expect("legal sizes");
    let alike = "a mask for each head does not go with masks of other lengths, blocks or heads";
    for other in [
        causal([70, 71], 16),
        causal([70, 70], 32),
        BlockMask::of_heads(&[causal([70, 70], 16), causal([70, 70], 16)]).expect("they are alike"),
    ] {
        assert_eq!(said(BlockMask::of_heads(&[causal([70, 70], 16), other])), alike);
    }
    let form = BlockForm { q_len: 1 << 29, kv_len: 1 << 29, block: 16, heads: 1, partial: 0 };
    assert!(form.check().unwrap_err().to_string().starts_with("words of the block mask "), "{:?}", form.check());
    let full = BlockMask::of([16, 16], 16, |_, _| true).expect("legal sizes");
    assert!(full.with_room(u32::MAX).unwrap_err().to_string().starts_with("words of the block mask "));
}
