//! Trusted modules have no bounds checks, so what addresses memory must be in range whatever the inputs are. Here every text is
//! rewritten so that each of its indexes is compared with the length of what it indexes, and runs on ordinary data and on hostile:
//! lengths, starts, positions, ids and block masks beyond anything that exists, and floats that are no numbers.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use wgpu_attention::{
    Algorithm, Align, Caps, Divergence, Embed, Error, Gpu, Problem, Shape, Slopes, Spec, Tensor,
    kernels::{Choice, Kernel},
    program::Program,
    wgpu,
};

use crate::{
    features::{combinations, draw_among},
    layers::{embeds, linears, norms, with_matrices},
    measures::measured,
    oracle::algorithms,
    others::{locations, merges, rotations, two_attentions},
    support::{
        Case, Failures,
        case::Values,
        indexes::{NOTES, WORDS, watch},
        program::{self, Made},
        read, text,
    },
};

/// Head and value dimensions: small ones compile fast, and large ones take their rows in several pieces.
const SMALL: [(u32, u32); 4] = [(8, 8), (5, 7), (20, 12), (3, 1)];
const ALL: [(u32, u32); 6] = [(8, 8), (64, 64), (33, 129), (160, 96), (512, 16), (16, 512)];

/// Hostile inputs for each problem.
const ATTACKS: u64 = 6;

/// Most dispatches that a problem cut into pieces may have here.
const MOST: usize = 100;

/// A kernel whose indexes are watched.
struct Watching {
    made: Made,
    notes: wgpu::Buffer,
    lines: Vec<String>,
    ran: Vec<bool>,
}

impl Watching {
    fn new(gpu: &Gpu, kernel: &Kernel, change: [&str; 2]) -> Self {
        let mut source = kernel.shader().source();
        source.wgsl = source.wgsl.replace(change[0], change[1]);
        let watched = watch(&source.wgsl);
        let notes = gpu.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some("notes"),
            size: (watched.lines.len().max(1) * WORDS * 4) as u64,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let pipeline = program::compile(gpu, wgpu::ShaderSource::Naga(std::borrow::Cow::Owned(watched.module)));
        let ran = vec![false; watched.lines.len()];
        let made = Made { pipeline, source, beside: Some((NOTES, notes.clone())) };
        Self { made, notes, lines: watched.lines, ran }
    }

    /// Reads the notes and starts anew; an error for an index past its end.
    fn judge(&mut self, gpu: &Gpu) -> Result<(), String> {
        let words: Vec<u32> = bytemuck::pod_collect_to_vec(&read(gpu, &self.notes));
        gpu.queue().write_buffer(&self.notes, 0, &vec![0; words.len() * 4]);
        let mut wrong = BTreeSet::new();
        for ((line, ran), note) in self.lines.iter().zip(&mut self.ran).zip(words.chunks_exact(WORDS)) {
            *ran |= note[0] != 0;
            if note[1] != 0 {
                wrong.insert(format!("{line} (index {})", note[2]));
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(format!("past the end: {wrong:?}")) }
    }
}

/// All kernels so far, by their texts.
struct Watch<'a> {
    gpu: &'a Gpu,
    /// What every text has instead of something else.
    change: [&'static str; 2],
    known: HashMap<String, Watching>,
    ordinary: usize,
    hostile: usize,
}

impl<'a> Watch<'a> {
    fn new(gpu: &'a Gpu) -> Self {
        Self { gpu, change: [" "; 2], known: HashMap::new(), ordinary: 0, hostile: 0 }
    }

    /// Runs a case as it is, and under attack.
    fn attack<P>(&mut self, case: &Case<P>, caps: &Caps, choice: Choice) -> Result<(), String>
    where
        P: Clone + Into<Problem>,
    {
        let program = match Program::new(case.spec.clone(), caps, choice) {
            // So many pieces prove no more than a few.
            Ok(program) if program.steps.len() > MOST => return Ok(()),
            Ok(program) => program,
            // A row of some tensor is longer than the little that is bound here.
            Err(Error::BindingLimit { .. }) => return Ok(()),
            Err(error) => return Err(text(error)),
        };
        self.run(case, &program).map_err(|why| format!("ordinary data: {why}"))?;
        self.ordinary += 1;
        for n in 0..ATTACKS {
            self.run(&hostile(case, n), &program).map_err(|why| format!("attack {n}: {why}"))?;
            self.hostile += 1;
        }
        Ok(())
    }

