//! What attention starts from: the inputs as a device holds them, after the append, and how they fall into items.

use std::ops::Range;

use crate::{
    problem::{
        attention::{
            shape::Slopes,
            spec::{Append, Spec},
        },
        values::Inputs,
    },
    reference::{
        real::Real,
        rope::Rotation,
        stored::{Place, Stored, places, zeros},
    },
    tensor::Tensor,
};

/// A problem ready to be scored.
pub(super) struct Operands<'a> {
    pub(super) spec: &'a Spec,
    pub(super) items: Vec<Item>,
    q: Stored<'a, f32>,
    pub(super) k: Stored<'a, f32>,
    v: Stored<'a, f32>,
    bias: Option<Stored<'a, f32>>,
    keep: Option<Stored<'a, bool>>,
    pub(super) block_mask: &'a [u32],
    slopes: &'a [f32],
    sinks: &'a [f32],
    score_weights: Option<Stored<'a, f32>>,
    head_scales: &'a [f32],
    grid_bias: Option<Stored<'a, f32>>,
}

/// A batch item or packed sequence: its rows among those of q and k.
pub(super) struct Item {
    pub(super) queries: Range<u32>,
    pub(super) keys: Range<u32>,
    /// The key at which the first query stands, both counted inside the item.
    pub(super) offset: i64,
    /// Which of the keys are new.
    pub(super) appended: Range<u32>,
}

/// One query row of one head, with all that its scores depend on.
pub(super) struct Query<'a> {
    pub(super) operands: &'a Operands<'a>,
    pub(super) item: &'a Item,
    /// The row among those of q.
    pub(super) i: u32,
    pub(super) q: &'a [f32],
    /// A number for each column there is.
    pub(super) bias: Option<&'a [f32]>,
    /// A boolean for each column there is.
    pub(super) keep: Option<&'a [bool]>,
    pub(super) scale: f32,
    pub(super) slope: Option<f32>,
    pub(super) sink: Option<f32>,
    /// Of additive scores, a number for each element.
    pub(super) weights: Option<&'a [f32]>,
    pub(super) head_scale: Option<f32>,
    pub(super) head: u32,
    /// Batch item and key head.
    kv_head: (u32, u32),
}

impl<'a> Operands<'a> {
    /// New keys and queries are turned in `T`, then rounded: keys to the type of the cache, queries to f32.
    pub(super) fn new<T: Real>(spec: &'a Spec, inputs: &Inputs<'a>) -> Self {
        let floats = |tensor| spec.view(tensor).map(|view| Stored::floats(view, inputs));
        let [q, k, v] = [spec.q_view(), spec.k_view(), spec.v_view()].map(|view| Stored::floats(view, inputs));
        let keep = spec.view(Tensor::Keep).map(|view| Stored::bools(view, inputs));
        let [slopes, sinks, head_scales] =
            [Tensor::Slopes, Tensor::Sinks, Tensor::HeadScales].map(|tensor| inputs.get_floats(tensor));
        let mut operands = Self {
            spec,
            items: items(spec, inputs),
            q,
            k,
            v,
            bias: floats(Tensor::Bias),
            keep,
            block_mask: inputs.get_words(Tensor::BlockMask),
            slopes,
            sinks,
            score_weights: floats(Tensor::ScoreWeights),
            head_scales,
            grid_bias: floats(Tensor::GridBias),
        };
        if let Some(append) = spec.append {
            operands.append::<T>(append, inputs);
        }
        operands
    }

    /// Puts the new rows in their places, and drops those for which there is no room.
    fn append<T: Real>(&mut self, append: Append, inputs: &Inputs<'a>) {
        let shape = self.spec.shape();
        let new = [self.spec.new_k_view(append), self.spec.new_v_view(append)];
        let [new_k, new_v] = new.map(|view| Stored::floats(view, inputs));
        let rotation = append.rotary.map(|rotary| Rotation::new(rotary, shape.batch, append.len, inputs));
        for (b, item) in (0..).zip(&self.items) {
            let rows = (0..).zip(item.appended.clone());
            for ((i, j), h) in rows.flat_map(|row| (0..shape.kv_heads).map(move |h| (row, h))) {
                let (key, value) = (new_k.row((b, h, i)), new_v.row((b, h, i)));
                match &rotation {
                    Some(rotation) => {
                        self.k.set((b, h, j), rotation.turn::<T>(b, i.into(), key).into_iter().map(T::to_f32))
                    }
                    None => self.k.set((b, h, j), key.iter().copied()),
                }
                self.v.set((b, h, j), value.iter().copied());
            }
        }
        if let Some(rotation) = rotation {
            self.turn_queries::<T>(&rotation, append.len);
        }
    }

