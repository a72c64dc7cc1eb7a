//! Caches that grow, and rotations.

use std::f32::consts::PI;

use wgpu_attention::{
    Align, Angles, DType, Data, Inputs, Layout, Mask, Order, Outputs, Pairs, Rope, Rotary, Shape, Spec, Tensor,
    reference::{attention, check, naive, rope},
};

use crate::{
    case::Case,
    numbers::numbers,
    reference::problem::{SHAPE, Way, near},
};

/// Two new keys into room for seven.
const NEW: usize = 2;

fn causal(shape: Shape) -> Spec {
    Spec::new(shape).mask(Mask::causal()).align(Align::End).lse()
}

/// Keys or values `[batch, kv_heads, 7, dim]` of which those past the lengths are NaN, and the same with the new rows in.
fn grown(cache: &[f32], new: &[f32], lens: [usize; 2], dim: usize) -> [Vec<f32>; 2] {
    let mut before = cache.to_vec();
    for (n, row) in before.chunks_mut(dim).enumerate().filter(|(n, _)| n % 7 >= lens[n / 14]) {
        row.fill(f32::NAN + n as f32);
    }
    let mut after = before.clone();
    for (n, row) in new.chunks(dim).enumerate() {
        let (head, j) = (n / NEW, lens[n / NEW / 2] + n % NEW);
        if j < 7 {
            after[(head * 7 + j) * dim..][..dim].copy_from_slice(row);
        }
    }
    [before, after]
}

fn same_cache(found: Option<&[f64]>, expected: &[f32]) {
    let found = found.expect("the cache is an output");
    assert_eq!(found.len(), expected.len());
    let same = |(a, e): (&f64, &f32)| *a == f64::from(*e) || a.is_nan() && e.is_nan();
    assert!(found.iter().zip(expected).all(same), "{found:?} {expected:?}");
}

/// Rows `[batch, kv_heads, 7, dim]` with two more of zeros behind each seven.
fn with_room(rows: &[f32], dim: usize) -> Vec<f32> {
    rows.chunks(7 * dim).flat_map(|head| head.iter().copied().chain(vec![0.0; 2 * dim])).collect()
}

/// Lengths that leave room for both new rows, for one, for none: a cache with room for all, of which those that were dropped are hidden.
/// Queries stand alike.
#[test]
fn an_append_is_a_longer_cache() {
    for lens in [[0, 5], [3, 6], [7, 4]] {
        let words = lens.map(|len| len as u32);
        let mut problem = Case::random(causal(SHAPE).append(NEW as u32), 51);
        problem.set_words(Tensor::KvLens, words);
        let [k, longer_k] = grown(problem.floats(Tensor::K), problem.floats(Tensor::NewK), lens, 6);
        let [v, longer_v] = grown(problem.floats(Tensor::V), problem.floats(Tensor::NewV), lens, 3);
        let problem = problem.with(Tensor::K, k).with(Tensor::V, v);
        let keep = Layout::broadcast(&[9]).expect("one size");
        let room = causal(Shape { kv_len: 9, ..SHAPE }).kv_lens().keep(keep, 9);
        let longer = problem.as_spec(room).with(Tensor::KvLens, words.map(|len| len + 2));
        let longer = longer.with(Tensor::K, with_room(&longer_k, 6)).with(Tensor::V, with_room(&longer_v, 3));
        let longer = longer.with(Tensor::Keep, (0..9).map(|j| j < 7).collect::<Vec<_>>());
        for way in Way::ALL {
            let [found, expected] = [&problem, &longer].map(|problem| way.run(problem));
            assert_eq!((found.out(), found.lse()), (expected.out(), expected.lse()), "{way:?}");
            same_cache(found.k(), &longer_k);
            same_cache(found.v(), &longer_v);
            assert_eq!(expected.k(), None);
        }
    }
}

#[test]
fn an_append_keeps_layouts_and_rounds_to_the_cache() {
    let shape = Shape { batch: 1, kv_heads: 1, q_heads: 1, q_len: 1, kv_len: 3, head_dim: 2, value_dim: 1 };
    let gap = Layout { offset: 1, batch: 0, head: 0, row: 3 };
    let spec = Spec::new(shape).k_layout(gap).kv_type(DType::Bf16).new_type(DType::F16).append(1);
    let (third, tenth) = (1.0 / 3.0, 0.1);
    let (new_k, new_v) = ([tenth, 8.0], [tenth]);
    let k = [9.0, third, 2.0, 9.0, 3.0, 4.0, 9.0, 5.0, 6.0, 9.0];
    let inputs = Inputs::new(&[1.0, 1.0], &k, &[1.0, 2.0, 3.0]).append(&new_k, &new_v).kv_lens(&[1]);
    let found = attention(&spec, &inputs);
    let bf16 = |x: f32| f64::from(DType::Bf16.round(x));
    let new = bf16(DType::F16.round(tenth));
    assert_eq!(found.k(), Some(&[9.0, bf16(third), 2.0, 9.0, new, 8.0, 9.0, 5.0, 6.0][..]));
    assert_eq!(found.v(), Some(&[1.0, new, 3.0][..]));
    assert_ne!(new, f64::from(tenth));
}

