//! The slopes of a pair's score against finite differences of the oracle: of every part of a score, alone and together.

use std::collections::BTreeMap;

use wgpu_attention::{
    Align, Data, Grid, Inputs, Layout, ScoreStage, Shape, Slopes, Spec, Tensor, View,
    reference::{self, PairSlopes},
};

const SHAPE: Shape = Shape { batch: 2, q_heads: 4, kv_heads: 2, q_len: 6, kv_len: 6, head_dim: 3, value_dim: 1 };

/// Half the distance of two points whose difference counts: a power of two, so that inputs near 1 take it exactly.
const STEP: f32 = 1.0 / 1024.0;

/// Every tensor of a spec, in floats that are multiples of the step.
struct Point(BTreeMap<Tensor, Vec<f32>>);

impl Point {
    fn new(spec: &Spec, seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut draw = |view: View| {
            let len = view.extent().expect("a legal spec") as usize;
            (view.tensor, (0..len).map(|_| (rng.i32(-2048..2048) as f32) * STEP).collect())
        };
        Self(spec.views().filter(View::is_input).map(&mut draw).collect())
    }

    fn inputs(&self) -> Inputs<'_> {
        self.0.iter().fold(Inputs::default(), |inputs, (&tensor, data)| inputs.set(tensor, Data::Floats(data)))
    }

    fn score(&self, spec: &Spec, [batch, head, i, j]: [u32; 4]) -> f64 {
        reference::row(spec, &self.inputs(), batch, head, i).scores[j as usize]
    }

    /// The change of a pair's score for a unit of one number.
    fn difference(&mut self, spec: &Spec, pair: [u32; 4], tensor: Tensor, place: [u32; 4]) -> f64 {
        let view = spec.view(tensor).expect("it has the tensor");
        let Layout { offset, batch, head, row } = view.layout;
        let [b, h, r, d] = place.map(u64::from);
        let at = (offset + b * batch + h * head + r * row + d) as usize;
        let number = self.0[&tensor][at];
        let [above, below] = [STEP, -STEP].map(|step| {
            self.0.get_mut(&tensor).expect("it is there")[at] = number + step;
            self.score(spec, pair)
        });
        self.0.get_mut(&tensor).expect("it is there")[at] = number;
        (above - below) / f64::from(2.0 * STEP)
    }
}

/// Parts of a score, each alone and all that go together.
fn specs() -> Vec<(&'static str, Spec)> {
    let spec = || Spec::new(SHAPE).scale(0.75).scores(ScoreStage::Masked);
    let square = Layout { offset: 0, batch: 144, head: 36, row: 6 };
    let grid = || spec().grid(Grid::windows(2, 3, 2, 0).biased());
    vec![
        ("scale", spec()),
        ("softcap", spec().softcap(1.5)),
        ("ALiBi", spec().alibi(Slopes::BatchHead).align(Align::End)),
        ("bias", spec().bias(square, 6)),
        ("factors of heads", spec().head_scales()),
        ("bias of a grid", grid()),
        ("additive", spec().additive()),
        ("products", spec().softcap(3.0).alibi(Slopes::Head).align(Align::At(1)).bias(square, 6).head_scales()),
        ("sums", grid().softcap(2.0).alibi(Slopes::Head).align(Align::Start).bias(square, 6).head_scales().additive()),
    ]
}

/// Each slope of a pair beside its finite difference.
fn compared(spec: &Spec, point: &mut Point, pair: [u32; 4]) -> Vec<(&'static str, f64, f64)> {
    let [batch, head, i, j] = pair;
    let PairSlopes { q, k, score_weights, head_scale, alibi_slope, bias, grid_bias, .. } =
        reference::slopes(spec, &point.inputs(), pair).expect("nothing is packed");
    let mut all = Vec::new();
    let mut compare = |name, slope: f64, tensor, place| {
        all.push((name, slope, point.difference(spec, pair, tensor, place)));
    };
    for d in 0..SHAPE.head_dim {
        compare("q", q[d as usize], Tensor::Q, [batch, head, i, d]);
        compare("k", k[d as usize], Tensor::K, [batch, head / 2, j, d]);
        if let Some(&slope) = score_weights.get(d as usize) {
            compare("score weight", slope, Tensor::ScoreWeights, [0, 0, head, d]);
        }
    }
    if spec.view(Tensor::HeadScales).is_some() {
        compare("head scale", head_scale, Tensor::HeadScales, [0, 0, 0, head]);
    }
    if let Some(view) = spec.view(Tensor::Slopes) {
        let item = if view.sizes[2] > 1 { batch } else { 0 };
        compare("ALiBi slope", alibi_slope, Tensor::Slopes, [0, 0, item, head]);
    }
    if spec.view(Tensor::Bias).is_some() {
        compare("bias", bias, Tensor::Bias, [batch, head, i, j]);
    }
    if spec.view(Tensor::GridBias).is_some() {
        let (y, x) = (j / 3 + 1 - i / 3, j % 3 + 1 - i % 3);
        compare("grid bias", grid_bias, Tensor::GridBias, [0, head, y, x]);
    }
    all
}

#[test]
fn slopes_are_finite_differences() {
    let (mut ran, mut worst) = (0, 0.0f64);
    for (n, (name, spec)) in specs().into_iter().enumerate() {
        let mut point = Point::new(&spec, n as u64);
        for pair in [[0, 0, 4, 4], [1, 3, 4, 3], [0, 2, 1, 0], [1, 1, 0, 4]] {
            for (of, slope, difference) in compared(&spec, &mut point, pair) {
                let error = (slope - difference).abs() / slope.abs().max(1.0);
                assert!(error < 1e-5, "{name}, {pair:?}: the slope by {of} is {slope}, the difference {difference}");
                assert!(slope != 0.0 || of == "ALiBi slope", "{name}, {pair:?}: the slope by {of} says nothing");
                (ran, worst) = (ran + 1, worst.max(error));
            }
        }
    }
    println!("{ran} slopes, at most {worst:.1e} from their differences");
}

/// What is not there has no slope, and the product's is that of its factors.
#[test]
fn slopes_of_what_is_not_there_are_zero() {
    let spec = Spec::new(SHAPE).scale(0.75);
    let point = Point::new(&spec, 1);
    let slopes = reference::slopes(&spec, &point.inputs(), [0, 1, 2, 3]).expect("nothing is packed");
    assert_eq!(slopes.product, 0.75);
    assert_eq!([slopes.head_scale, slopes.alibi_slope, slopes.bias, slopes.grid_bias], [0.0; 4]);
    assert!(slopes.score_weights.is_empty());
    let packed = Spec::new(Shape { batch: 1, ..SHAPE }).packed(1);
    let inputs = Inputs::new(&[1.0; 72], &[1.0; 36], &[1.0; 12]).packed(&[1, 5], &[0, 6]);
    assert_eq!(reference::slopes(&packed, &inputs, [0, 0, 0, 0]), None, "row 0 belongs to no sequence");
}