    /// Queries turn in `T` as the last of the new keys do, and are then f32.
    fn turn_queries<T: Real>(&mut self, rotation: &Rotation<'_>, len: u32) {
        let view = self.spec.turned_queries().q_view();
        let mut turned = Stored { data: zeros(&view).into(), view };
        for (b, h, i) in places(view.sizes) {
            let row =
                rotation.turn::<T>(b, i64::from(len) - i64::from(view.sizes[2]) + i64::from(i), self.q.row((b, h, i)));
            turned.set((b, h, i), row.into_iter().map(T::to_f32));
        }
        self.q = turned;
    }

    /// The query at a place; `None` where it belongs to no sequence.
    pub(super) fn query(&self, place: Place) -> Option<Query<'_>> {
        let (batch, head, i) = place;
        let n = match self.spec.sequences {
            Some(_) => self.items.iter().position(|item| item.queries.contains(&i))?,
            None => batch as usize,
        };
        let shape = self.spec.shape();
        let slope = self.spec.alibi.map(|slopes| match slopes {
            Slopes::Head => self.slopes[head as usize],
            Slopes::BatchHead => self.slopes[n * shape.q_heads as usize + head as usize],
        });
        Some(Query {
            operands: self,
            item: &self.items[n],
            i,
            head,
            kv_head: (batch, head / (shape.q_heads / shape.kv_heads)),
            q: self.q.row(place),
            bias: self.bias.as_ref().map(|bias| bias.row(place)),
            keep: self.keep.as_ref().map(|keep| keep.row(place)),
            scale: self.spec.scale_or_default(),
            slope,
            sink: self.sinks.get(head as usize).copied(),
            weights: self.score_weights.as_ref().map(|weights| weights.row((0, 0, head))),
            head_scale: self.head_scales.get(head as usize).copied(),
        })
    }

    /// Whether keys are turned before they are appended.
    pub(super) fn is_turned(&self) -> bool {
        self.spec.append.is_some_and(|append| append.rotary.is_some())
    }

    /// The caches after the append, where there is one.
    pub(super) fn caches(&self) -> Option<[&Stored<'a, f32>; 2]> {
        self.spec.append.map(|_| [&self.k, &self.v])
    }

    /// All their elements.
    pub(super) fn grown<T: Real>(&self) -> impl Iterator<Item = (Tensor, Vec<T>)> {
        self.caches().into_iter().flatten().map(|cache| (cache.view.tensor, cache.widened()))
    }

    /// The keys that were appended.
    pub(super) fn appended(&self) -> impl Iterator<Item = &[f32]> {
        let heads = self.spec.shape().kv_heads;
        let places = (0..)
            .zip(&self.items)
            .flat_map(move |(b, item)| (0..heads).flat_map(move |h| item.appended.clone().map(move |j| (b, h, j))));
        places.map(|place| self.k.row(place))
    }

    /// The same, had the cache these keys.
    pub(super) fn over(mut self, keys: &'a [f32]) -> Self {
        self.k.data = keys.into();
        self
    }
}

impl Query<'_> {
    pub(super) fn key(&self, j: u32) -> &[f32] {
        let (batch, head) = self.kv_head;
        self.operands.k.row((batch, head, j))
    }

    /// The bias of where key `j` lies in a grid, which the query sees.
    pub(super) fn grid_bias(&self, j: u32) -> Option<f32> {
        let (grid, bias) = (self.operands.spec.grid?, self.operands.grid_bias.as_ref()?);
        let from_query = |j: u32, i: u32| (j + grid.window - 1).checked_sub(i);
        let y = from_query(j / grid.columns, self.i / grid.columns)?;
        let x = from_query(j % grid.columns, self.i % grid.columns)?;
        bias.row((0, self.head, y)).get(x as usize).copied()
    }

    pub(super) fn value(&self, j: u32) -> &[f32] {
        let (batch, head) = self.kv_head;
        self.operands.v.row((batch, head, j))
    }
}

fn items(spec: &Spec, inputs: &Inputs<'_>) -> Vec<Item> {
    let [lens, cu_q, cu_k] = [Tensor::KvLens, Tensor::CuQ, Tensor::CuK].map(|tensor| inputs.get_words(tensor));
    let shape = spec.shape();
    let item = |n: usize| {
        let packed = spec.sequences.is_some();
        let queries = if packed { sequence(cu_q, n, shape.q_len) } else { 0..shape.q_len };
        let keys = if packed { sequence(cu_k, n, shape.kv_len) } else { 0..shape.kv_len };
        let old = if spec.kv_lens { lens[n].min(shape.kv_len) } else { keys.end };
        let new = spec.append.map_or(0, |append| append.len);
        // Queries stand where they would with room for all that is appended.
        let seen = old + new - keys.start;
        let keys = keys.start..(old + new).min(shape.kv_len);
        let offset = spec.align.map_or(0, |align| align.offset(queries.end - queries.start, seen));
        Item { offset, appended: old..keys.end, queries, keys }
    };
    (0..spec.items() as usize).map(item).collect()
}

/// The rows of a packed sequence, whatever the numbers.
fn sequence(starts: &[u32], n: usize, rows: u32) -> Range<u32> {
    let start = starts[n].min(rows);
    start..starts[n + 1].clamp(start, rows)
}