fn rotary(pairs: Pairs, angles: Angles) -> Rotary {
    Rotary { dim: 4, pairs, angles }
}

/// Cosines and sines of so many positions, two angles each.
fn tables(positions: usize) -> [Vec<f32>; 2] {
    let angle = |n: usize| (n / 2) as f32 * if n.is_multiple_of(2) { 1.0 } else { 0.1 };
    [f32::cos, f32::sin].map(|f| (0..2 * positions).map(|n| f(angle(n))).collect())
}

/// Rows of two batch items, the row of the tables for each row of an item given, item after item.
fn turn(rows: &mut [f32], table_rows: [usize; 4], pairs: Pairs, [cos, sin]: [&[f32]; 2]) {
    let of_item = rows.len() / 6 / 2;
    for (n, row) in rows.chunks_mut(6).enumerate() {
        let at = table_rows[n / of_item * 2 + n % 2];
        for m in 0..2 {
            let (a, b) = if pairs == Pairs::Halves { (m, m + 2) } else { (2 * m, 2 * m + 1) };
            let [cos, sin] = [cos, sin].map(|table| f64::from(table[2 * at + m]));
            let (x, y) = (f64::from(row[a]), f64::from(row[b]));
            (row[a], row[b]) = ((cos * x - sin * y) as f32, (sin * x + cos * y) as f32);
        }
    }
}

#[test]
fn new_keys_and_queries_turn() {
    let [cos, sin] = tables(7);
    let ids = [3, 0, 9, 1];
    let kinds = [Angles::Appended { positions: 7 }, Angles::Ids { positions: 7 }, Angles::Rows];
    let shape = Shape { q_len: NEW as u32, ..SHAPE };
    for (pairs, angles) in [Pairs::Halves, Pairs::Interleaved].into_iter().flat_map(|p| kinds.map(|a| (p, a))) {
        let rotary = rotary(pairs, angles);
        let table = if angles == Angles::Rows { 2 * 4 } else { 2 * 7 };
        // A cache of numbers throughout, so that it can be compared as a whole.
        let mut problem = Case::random(causal(shape).append_rotated(NEW as u32, rotary), 52)
            .with(Tensor::K, numbers(2 * 2 * 7 * 6, 1))
            .with(Tensor::V, numbers(2 * 2 * 7 * 3, 2))
            .with(Tensor::Cos, &cos[..table])
            .with(Tensor::Sin, &sin[..table])
            .with(Tensor::KvLens, [1, 5]);
        if let Angles::Ids { .. } = angles {
            problem = problem.with(Tensor::Positions, ids);
        }
        // The row of the tables for each new row: the item's length and on, the id, its own. The last row is the limit.
        let rows = match angles {
            Angles::Appended { .. } => [1, 2, 5, 6],
            Angles::Ids { .. } => [3, 0, 6, 1],
            _ => [0, 1, 2, 3],
        };
        let [mut keys, mut queries] = [Tensor::NewK, Tensor::Q].map(|tensor| problem.floats(tensor).to_vec());
        turn(&mut keys, rows, pairs, [&cos, &sin]);
        turn(&mut queries, rows, pairs, [&cos, &sin]);
        let plain = problem.as_spec(causal(shape).append(NEW as u32)).with(Tensor::NewK, keys).with(Tensor::Q, queries);
        assert_eq!(Way::Oracle.run(&problem), Way::Oracle.run(&plain), "{rotary:?}");
        for way in Way::ALL {
            let [found, expected] = [&problem, &plain].map(|problem| way.run(problem));
            near("out", found.out(), expected.out(), 2.0 * way.limit(&problem, Tensor::Out));
            near("k", found.k().unwrap_or_default(), expected.k().unwrap_or_default(), way.limit(&problem, Tensor::K));
            assert_eq!(found.v(), expected.v());
        }
    }
}

