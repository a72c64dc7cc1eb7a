//! Layers: state dicts that are wrong are refused by name, graphs keep their memory small, caches give what whole sequences give.

use wgpu_attention::{
    Activation, Angles, Attention, DType, Data, Error, Gpu, Pairs, Rotary,
    nn::{
        CallOptions, Encoder, EncoderLayer, Graph, GroupedHeads, GroupedQueryAttention, Heads, LayerConfig, Linear,
        MultiHeadAttention, Node, ReturnWeights, StateDict, Transformer, TransformerConfig, sinusoids,
    },
    wgpu,
};

/// Name, shape and numbers of each tensor.
type State = Vec<(String, Vec<usize>, Vec<f32>)>;

fn tensor(name: &str, shape: &[usize]) -> (String, Vec<usize>, Vec<f32>) {
    let mut rng = fastrand::Rng::with_seed(
        name.bytes().fold(7_u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into())),
    );
    let gain = if name.contains("norm") && name.ends_with("weight") { 1.0 } else { 0.0 };
    let numbers = (0..shape.iter().product()).map(|_| 0.6 * rng.f32() - 0.3 + gain).collect();
    (name.into(), shape.into(), numbers)
}

fn attention_state(prefix: &str, dim: usize) -> State {
    let name = |part: &str| format!("{prefix}{part}");
    vec![
        tensor(&name("in_proj_weight"), &[3 * dim, dim]),
        tensor(&name("in_proj_bias"), &[3 * dim]),
        tensor(&name("out_proj.weight"), &[dim, dim]),
        tensor(&name("out_proj.bias"), &[dim]),
    ]
}

fn layer_state(prefix: &str, dim: usize, wide: usize, decodes: bool) -> State {
    let name = |part: &str| format!("{prefix}{part}");
    let mut state = attention_state(&name("self_attn."), dim);
    if decodes {
        state.extend(attention_state(&name("multihead_attn."), dim));
    }
    for (part, [outputs, inputs]) in [("linear1", [wide, dim]), ("linear2", [dim, wide])] {
        state.push(tensor(&name(&format!("{part}.weight")), &[outputs, inputs]));
        state.push(tensor(&name(&format!("{part}.bias")), &[outputs]));
    }
    for norm in 1..=if decodes { 3 } else { 2 } {
        state.push(tensor(&name(&format!("norm{norm}.weight")), &[dim]));
        state.push(tensor(&name(&format!("norm{norm}.bias")), &[dim]));
    }
    state
}

fn weights<'a>(attention: &Attention, state: &'a State) -> StateDict<'a> {
    let tensors = state.iter().map(|(name, shape, data)| (name.as_str(), shape.as_slice(), data.as_slice()));
    StateDict::of(attention, tensors).expect("as many numbers as sizes say")
}

fn noop() -> Attention {
    Attention::new(&wgpu::Device::noop(&wgpu::DeviceDescriptor::default()).0)
}

fn config() -> LayerConfig {
    LayerConfig { norm_first: true, activation: Activation::Gelu, ..LayerConfig::new(24, 3, 40) }
}

fn submit(gpu: &Gpu, record: impl FnOnce(&mut wgpu::CommandEncoder)) {
    let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    record(&mut encoder);
    gpu.queue().submit([encoder.finish()]);
}

