//! Layers and graphs of hostile sizes.

use proptest::{collection::vec, prelude::*};
use wgpu_attention::{
    Activation, Attention, DType, Data, Embed, Linear, Norm, Tensor,
    nn::{self, CallOptions, Graph, Heads, MultiHeadAttention, Node, ReturnWeights, StateDict},
};

use crate::{
    device,
    fuzz::fuzz,
    problems::problem,
    values::{dtype, size},
};

/// Buffers of 64 KiB and 64 of them at most, which this device keeps in host memory, and the programs of steps.
const GRAPH: usize = 64 << 20;

/// Weights of a layer of width 8.
fn dict<'a>(attention: &Attention, numbers: &'a [f32]) -> StateDict<'a> {
    let names = ["in_proj_weight", "out_proj.weight", "table.weight", "norm.weight", "norm.bias"];
    let shapes: [&[usize]; 5] = [&[24, 8], &[8, 8], &[9, 8], &[8], &[8]];
    let tensors = names.into_iter().zip(shapes).map(|(name, shape)| (name, shape, &numbers[..shape.iter().product()]));
    StateDict::of(attention, tensors).expect("as many numbers as their shapes say")
}

#[test]
fn layers() {
    let attention = Attention::new(&device::noop(1 << 16).0);
    let numbers = [0.5; 24 * 8];
    let node = || (prop_oneof![3 => 1_u32..=64, 2 => size()], prop_oneof![4 => Just(8_u32), 1 => size()]);
    let inputs = (
        [node(), node()],
        prop_oneof![3 => Just(1_u32), 1 => size()],
        (prop_oneof![3 => Just(2_u32), 1 => size()], prop_oneof![3 => Just(8_u32), 1 => size()]),
        (any::<[bool; 3]>(), 0_usize..3, 0_usize..40, 0_u8..4),
        size(),
    );
    fuzz(
        "layers",
        inputs,
        |_| GRAPH,
        |&([query, key], batch, (heads, width), ([causal, measured, streams], weights, masks, kind), count)| {
            let mut dict = dict(&attention, &numbers);
            let mut graph = Graph::new(&attention);
            let [query, key] = [query, key].map(|(rows, width)| graph.input(rows, width, DType::F32));
            let mut options = CallOptions::of(batch)
                .weights([ReturnWeights::None, ReturnWeights::EachHead, ReturnWeights::Mean][weights]);
            options = if causal { options.causal() } else { options };
            options = if measured { options.measured() } else { options };
            options = match kind {
                0 => options.key_padding_mask(&vec![false; masks]),
                1 => options.attn_mask(&vec![false; masks]),
                _ => options,
            };
            let Ok(layer) = MultiHeadAttention::load(&mut dict, "", Heads::new(width, heads)) else { return };
            let attended = if streams {
                layer.forward_streams(&mut graph, query, (&[key, query], None), &options, None)
            } else {
                layer.forward(&mut graph, [query, key, key], &options, None)
            };
            if attended.is_ok() {
                drop(graph.compile());
            }
            let table = nn::Embedding::load(&mut dict, "table", 9, 8).expect("it is there");
            drop(table.sinusoidal(&dict, count));
        },
    );
}

/// A step over some nodes.
fn steps() -> impl Strategy<Value = Vec<(wgpu_attention::Problem, Vec<(Tensor, usize)>)>> {
    let tensor = prop::sample::select(&Tensor::ALL[..]);
    vec((problem(), vec((tensor, 0_usize..6), 0..5)), 0..3)
}

#[test]
fn graphs() {
    let attention = Attention::new(&device::noop(1 << 16).0);
    let inputs = (vec((size(), size(), dtype()), 1..6), steps(), [size(), size(), size()], 0_usize..40);
    fuzz(
        "graphs",
        inputs,
        |_| GRAPH,
        |(nodes, steps, [rows, width, wide], numbers)| {
            let mut graph = Graph::new(&attention);
            let mut made: Vec<Node> =
                nodes.iter().map(|&(rows, width, dtype)| graph.node(rows, width, dtype)).collect();
            made.push(graph.constant(*rows, *width, DType::F32, &vec![1.0_f32; *numbers]));
            for (problem, bound) in steps {
                let bound: Vec<_> = bound.iter().map(|&(tensor, node)| (tensor, made[node % made.len()])).collect();
                graph.add(problem, &bound);
            }
            drop(graph.compile());
            // One that fits together, if the sizes are small.
            let mut graph = Graph::new(&attention);
            let [ids, table] = [graph.input(1, *rows, DType::U32), graph.input(*wide, *width, DType::F32)];
            let [x, y] = [graph.node(*rows, *width, DType::F32), graph.node(*rows, *width, DType::F32)];
            graph
                .add(Embed::new(*rows, *wide, *width), &[(Tensor::Ids, ids), (Tensor::Table, table), (Tensor::Out, x)]);
            graph.add(Norm::unit(*rows, *width, 1e-5), &[(Tensor::X, x), (Tensor::Out, y)]);
            let weight = graph.input(*width, *width, DType::F32);
            let bound = [(Tensor::X, y), (Tensor::Weight, weight), (Tensor::Out, x)];
            graph.add(Linear::new(*rows, *width, *width).activation(Activation::Relu), &bound);
            let _ = graph.compile().map(|model| (model.bytes(), model.dispatches(), model.buffer(x).is_ok()));
            let _ = Data::Floats(&[]).is_empty();
        },
    );
}