fn turned(x: &[f32], pairs: Pairs, cos: &[f32], sin: &[f32]) -> Vec<f64> {
    let spec = Rope::new([1, 1, (x.len() / 6) as u32, 6], rotary(pairs, Angles::Rows));
    rope(&spec, &Inputs::default().set(Tensor::Q, Data::Floats(x)).rotary(cos, sin))
}

#[test]
fn rotations_have_laws() {
    let x = numbers(60, 53);
    let wide: Vec<_> = x.iter().map(|&x| f64::from(x)).collect();
    for pairs in [Pairs::Halves, Pairs::Interleaved] {
        assert_eq!(turned(&x, pairs, &[1.0; 20], &[0.0; 20]), wide, "no angle");
        let half: Vec<_> = wide.iter().enumerate().map(|(n, x)| if n % 6 < 4 { -x } else { *x }).collect();
        assert_eq!(turned(&x, pairs, &[-1.0; 20], &[0.0; 20]), half, "half a turn");
        let [cos, sin] = tables(10);
        let found = turned(&x, pairs, &cos, &sin);
        for (found, x) in found.chunks(6).zip(wide.chunks(6)) {
            let norm = |row: &[f64]| row.iter().map(|x| x * x).sum::<f64>();
            near("norm", &[norm(found)], &[norm(x)], 1e-5);
            assert_eq!(found[4..], x[4..], "the others pass through");
        }
        // Scores depend on distance alone: both one row later are the same score.
        let dot = |a: usize, b: usize| -> f64 {
            let row = |n: usize| turned(&x[..6].repeat(10), pairs, &cos, &sin)[n * 6..][..6].to_vec();
            row(a).iter().zip(row(b)).map(|(a, b)| a * b).sum()
        };
        near("distance", &[dot(3, 5), dot(4, 6)], &[dot(0, 2), dot(0, 2)], 1e-5);
        assert!((dot(0, 2) - dot(0, 3)).abs() > 0.1);
    }
    // By hand: a quarter turn of the first pair.
    let (cos, sin) = ([0.0, 1.0], [1.0, 0.0]);
    let row = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    assert_eq!(turned(&row, Pairs::Halves, &cos, &sin), [-3.0, 2.0, 1.0, 4.0, 5.0, 6.0]);
    assert_eq!(turned(&row, Pairs::Interleaved, &cos, &sin), [-2.0, 1.0, 3.0, 4.0, 5.0, 6.0]);
    near(
        "an angle",
        &turned(&row, Pairs::Halves, &[(PI / 6.0).cos(), 1.0], &[0.5, 0.0])[..1],
        &[3f64.sqrt() / 2.0 - 1.5],
        1e-7,
    );
}

#[test]
fn rotations_have_positions_orders_and_types() {
    let [cos, sin] = tables(5);
    let x = numbers(2 * 3 * 2 * 6, 54);
    let spec = |angles| Rope::new([2, 2, 3, 6], rotary(Pairs::Halves, angles));
    let inputs = Inputs::default().set(Tensor::Q, Data::Floats(&x)).rotary(&cos, &sin);
    let ids = rope(&spec(Angles::Ids { positions: 5 }), &inputs.positions(&[2, 3, 4, 0, 1, 7]));
    assert_eq!(rope(&spec(Angles::Appended { positions: 5 }), &inputs.kv_lens(&[2, u32::MAX]))[..36], ids[..36]);
    assert_eq!(
        rope(&spec(Angles::Appended { positions: 5 }), &inputs.kv_lens(&[2, 0]))[36..48],
        ids[36..48],
        "rows 0 and 1 of the second item"
    );
    // Each row by its own angle: the rows of the tables, picked.
    let pick =
        |table: &[f32]| [2, 3, 4, 0, 1, 4].iter().flat_map(|&p| table[2 * p..][..2].to_vec()).collect::<Vec<_>>();
    let (cos, sin) = (pick(&cos), pick(&sin));
    let rows = Inputs::default().set(Tensor::Q, Data::Floats(&x)).rotary(&cos, &sin);
    assert_eq!(rope(&spec(Angles::Rows), &rows), ids);
    // [batch, len, heads, dim] of the same rows.
    let moved: Vec<_> = (0..72).map(|n| x[(n / 36 * 6 + n / 6 % 2 * 3 + n / 12 % 3) * 6 + n % 6]).collect();
    let other = Inputs::default().set(Tensor::Q, Data::Floats(&moved)).rotary(&cos, &sin);
    let order = spec(Angles::Rows).order(Order::Bshd).out_layout(Order::Bhsd.layout(2, 3, 6));
    assert_eq!(rope(&order, &other), ids);
    let rounded: Vec<_> = x.iter().map(|&x| DType::F16.round(x)).collect();
    let narrow = rope(&spec(Angles::Rows).q_type(DType::F16), &rows);
    assert_eq!(narrow, rope(&spec(Angles::Rows), &rows.set(Tensor::Q, Data::Floats(&rounded))));
    assert_ne!(narrow, ids);
}

