//! The steps of a program: they cover the work once, and a caller may record some of them.

use std::ops::Range;

use wgpu_attention::{Caps, Error, Layout, Order, Shape, Spec, kernels::Choice, program::Program, shader::Params};

use super::{Noop, SHAPE, programs::specs};

#[test]
fn steps_cover_the_work_once() {
    let long = Shape { q_len: 40000, kv_len: 40000, head_dim: 64, value_dim: 64, batch: 1, ..SHAPE };
    let caps = [Caps { binding_bytes: 1 << 40, ..Caps::webgpu() }, Caps { workgroups: 3, ..Caps::webgpu() }];
    for spec in specs().into_iter().chain([Spec::new(long)]) {
        for program in caps.iter().filter_map(|caps| Program::new(&spec, caps, Choice::Suggested).ok()) {
            let shape = spec.shape();
            let mut ends = vec![0; program.groups.len()];
            for step in &program.steps {
                let Params { first, end, grid_x, .. } = step.params;
                let [x, y] = step.grid;
                let share = program.kernels[program.groups[step.group].kernel].shader().workgroup().items();
                let workgroups = (end - first).div_ceil(share);
                assert_eq!(first, ends[step.group], "steps follow one another");
                assert!(first < end && x == grid_x && x * y >= workgroups && x * (y - 1) < workgroups);
                ends[step.group] = end;
            }
            for (index, (group, end)) in program.groups.iter().zip(ends).enumerate() {
                let tile = program.kernels[group.kernel].shader().workgroup();
                if tile.rows == 0 {
                    continue; // what merges
                }
                let sharing = if tile.grouped { shape.q_heads / shape.kv_heads } else { 1 };
                let blocks = (shape.q_len * sharing).div_ceil(tile.rows) * (shape.q_heads / sharing);
                let splits = program.steps.iter().find(|step| step.group == index).map_or(1, |step| step.params.splits);
                assert_eq!(end, shape.batch * blocks * splits);
            }
        }
    }
    let wide = |workgroups| Program::new(&specs()[48], &Caps { workgroups, ..Caps::webgpu() }, Choice::Suggested);
    let grids = |program: Program| program.steps.iter().map(|step| step.grid).collect::<Vec<_>>();
    assert_eq!(wide(65535).map(grids), Ok(vec![[35000, 2]]));
    assert!(wide(300).map(grids).is_ok_and(|grids| grids.iter().all(|grid| grid[0] <= 300 && grid[1] <= 300)));
}

/// Every pair of a query and a key is in one dispatch of the forward kernel of a problem whose tensors are bound in pieces.
#[test]
fn pieces_cover_every_pair_once() {
    let shape = Shape { batch: 3, q_heads: 4, kv_heads: 2, q_len: 90, kv_len: 130, head_dim: 8, value_dim: 8 };
    let square = Layout::broadcast(&[4, 90, 130]).expect("three sizes");
    for order in [Order::Bhsd, Order::Bshd] {
        for binding_bytes in [1024, 2048, 4096, 8192, 1 << 20] {
            let caps = Caps { binding_bytes, ..Caps::webgpu() };
            let spec = Spec::new(shape).order(order).bias(square, 130);
            let program = Program::new(spec, &caps, Choice::Suggested).expect("a row is short");
            let mut times = vec![0; 3 * 4 * 90 * 130];
            for step in &program.steps {
                let group = &program.groups[step.group];
                let windows = &group.windows;
                assert!(
                    windows.iter().all(|window| window.bytes.end - window.bytes.start <= binding_bytes),
                    "{windows:?}"
                );
                if program.kernels[group.kernel].shader().name() != "tile" {
                    continue;
                }
                let p = step.params;
                let planes = (p.first / p.blocks..p.end.div_ceil(p.blocks))
                    .map(|n| (p.batch0 + n / p.heads, p.head0 + n % p.heads));
                assert!(p.first == 0, "a piece is one dispatch here");
                for (batch, head) in planes {
                    for (row, key) in (p.row0..p.row_end).flat_map(|row| (p.key0..p.key_end).map(move |key| (row, key)))
                    {
                        times[(((batch * 4 + head) * 90 + row) * 130 + key) as usize] += 1;
                    }
                }
            }
            assert!(times.iter().all(|&times| times == 1), "{order:?} {binding_bytes}");
        }
    }
}

#[test]
fn ranges_of_steps_are_recorded_or_refused() {
    let noop = Noop::new();
    let plan = noop.attention.plan(Spec::new(SHAPE).sinks().weights()).expect("the spec is fine");
    let bound = noop.bound(&plan);
    assert_eq!(plan.kernels().collect::<Vec<_>>(), ["pack", "row", "scores"]);
    assert_eq!((plan.steps(), bound.steps()), (3, 3));
    for steps in [0..3, 0..1, 1..3, 2..2, 0..0, 3..3] {
        noop.submitted(|encoder| assert_eq!(bound.encode_steps(encoder, steps.clone()), Ok(())));
    }
    for (start, end) in [(0, 4), (3, 4), (2, 1), (4, 4), (usize::MAX, usize::MAX), (0, usize::MAX)] {
        let refusal = Err(Error::Steps { from: start, to: end, steps: 3 });
        noop.submitted(|encoder| assert_eq!(bound.encode_steps(encoder, Range { start, end }), refusal));
    }
}