    fn run<P: Clone + Into<Problem>>(&mut self, case: &Case<P>, program: &Program) -> Result<(), String> {
        let (gpu, change) = (self.gpu, self.change);
        let texts: Vec<_> = program.kernels.iter().map(|kernel| kernel.shader().source().wgsl).collect();
        for (text, kernel) in texts.iter().zip(&program.kernels) {
            self.known.entry(text.clone()).or_insert_with(|| Watching::new(gpu, kernel, change));
        }
        let kernels: Vec<_> = texts.iter().map(|text| self.known[text].made.clone()).collect();
        let buffers = program::buffers(gpu, case, program);
        program::run(gpu, program, &buffers, &kernels);
        for (text, kernel) in texts.iter().zip(&program.kernels) {
            let judged = self.known.get_mut(text).expect("made above").judge(gpu);
            judged.map_err(|why| format!("{}: {why}", kernel.shader().name()))?;
        }
        buffers.unharmed(gpu)
    }

    /// Says what ran, and fails if much did not.
    fn finish(&self) {
        let mut lines: BTreeMap<&str, bool> = BTreeMap::new();
        for watching in self.known.values() {
            for (line, ran) in watching.lines.iter().zip(&watching.ran) {
                *lines.entry(line).or_default() |= ran;
            }
        }
        let idle: Vec<_> = lines.iter().filter(|(_, ran)| !**ran).map(|(line, _)| line).collect();
        let indexes: usize = self.known.values().map(|watching| watching.lines.len()).sum();
        println!(
            "{} programs on ordinary data and {} on hostile; {} texts with {indexes} indexes on {} lines, of which {} did not run: {idle:#?}",
            self.ordinary,
            self.hostile,
            self.known.len(),
            lines.len(),
            idle.len(),
        );
        assert!(idle.len() * 20 <= lines.len(), "more than one line in twenty did not run");
    }
}

/// The same problem on other data: words as far out as they go, in every second attack floats too.
fn hostile<P: Clone + Into<Problem>>(case: &Case<P>, n: u64) -> Case<P> {
    let mut rng = fastrand::Rng::with_seed(n);
    let mut case = case.clone();
    for values in case.values.values_mut() {
        match values {
            Values::Words(words) => words.iter_mut().for_each(|word| *word = hostile_word(&mut rng, n, *word)),
            Values::Floats(floats) if n % 2 == 1 => {
                let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, f32::MIN_POSITIVE / 4.0];
                floats.iter_mut().for_each(|x| *x = *odd.get(rng.usize(..4 * odd.len())).unwrap_or(x));
            }
            Values::Floats(_) | Values::Bools(_) => {}
        }
    }
    case
}

/// A word that is out of range, near the range's end, or as it was.
fn hostile_word(rng: &mut fastrand::Rng, n: u64, word: u32) -> u32 {
    let far = [0, 1, 1 << 16, (1 << 24) - 1, 1 << 30, (1 << 31) - 1, 1 << 31, u32::MAX - 1, u32::MAX];
    match (n, rng.u32(..4)) {
        (0, _) => u32::MAX,
        (1, _) => rng.u32(..),
        (_, 0) => far[rng.usize(..far.len())],
        (_, 1) => word.wrapping_add(1),
        (_, 2) => rng.u32(..300),
        _ => word,
    }
}

/// Devices that take other kernels, or cut problems: this one, one with no more than WebGPU promises, one that binds 4 KiB.
fn means(gpu: &Gpu) -> [Caps; 3] {
    let least = Caps::webgpu();
    [gpu.attention().caps().clone(), least.clone(), Caps { binding_bytes: 4096, workgroups: 3, ..least }]
}