#[test]
fn wrong_state_dicts_are_refused_by_name() {
    let attention = noop();
    let refused = |change: &dyn Fn(&mut State)| {
        let mut state = layer_state("", 24, 40, false);
        change(&mut state);
        let mut weights = weights(&attention, &state);
        let loaded = EncoderLayer::load(&mut weights, "", &config()).map(drop).and_then(|()| weights.finish());
        loaded.expect_err("it is wrong").to_string()
    };
    let at = |state: &State, name: &str| state.iter().position(|(known, ..)| known == name).expect("it is there");
    for (said, expected) in [
        (
            refused(&|state| drop(state.remove(at(state, "linear1.weight")))),
            "state dict: linear1.weight: it is missing, and [40, 24] is expected; the file has 11 tensors: linear1.bias, \
             linear2.bias, linear2.weight, norm1.bias, ..",
        ),
        (
            refused(&|state| drop(state.remove(at(state, "norm2.bias")))),
            "state dict: norm2.bias: it is missing, and [24] is expected; the file has 11 tensors: linear1.bias, \
             linear1.weight, linear2.bias, linear2.weight, ..",
        ),
        (
            refused(&|state| state.iter_mut().for_each(|(name, ..)| *name = format!("encoder.{name}"))),
            "state dict: self_attn.in_proj_weight: it is missing, and [72, 24] is expected; the file has \
             encoder.self_attn.in_proj_weight",
        ),
        (
            refused(&|state| {
                let n = at(state, "self_attn.in_proj_weight");
                state[n].1 = vec![24, 72];
            }),
            "state dict: self_attn.in_proj_weight: it is [24, 72], and [72, 24] is expected",
        ),
        (
            refused(&|state| state.push(tensor("self_attn.bias_k", &[1, 1, 24]))),
            "state dict: self_attn.bias_k: this model has no such tensor",
        ),
        (
            refused(&|state| state.extend([tensor("head.weight", &[2, 24]), tensor("head.bias", &[2])])),
            "state dict: head.bias: this model has no such tensor, nor 1 others of the file",
        ),
    ] {
        assert_eq!(said, expected);
    }
    let wrong = |shape: &'static [usize]| StateDict::of(&attention, [("x", shape, [0.0; 6].as_slice())]);
    let said = wrong(&[2, 4]).expect_err("six numbers").to_string();
    assert_eq!(said, "state dict: x: it has 6 numbers, its shape is [2, 4]");
    let numbers = safetensors::tensor::TensorView::new(safetensors::Dtype::I64, vec![1], &[0; 8]).expect("a tensor");
    let file = safetensors::serialize([("up.weight", numbers)], None).expect("a file");
    let mut weights = StateDict::of_file(&attention, &file).expect("a whole file");
    let said = Linear::load(&mut weights, "up", 1, 1).expect_err("of one size").to_string();
    assert_eq!(said, "state dict: up.weight: it is [1], and [1, 1] is expected");
    let said = weights.take("up.weight", &[1]).expect_err("whole numbers").to_string();
    assert_eq!(said, "state dict: up.weight: it is I64, and F32, F16 or BF16 is expected");
    let said = StateDict::of_file(&attention, &file[..9]).expect_err("cut").to_string();
    let torch = StateDict::of_file(&attention, b"PK\x03\x04 and so on").expect_err("a file of torch.save").to_string();
    assert!(
        torch.ends_with("; it looks like a file of torch.save, which safetensors.torch.save_file converts"),
        "{torch}"
    );
    assert!(said.starts_with("state dict: the file: it is no whole safetensors file: "), "{said}");
}

#[test]
fn wrong_sizes_are_refused() {
    let attention = noop();
    let state = attention_state("", 24);
    let mut weights = weights(&attention, &state);
    let layer = MultiHeadAttention::load(&mut weights, "", Heads::new(24, 3)).expect("it fits");
    let mut graph = Graph::new(&attention);
    let [q, k, wide, few] =
        [(6, 24), (10, 24), (6, 25), (9, 24)].map(|(rows, width)| graph.input(rows, width, DType::F32));
    let mut said = |query, key, options: CallOptions| {
        let refused = layer.forward(&mut graph, [query, key, key], &options, None).expect_err("it does not fit");
        refused.to_string()
    };
    assert_eq!(said(wide, k, CallOptions::of(2)), "x has width 25, needs 24");
    assert_eq!(said(q, few, CallOptions::of(2)), "key has 9 rows, which 2 sequences of equal length cannot share");
    assert_eq!(said(q, k, CallOptions::of(0)), "batch is 0");
    assert_eq!(
        said(q, k, CallOptions::of(2).key_padding_mask(&[true])),
        "input key_padding_mask has 1 elements, needs 10"
    );
    assert_eq!(said(q, k, CallOptions::of(2).attn_mask(&[true; 7])), "input attn_mask has 7 elements, needs 90");
    assert_eq!(
        MultiHeadAttention::load(&mut weights, "", Heads::new(24, 0)).err(),
        Some(Error::Zero { name: "heads" })
    );
}