#[test]
fn rotations_are_checked() {
    let [cos, sin] = tables(10);
    let x = numbers(60, 55);
    let inputs = Inputs::default().set(Tensor::Q, Data::Floats(&x)).rotary(&cos, &sin);
    for dtype in [DType::F32, DType::F16] {
        let spec = Rope::new([1, 1, 10, 6], rotary(Pairs::Halves, Angles::Rows)).out_type(dtype);
        let out: Vec<_> = rope(&spec, &inputs).iter().map(|&x| dtype.round(x as f32)).collect();
        let margins = check(&spec, &inputs, &Outputs::of(out.clone())).expect("it is right");
        assert!(margins.len() == 1 && margins[0].limit < 8.0 * dtype.epsilon());
        let floor = 2.0 * dtype.epsilon() * out.iter().fold(0.0, |a: f64, &x| f64::from(x).abs().max(a));
        assert!(margins[0].limit > floor + margins[0].error, "the naive result is rounded too");
        let mut wrong = out;
        wrong[13] += 10.0 * dtype.epsilon() as f32;
        let wrong = check(&spec, &inputs, &Outputs::of(wrong)).expect_err("it is off");
        assert_eq!((wrong.tensor, wrong.mismatch.index), (Tensor::Out, 13));
    }
}

/// An append to a cache in bf16.
fn narrow(rotated: bool) -> Case {
    let rotary = rotary(Pairs::Halves, Angles::Appended { positions: 7 });
    let spec = causal(SHAPE).kv_type(DType::Bf16);
    let spec = if rotated { spec.append_rotated(NEW as u32, rotary) } else { spec.append(NEW as u32) };
    let mut problem = Case::random(spec, 56);
    problem.set_words(Tensor::KvLens, [3, 5]);
    let [k, _] = grown(problem.floats(Tensor::K), problem.floats(Tensor::NewK), [3, 5], 6);
    let [v, _] = grown(problem.floats(Tensor::V), problem.floats(Tensor::NewV), [3, 5], 3);
    let problem = problem.with(Tensor::K, k).with(Tensor::V, v);
    let [cos, sin] = tables(7);
    if rotated { problem.with(Tensor::Cos, cos).with(Tensor::Sin, sin) } else { problem }
}

fn verdict(problem: &Case, outputs: &Outputs<f32>) -> Result<usize, (Tensor, usize)> {
    let verdict = check(&problem.spec, &problem.inputs(), outputs);
    verdict.map(|margins| margins.len()).map_err(|wrong| (wrong.tensor, wrong.mismatch.index))
}

/// What `check` says of naive outputs, changed.
fn checked(rotated: bool, change: impl Fn(&mut Outputs<f32>)) -> Result<usize, (Tensor, usize)> {
    let problem = narrow(rotated);
    let mut outputs = naive(&problem.spec, &problem.inputs());
    change(&mut outputs);
    verdict(&problem, &outputs)
}