#[test]
#[ignore = "needs an adapter"]
fn no_index_of_attention_is_past_the_end() {
    let gpu = crate::support::gpu();
    let (mut watch, mut failures, means) = (Watch::new(&gpu), Failures::default(), means(&gpu));
    // Rewritten texts take long to compile.
    for n in 0..combinations() * 4 / 5 {
        let drawn = draw_among(n, &ALL, &SMALL);
        let caps = &means[n as usize % 3];
        let able = algorithms(&gpu.attention().limited(caps.clone()), &drawn.spec);
        // All algorithms in turn; matrices, which compile longest, now and then.
        let turn = able.iter().filter(|(algorithm, _)| *algorithm != Algorithm::Matrix || n % 8 == 0);
        let turn: Vec<_> = turn.collect();
        let (algorithm, spec) = turn[turn.len() - 1 - (n / 3) as usize % turn.len()].clone();
        let case = Case::random(spec.clone(), n);
        let result = watch.attack(&case, caps, Choice::Asked(algorithm));
        failures.add(|| format!("{n} {algorithm} {spec:?}"), result);
        if let Some(case) = measured(spec, n).filter(|_| n % 2 == 0) {
            let result = watch.attack(&case, caps, Choice::Suggested);
            failures.add(|| format!("{n} {:?}", case.spec), result);
        }
    }
    watch.finish();
    failures.finish("no index of attention is past the end");
}

#[test]
#[ignore = "needs an adapter"]
fn no_index_of_layers_is_past_the_end() {
    let gpu = crate::support::gpu();
    let (mut watch, mut failures) = (Watch::new(&gpu), Failures::default());
    let problems = [linears(), norms(), embeds(), rotations(), merges().into(), locations().into()].concat();
    let means = means(&gpu).into_iter().chain(with_matrices(&gpu));
    let means: Vec<_> = means.collect();
    for (n, problem) in problems.into_iter().enumerate() {
        let case = Case::random(problem, n as u64);
        let result = watch.attack(&case, &means[n % means.len()], Choice::Suggested);
        failures.add(|| format!("{n} {:?}", case.spec), result);
    }
    for kv_len in [1, 65, 300] {
        let [a, b] = two_attentions(2 * 3 * 7, kv_len, None, 1);
        let case = Case::new(Divergence::new([2, 3, 7, kv_len]));
        let case = case.with(Tensor::Weights, a).with(Tensor::OtherWeights, b);
        failures.add(|| format!("{kv_len} keys"), watch.attack(&case, &means[0], Choice::Suggested));
    }
    watch.finish();
    failures.finish("no index of layers is past the end");
}

/// Texts without one of the comparisons that keep an index in range.
#[test]
#[ignore = "needs an adapter"]
fn an_index_past_the_end_is_seen() {
    let gpu = crate::support::gpu();
    let shape = Shape { batch: 2, q_heads: 3, kv_heads: 1, q_len: 1, kv_len: 40, head_dim: 5, value_dim: 7 };
    let spec = Spec::new(shape);
    let faults: [(Problem, [&str; 2]); 4] = [
        (spec.clone().append(3).into(), ["clamp(min(len, params.kv_len), params.key0, params.key_end)", "len"]),
        (spec.clone().append(3).into(), ["to < params.key0 || to >= params.key_end", "to < params.key0"]),
        (
            spec.align(Align::Start).alibi(Slopes::Head).into(),
            ["return select(tile.at.head, query.head, query.exists);", "return query.head;"],
        ),
        (Embed::new(21, 40, 7).into(), ["id < params.key_end", "true"]),
    ];
    for (problem, change) in faults {
        let mut watch = Watch { change, ..Watch::new(&gpu) };
        let case = Case::random(problem, 1);
        let seen = watch.attack(&case, &Caps::webgpu(), Choice::Suggested);
        assert!(seen.as_ref().is_err_and(|why| why.contains("past the end")), "nobody saw {change:?}: {seen:?}");
    }
}