/// The memory of a stack grows with its weights, not with its values.
#[test]
fn deep_stacks_use_values_again() {
    let attention = noop();
    let bytes = |layers: u32| {
        let state: State = (0..layers).flat_map(|n| layer_state(&format!("layers.{n}."), 24, 40, false)).collect();
        let numbers: usize = state.iter().map(|(.., data)| data.len()).sum();
        let mut weights = weights(&attention, &state);
        let encoder = Encoder::load(&mut weights, "", layers, &config()).expect("it fits");
        let mut graph = Graph::new(&attention);
        let x = graph.input(64, 24, DType::F32);
        let (out, _) = encoder.forward(&mut graph, x, &CallOptions::of(1)).expect("it fits");
        graph.keep(out);
        let model = graph.compile().expect("it plans");
        (model.bytes() - 4 * numbers as u64, model.steps())
    };
    let ((two, steps), (eight, _)) = (bytes(2), bytes(8));
    assert_eq!(steps, 2 * 9);
    assert_eq!(two, eight);
}

fn transformer_state() -> State {
    let mut state = vec![
        tensor("source_embedding.weight", &[11, 24]),
        tensor("target_embedding.weight", &[13, 24]),
        tensor("generator.weight", &[13, 24]),
        tensor("generator.bias", &[13]),
    ];
    for part in ["encoder", "decoder"] {
        for n in 0..2 {
            state.extend(layer_state(&format!("{part}.layers.{n}."), 24, 40, part == "decoder"));
        }
        state.extend(["weight", "bias"].map(|end| tensor(&format!("{part}.norm.{end}"), &[24])));
    }
    state
}

/// A model that is run by itself gives what the layer gives by hand, again with other numbers, and refuses numbers that are not its own.
#[test]
#[ignore = "needs an adapter"]
fn a_model_runs_by_itself() {
    let gpu = Gpu::new().expect("an adapter");
    let (rows, numbers) = ([1.0, 2.0, 3.0, 4.0], [0.5, -1.0, 2.0, 0.25]);
    let tensors = [("w.weight", [2, 2].as_slice(), numbers.as_slice())];
    let mut loaded = StateDict::of(gpu.attention(), tensors).expect("four numbers");
    let layer = Linear::load(&mut loaded, "w", 2, 2).expect("it fits");
    let mut graph = Graph::new(gpu.attention());
    let x = graph.input(2, 2, DType::F32);
    let y = layer.forward(&mut graph, x, Activation::None, None).expect("it fits");
    let y = graph.keep(y);
    let model = graph.compile().expect("it plans");
    let run = |rows: &[f32]| model.run(&gpu, &[(x, Data::Floats(rows))], &[y]);
    assert_eq!(run(&rows), Ok(vec![vec![-1.5, 2.5, -2.5, 7.0]]));
    assert_eq!(run(&rows.map(|x| 2.0 * x)), Ok(vec![vec![-3.0, 5.0, -5.0, 14.0]]));
    assert_eq!(model.run(&gpu, &[], &[y]), Ok(vec![vec![-3.0, 5.0, -5.0, 14.0]]), "an input keeps its numbers");
    assert_eq!(run(&rows[1..]).expect_err("too few").to_string(), "input of a node has 3 elements, needs 4");
    let words = model.run(&gpu, &[(x, Data::Words(&[1; 4]))], &[y]).expect_err("another kind");
    assert_eq!(words.to_string(), "a node is f32, not of the kind of the data given");
    let mut other = Graph::new(gpu.attention());
    let stranger = other.input(2, 2, DType::F32);
    assert_eq!(model.run(&gpu, &[], &[stranger]), Err(Error::OtherGraph));
}