#[test]
fn caches_are_compared() {
    const FIRST_NEW: usize = 3 * 6;
    let k = |at: usize, x: f32| {
        move |outputs: &mut Outputs<f32>| outputs.get_mut(Tensor::K).into_iter().for_each(|k| k[at] = x)
    };
    let v = |at: usize, x: f32| {
        move |outputs: &mut Outputs<f32>| outputs.get_mut(Tensor::V).into_iter().for_each(|v| v[at] = x)
    };
    let nudge = |x: &mut f32| *x = f32::from_bits(x.to_bits() + (1 << 16));
    let nudged =
        |outputs: &mut Outputs<f32>| outputs.get_mut(Tensor::K).into_iter().for_each(|k| nudge(&mut k[FIRST_NEW]));
    for rotated in [false, true] {
        assert_eq!(checked(rotated, |_| ()), Ok(4));
        assert_eq!(checked(rotated, k(0, 0.1)), Err((Tensor::K, 0)), "an old key");
        assert_eq!(checked(rotated, k(FIRST_NEW, 0.1)), Err((Tensor::K, FIRST_NEW)));
        assert_eq!(checked(rotated, k(FIRST_NEW, f32::NAN)), Err((Tensor::K, FIRST_NEW)));
        assert_eq!(checked(rotated, k(5 * 6, 0.0)), Err((Tensor::K, 5 * 6)), "a row that nobody appended");
        assert_eq!(checked(rotated, v(3 * 3 + 1, 0.1)), Err((Tensor::V, 3 * 3 + 1)));
        let nudged =
            |outputs: &mut Outputs<f32>| outputs.get_mut(Tensor::V).into_iter().for_each(|v| nudge(&mut v[3 * 3]));
        assert_eq!(checked(rotated, nudged), Err((Tensor::V, 3 * 3)), "values do not turn");
        assert_eq!(checked(rotated, |outputs| drop(outputs.take(Tensor::V))), Err((Tensor::V, 0)));
        assert_eq!(checked(rotated, |outputs| drop(outputs.take(Tensor::K))), Err((Tensor::K, 0)));
        assert_eq!(
            checked(rotated, |outputs| outputs.get_mut(Tensor::Out).expect("asked for")[0] += 0.01),
            Err((Tensor::Out, 0))
        );
    }
    // A copied key is exact; a turned one may round the other way.
    assert_eq!(checked(false, nudged), Err((Tensor::K, FIRST_NEW)));
    let other = checked(true, nudged).map_err(|(tensor, _)| tensor);
    assert_eq!(other, Err(Tensor::Out), "these are the scores of another key");
    // Its scores are then those of the key that was written.
    let problem = narrow(true);
    let mut written = naive(&problem.spec, &problem.inputs());
    nudged(&mut written);
    let after = problem.as_spec(causal(SHAPE).kv_type(DType::Bf16).kv_lens()).with(Tensor::KvLens, [5, 7]);
    let [k, v] = [written.k(), written.v()].map(|cache| cache.unwrap_or_default().to_vec());
    // The queries before the new ones stand at earlier positions.
    let [cos, sin] = tables(7);
    let turned = Inputs::default().set(Tensor::Q, Data::Floats(problem.floats(Tensor::Q))).rotary(&cos, &sin);
    let by_ids = rotary(Pairs::Halves, Angles::Ids { positions: 7 });
    let q = rope(&Rope::new([2, 4, 5, 6], by_ids), &turned.positions(&[0, 1, 2, 3, 4, 2, 3, 4, 5, 6]));
    let q: Vec<f32> = q.into_iter().map(|x| x as f32).collect();
    let after = after.with(Tensor::K, k).with(Tensor::V, v).with(Tensor::Q, q);
    let scored = naive(&after.spec, &after.inputs());
    for tensor in [Tensor::Out, Tensor::Lse] {
        written.set(tensor, scored.get(tensor).expect("asked for").to_vec());
    }
    assert_eq!(verdict(&problem, &written), Ok(4));
}

/// Queries before the new rows stand at earlier positions, and none below the first.
#[test]
fn earlier_queries_turn_by_their_positions() {
    let [cos, sin] = tables(7);
    let rotary = rotary(Pairs::Halves, Angles::Appended { positions: 7 });
    let shape = Shape { batch: 1, kv_heads: 1, q_heads: 1, q_len: 3, ..SHAPE };
    let problem = Case::random(causal(shape).append_rotated(1, rotary), 53)
        .with(Tensor::K, numbers(7 * 6, 1))
        .with(Tensor::V, numbers(7 * 3, 2))
        .with(Tensor::Cos, &cos[..])
        .with(Tensor::Sin, &sin[..]);
    for (len, positions) in [(4, [2, 3, 4]), (1, [0, 0, 1])] {
        let problem = problem.clone().with(Tensor::KvLens, [len]);
        let turned = |tensor, rows: u32, positions: &[u32]| -> Vec<f32> {
            let by_ids = Rotary { angles: Angles::Ids { positions: 7 }, ..rotary };
            let inputs = Inputs::default().set(Tensor::Q, Data::Floats(problem.floats(tensor)));
            let out = rope(&Rope::new([1, 1, rows, 6], by_ids), &inputs.rotary(&cos, &sin).positions(positions));
            out.into_iter().map(|x| x as f32).collect()
        };
        let queries = turned(Tensor::Q, 3, &positions);
        let plain = problem.as_spec(causal(shape).append(1));
        let plain = plain.with(Tensor::Q, queries).with(Tensor::NewK, turned(Tensor::NewK, 1, &[len]));
        assert_eq!(Way::Oracle.run(&problem), Way::Oracle.run(&plain), "{len}");
    }
}
