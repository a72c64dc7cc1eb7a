//! Merges: the parts of an attention give the whole.

use wgpu_attention::{
    DType, Data, Inputs, Layout, Merge, Order, Outputs, Tensor,
    reference::{attention, check, merge},
};

use crate::{
    case::Case,
    numbers::numbers,
    reference::problem::{SHAPE, masked, near},
};

const SIZES: [u32; 4] = [2, 4, 5, 3];

/// The keys that part `p` of three may see: 0 and 3, all others, none.
fn share(p: usize, j: usize) -> bool {
    match p {
        0 => j.is_multiple_of(3),
        1 => !j.is_multiple_of(3),
        _ => false,
    }
}

/// A problem of three parts: what each part sees, by a bias, and all of it.
fn parts(sinks: bool) -> ([Case; 3], Case) {
    let row = Layout { offset: 0, batch: 0, head: 0, row: 0 };
    let whole = masked(SHAPE).lse();
    let whole = Case::random(if sinks { whole.sinks() } else { whole }, 41);
    let hidden = |p: usize| (0..7).map(|j| if share(p, j) { 0.0 } else { f32::NEG_INFINITY }).collect::<Vec<_>>();
    let part = |p| whole.as_spec(masked(SHAPE).bias(row, 7).lse()).with(Tensor::Bias, hidden(p));
    ([0, 1, 2].map(part), whole)
}

/// Outputs and log-sum-exps of all parts, one after the other.
fn stacked(parts: &[Case]) -> [Vec<f32>; 2] {
    let all: Vec<_> = parts.iter().map(|part| attention(&part.spec, &part.inputs())).collect();
    let narrow = |pick: fn(&Outputs<f64>) -> &[f64]| all.iter().flat_map(pick).map(|&x| x as f32).collect();
    [narrow(|o| o.out()), narrow(|o| o.lse().unwrap_or_default())]
}

fn inputs<'a>([parts, lses]: &'a [Vec<f32>; 2]) -> Inputs<'a> {
    Inputs::default().set(Tensor::Parts, Data::Floats(parts)).set(Tensor::PartLses, Data::Floats(lses))
}

#[test]
fn parts_give_the_whole() {
    for sinks in [false, true] {
        let (problems, whole) = parts(sinks);
        let expected = attention(&whole.spec, &whole.inputs());
        let mut stacked = stacked(&problems);
        // A part that sees no key is not looked at.
        stacked[0][2 * 120..].fill(f32::NAN);
        let spec = Merge::new(3, SIZES).lse();
        let found = match sinks {
            true => merge(&spec.sinks(), &inputs(&stacked).sinks(whole.floats(Tensor::Sinks))),
            false => merge(&spec, &inputs(&stacked)),
        };
        near("out", found.out(), expected.out(), 1e-6);
        near("lse", found.lse().unwrap_or_default(), expected.lse().unwrap_or_default(), 1e-6);
        assert!(expected.out()[..3] == [0.0; 3] && found.out()[..3] == [0.0; 3], "a row that no part sees is 0");
        // Without the second part it is not the whole.
        let [out, lse] = &stacked;
        let one = [out[..120].to_vec(), lse[..40].to_vec()];
        let one = merge(&Merge::new(1, SIZES), &inputs(&one));
        assert!(one.out().iter().zip(expected.out()).any(|(a, b)| (a - b).abs() > 0.1));
        assert_eq!(one.lse(), None);
    }
}

#[test]
fn merges_have_orders_and_types() {
    let stacked = stacked(&parts(false).0);
    let dense = merge(&Merge::new(3, SIZES), &inputs(&stacked)).out().to_vec();
    // [parts * batch, heads, len, dim] to [parts * batch, len, heads, dim], and back.
    let moved = |data: &[f32]| {
        let at = |n: usize| (n / 60 * 20 + n / 3 % 4 * 5 + n / 12 % 5) * 3 + n % 3;
        (0..data.len()).map(|n| data[at(n)]).collect::<Vec<_>>()
    };
    let [parts, lses] = &stacked;
    let other = [moved(parts), lses.clone()];
    let spec = Merge::new(3, SIZES).order(Order::Bshd);
    assert_eq!(merge(&spec.clone().out_layout(Order::Bhsd.layout(4, 5, 3)), &inputs(&other)).out(), dense);
    assert_ne!(merge(&spec.clone(), &inputs(&other)).out(), dense);
    assert_eq!(merge(&spec.out_type(DType::F16), &inputs(&other)).out().len(), dense.len());
}

/// A right f32 result and a wrong one.
#[test]
fn merges_are_checked() {
    let stacked = stacked(&parts(false).0);
    for dtype in [DType::F32, DType::F16, DType::Bf16] {
        let spec = Merge::new(3, SIZES).lse().out_type(dtype);
        let exact = merge(&spec, &inputs(&stacked));
        let mut outputs = Outputs::of(exact.out().iter().map(|&x| dtype.round(x as f32)).collect());
        outputs.set(Tensor::Lse, exact.lse().into_iter().flatten().map(|&x| x as f32).collect());
        let margins = check(&spec, &inputs(&stacked), &outputs).expect("it is right");
        assert_eq!(margins.iter().map(|margin| margin.tensor).collect::<Vec<_>>(), [Tensor::Out, Tensor::Lse]);
        let off = |change: fn(&mut Outputs<f32>)| {
            let mut outputs = outputs.clone();
            change(&mut outputs);
            check(&spec, &inputs(&stacked), &outputs).map_err(|wrong| (wrong.tensor, wrong.mismatch.index)).err()
        };
        assert_eq!(off(|outputs| outputs.get_mut(Tensor::Out).expect("asked for")[7] += 0.1), Some((Tensor::Out, 7)));
        assert_eq!(
            off(|outputs| outputs.get_mut(Tensor::Out).expect("asked for")[0] = 1e-30),
            None,
            "{dtype}: less than a rounding"
        );
        assert_eq!(off(|outputs| outputs.get_mut(Tensor::Out).expect("asked for")[0] = 0.1), Some((Tensor::Out, 0)));
        assert_eq!(off(|outputs| drop(outputs.take(Tensor::Lse))), Some((Tensor::Lse, 0)));
    }
}

#[test]
fn a_merge_of_one_part_is_that_part() {
    let values = numbers(120, 5);
    let lses = numbers(40, 6);
    let found = merge(&Merge::new(1, SIZES).lse(), &inputs(&[values.clone(), lses.clone()]));
    let wide = |data: &[f32]| data.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
    assert_eq!((found.out(), found.lse()), (&wide(&values)[..], Some(&wide(&lses)[..])));
    let huge = merge(&Merge::new(2, [1, 1, 1, 1]).lse(), &inputs(&[vec![1.0, 2.0], vec![1e30, -1e30]]));
    assert_eq!((huge.out(), huge.lse()), (&[1.0][..], Some(&[f64::from(1e30f32)][..])));
}

#[test]
#[should_panic(expected = "input part_lses is missing")]
fn merges_refuse_short_inputs() {
    let _ = merge(&Merge::new(1, SIZES), &Inputs::default().set(Tensor::Parts, Data::Floats(&[0.0; 120])));
}

#[test]
#[should_panic(expected = "input bias is given")]
fn merges_refuse_what_they_do_not_read() {
    let _ = merge(&Merge::new(1, SIZES), &inputs(&[vec![0.0; 120], vec![0.0; 40]]).bias(&[0.0]));
}