/// Token by token over caches is what the whole sequence at once is, weights over the source included.
#[test]
#[ignore = "needs an adapter"]
fn generation_is_the_whole_at_once() {
    const SOURCE: [u32; 7] = [3, 1, 4, 1, 5, 9, 2];
    const TARGET: [u32; 6] = [1, 7, 3, 12, 0, 5];
    let gpu = Gpu::new().expect("an adapter");
    let state = transformer_state();
    let mut loaded = weights(gpu.attention(), &state);
    let config = TransformerConfig {
        layer: config(),
        encoder_layers: 2,
        decoder_layers: 2,
        source_vocabulary: 11,
        target_vocabulary: 13,
        positions: 16,
    };
    let transformer = Transformer::load(&mut loaded, "", &config).expect("it fits");
    loaded.finish().expect("nothing is left");

    let mut graph = Graph::new(gpu.attention());
    let source = graph.constant(1, 7, DType::U32, &SOURCE);
    let target = graph.constant(1, 6, DType::U32, &TARGET);
    let (plain, causal) = (CallOptions::of(1), CallOptions::of(1).causal());
    let seen = CallOptions::of(1).weights(ReturnWeights::EachHead);
    let (logits, seen) = transformer.forward(&mut graph, [source, target], [&plain, &causal, &seen]).expect("it fits");
    let seen = seen.into_iter().filter_map(|attended| attended.weights);
    let kept: Vec<Node> = [logits].into_iter().chain(seen).map(|value| graph.keep(value)).collect();
    let model = graph.compile().expect("it plans");
    submit(&gpu, |encoder| model.encode(encoder));
    let whole: Vec<Vec<f32>> = kept
        .iter()
        .map(|&value| gpu.read(model.buffer(value).expect("a node of this graph")).expect("it is there"))
        .collect();
    assert_eq!((whole.len(), whole[0].len(), whole[1].len()), (3, 6 * 13, 3 * 6 * 7));

    let mut generation = transformer.generation(gpu.attention(), [7, 6]).expect("it plans");
    let again = |generation: &mut wgpu_attention::nn::Generation| {
        submit(&gpu, |encoder| generation.start(gpu.queue(), encoder, &SOURCE).expect("seven tokens"));
        for (n, &token) in TARGET.iter().enumerate() {
            submit(&gpu, |encoder| generation.next(gpu.queue(), encoder, token).expect("there is room"));
            let logits: Vec<f32> = gpu.read(generation.logits()).expect("it is there");
            for (a, b) in logits.iter().zip(&whole[0][n * 13..]) {
                approx::assert_abs_diff_eq!(a, b, epsilon = 2e-5);
            }
            for (layer, buffer) in generation.weights().into_iter().enumerate() {
                let weights: Vec<f32> = gpu.read(buffer).expect("it is there");
                for (at, a) in weights.iter().enumerate() {
                    let b = whole[1 + layer][(at / 7 * 6 + n) * 7 + at % 7];
                    approx::assert_abs_diff_eq!(*a, b, epsilon = 2e-6);
                }
            }
        }
        let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let full = generation.next(gpu.queue(), &mut encoder, 1).expect_err("it is full").to_string();
        assert_eq!(full, "the number of tokens 7 is above 6");
    };
    again(&mut generation);
    again(&mut generation);
}

#[test]
fn sinusoids_are_those_of_the_paper() {
    let all = sinusoids(3, 6);
    let angle = 2.0 / 10000f64.powf(4.0 / 6.0);
    approx::assert_relative_eq!(all[2 * 6 + 4], angle.sin() as f32, max_relative = 1e-6);
    approx::assert_relative_eq!(all[2 * 6 + 5], angle.cos() as f32, max_relative = 1e-6);
    assert_eq!(all[..6], [0.0, 1.0, 0.0, 1.0, 0.0, 1.0]);
}

/// A prompt at once and then tokens one by one are what all tokens at once are.
#[test]
#[ignore = "needs an adapter"]
fn grouped_queries_over_a_cache_are_the_whole_at_once() {
    const DIM: u32 = 24;
    let gpu = Gpu::new().expect("an adapter");
    let sizes = GroupedHeads { embed_dim: DIM, heads: 4, kv_heads: 2, head_dim: 8 };
    let state = vec![
        tensor("q_proj.weight", &[32, 24]),
        tensor("k_proj.weight", &[16, 24]),
        tensor("v_proj.weight", &[16, 24]),
        tensor("o_proj.weight", &[24, 32]),
    ];
    let mut loaded = weights(gpu.attention(), &state);
    let rotary = |angles| Rotary { dim: 8, pairs: Pairs::Halves, angles };
    let layer = GroupedQueryAttention::load(&mut loaded, "", sizes, rotary(Angles::Appended { positions: 12 }));
    let layer = layer.expect("it fits");
    let rows = GroupedQueryAttention::load(&mut loaded, "", sizes, rotary(Angles::Rows)).expect_err("of no cache");
    assert_eq!(rows.to_string(), "a cache does not go with angles other than those of appended keys");
    let (_, _, x) = tensor("x", &[2 * 9, DIM as usize]);
    let [cos, sin] = rotary(Angles::Appended { positions: 12 }).tables(12, 10000.0);

    // Of two batch items, `len` tokens at a time.
    let run = |lens: &[u32]| -> Vec<f32> {
        let mut graph = Graph::new(gpu.attention());
        let cache = layer.cache(&mut graph, [2, 12]);
        let angles = [&cos, &sin].map(|table| graph.constant(12, 4, DType::F32, table));
        let mut sections = Vec::new();
        for &len in lens {
            let (first, x) = (graph.steps(), graph.input(2 * len, DIM, DType::F32));
            let out = layer.forward(&mut graph, x, (&cache, angles), Some(x)).expect("it fits");
            sections.push((first..graph.steps(), x, graph.keep(out), len));
        }
        let model = graph.compile().expect("it plans");
        let (mut done, mut all) = (0_u32, vec![0.0; 2 * 9 * DIM as usize]);
        let places = |batch: u32, done: u32, len: u32| {
            ((batch * 9 + done) * DIM) as usize..((batch * 9 + done + len) * DIM) as usize
        };
        for (steps, input, out, len) in sections {
            let new: Vec<f32> = (0..2).flat_map(|batch| x[places(batch, done, len)].to_vec()).collect();
            gpu.queue().write_buffer(model.buffer(input).expect("a node of this graph"), 0, bytemuck::cast_slice(&new));
            gpu.queue().write_buffer(
                model.buffer(cache.lens).expect("a node of this graph"),
                0,
                bytemuck::cast_slice(&[done; 2]),
            );
            submit(&gpu, |encoder| model.encode_steps(encoder, steps).expect("they are there"));
            let got: Vec<f32> = gpu.read(model.buffer(out).expect("a node of this graph")).expect("it is there");
            for (batch, got) in (0..2).zip(got.chunks((len * DIM) as usize)) {
                all[places(batch, done, len)].copy_from_slice(got);
            }
            done += len;
        }
        all
    };
    for (a, b) in run(&[9]).iter().zip(run(&[4, 1, 1, 3])) {
        approx::assert_abs_diff_eq!(*a, b, epsilon = 1e-5);
    }
}

/// Two streams in one softmax are what their rows in one buffer are.
#[test]
#[ignore = "needs an adapter"]
fn streams_are_one_softmax() {
    let gpu = Gpu::new().expect("an adapter");
    let state = attention_state("", 24);
    let mut loaded = weights(gpu.attention(), &state);
    let layer = MultiHeadAttention::load(&mut loaded, "", Heads::new(24, 3)).expect("it fits");
    let rows = |name: &str, count: usize| tensor(name, &[count, 24]).2;
    let (text, image, queries) = (rows("text", 2 * 5), rows("image", 2 * 9), rows("queries", 2 * 4));
    let both: Vec<f32> = (0..2).flat_map(|b| [&text[b * 120..][..120], &image[b * 216..][..216]].concat()).collect();
    let options = CallOptions::of(2).weights(ReturnWeights::Mean);
    let mut graph = Graph::new(gpu.attention());
    let [q, text, image, both] = [(8, &queries), (10, &text), (18, &image), (28, &both)]
        .map(|(count, data)| graph.constant(count, 24, DType::F32, data));
    let apart = layer.forward_streams(&mut graph, q, (&[text, image], None), &options, None).expect("it fits");
    let whole = layer.forward(&mut graph, [q, both, both], &options, None).expect("it fits");
    let refused = layer.forward_streams(&mut graph, q, (&[], None), &options, None).expect_err("of nothing");
    assert_eq!(refused.to_string(), "the number of streams is 0");
    let pairs = [(apart.out, whole.out), (apart.weights.expect("asked for"), whole.weights.expect("asked for"))];
    let pairs = pairs.map(|(a, b)| [graph.keep(a), graph.keep(b)]);
    let model = graph.compile().expect("it plans");
    submit(&gpu, |encoder| model.encode(encoder));
    for pair in pairs {
        let [a, b]: [Vec<f32>; 2] =
            pair.map(|value| gpu.read(model.buffer(value).expect("a node of this graph")).expect("it is there"));
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-6));
        assert!(a.iter().any(|x| *x != 0.0));
    }
}
