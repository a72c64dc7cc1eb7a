//! Plain data of the crate: masks, grids, block masks, layouts, lists of outputs, regions of a picture.

use proptest::{collection::vec, prelude::*, sample::select};
use wgpu_attention::{
    Align, BlockForm, BlockMask, Grid, Layout, Mask, Outputs, Pattern, Slopes, Tensor,
    inspect::{self, PatchRegions, plot::HeatMap},
};

use crate::{
    fuzz::fuzz,
    problems::{measures, problem},
    values::{block_form, float, layout, size},
};

/// Of what is no list.
const LITTLE: usize = 1 << 20;

#[test]
fn masks() {
    let limit = || prop::option::of(size());
    let inputs = ((limit(), limit()), (size(), size()), any::<i32>(), (size(), size()));
    fuzz(
        "masks",
        inputs,
        |_| LITTLE,
        |&((left, right), (q_len, kv_len), at, (i, j))| {
            let mask = Mask::window(left, right);
            for align in [Align::Start, Align::End, Align::At(at)] {
                let offset = align.offset(q_len, kv_len);
                let keys = mask.band(offset).keys(i, kv_len);
                assert!(keys.end <= kv_len);
                if i < 1 << 29 && j < kv_len.min(1 << 29) && offset.abs() < 1 << 28 {
                    let near = |limit: Option<u32>| limit.is_none_or(|limit| limit < 1 << 28);
                    assert!(!(near(left) && near(right)) || keys.contains(&j) == mask.sees(offset, i, j));
                }
            }
        },
    );
}

#[test]
fn grids() {
    let inputs = ([size(), size(), size(), size(), size()], size());
    fuzz(
        "grids",
        inputs,
        |_| LITTLE,
        |&([rows, columns, window, shift, i], heads)| {
            for grid in [Grid::neighbourhood(rows, columns, window), Grid::windows(rows, columns, window, shift)] {
                drop(grid.near(i));
            }
            let regions = PatchRegions::new(columns, rows).after(shift);
            let _ = (regions.patches(), regions.token(i, window), regions.seen(&[1.0; 9]).map(<[f32]>::len));
            drop(regions.region(i..i.saturating_add(window), shift..shift.saturating_add(heads.min(16))));
            if heads <= 1 << 16 {
                assert_eq!(Slopes::of_heads(heads).len(), heads as usize);
            }
        },
    );
}

/// Words of a block mask are as many as its form says; only those of 4 MiB or less are made.
fn is_small(form: &BlockForm) -> bool {
    form.check().is_ok() && form.words() <= 1 << 16
}

#[test]
fn block_masks() {
    let pattern = ([size(), size(), size()], any::<u64>()).prop_map(|([a, b, c], seed)| match seed % 3 {
        0 => Pattern::LocalGlobalRandom { window: a, globals: b, random: c, seed },
        1 => Pattern::Strided { local: a, stride: b },
        _ => Pattern::PrefixLm { prefix: a },
    });
    let inputs = (block_form(), pattern, vec((size(), size()), 0..20), vec(size(), 0..5));
    fuzz(
        "block masks",
        inputs,
        |_| 64 << 20,
        |(form, pattern, edges, lens)| {
            let BlockForm { q_len, kv_len, block, .. } = *form;
            let one = BlockForm { heads: 1, partial: 0, ..*form };
            let _ = (form.check(), form.words());
            if !is_small(&one) {
                assert!(one.check().is_ok() || BlockMask::edges([q_len, kv_len], block, edges).is_err());
                assert!(one.check().is_ok() || BlockMask::pattern([q_len, kv_len], block, *pattern).is_err());
            } else {
                let made = BlockMask::edges([q_len, kv_len], block, edges);
                assert_eq!(made.is_ok(), edges.iter().all(|&(i, j)| i < q_len && j < kv_len));
                for mask in
                    made.into_iter().chain(BlockMask::pattern([q_len.min(300), kv_len.min(300)], block, *pattern))
                {
                    let _ =
                        (mask.kept(), mask.density(), mask.sees(form.heads, q_len - 1, kv_len), mask.sees(0, q_len, 0));
                    assert!(mask.kept() <= mask.blocks());
                    let heads = BlockMask::of_heads(&[mask.clone(), mask.clone()]).expect("they are alike");
                    assert_eq!(heads.kept(), 2 * mask.kept());
                    if is_small(&BlockForm { partial: form.partial.max(mask.partial()), ..mask.form() }) {
                        let room = mask.with_room(form.partial).expect("it is small");
                        assert_eq!(room.words().len() as u64, room.form().words());
                    }
                }
            }
            let all: u64 = lens.iter().map(|&len| u64::from(len)).sum();
            if all > u64::from(u32::MAX) || all <= 300 {
                assert_eq!(
                    BlockMask::documents(lens, block).is_ok(),
                    (1..=300).contains(&all) && form_of(all, block).check().is_ok()
                );
            }
        },
    );
}

fn form_of(len: u64, block: u32) -> BlockForm {
    BlockForm { q_len: len as u32, kv_len: len as u32, block, heads: 1, partial: 0 }
}

#[test]
fn layouts() {
    let inputs = (layout(), [size(), size(), size(), size()], vec(size(), 0..6));
    fuzz(
        "layouts",
        inputs,
        |_| LITTLE,
        |(layout, sizes, shape)| {
            let (wide, widths) = (|n: u32| u128::from(n.saturating_sub(1)), [layout.batch, layout.head, layout.row]);
            let last: u128 = widths.iter().zip(sizes).map(|(&stride, &size)| u128::from(stride) * wide(size)).sum();
            let extent = u128::from(layout.offset) + last + u128::from(sizes[3]);
            assert_eq!(layout.extent(*sizes).map(u128::from), u64::try_from(extent).ok().map(u128::from));
            let _ = (layout.is_injective(*sizes), layout.is_vec4(*sizes), Layout::broadcast(shape));
            let _ = Layout::packed(sizes[0], sizes[1], sizes[2], sizes[3], shape.first().copied().unwrap_or(0));
        },
    );
}

#[test]
fn outputs() {
    let tensor = select(&Tensor::ALL[..]);
    let inputs = (problem(), measures(), tensor, vec(float(), 0..40), [size(), size()]);
    fuzz(
        "outputs",
        inputs,
        |_| LITTLE,
        |(problem, measures, tensor, data, [batch, head])| {
            let mut outputs = Outputs::default();
            for tensor in [*tensor, Tensor::RowMeasures] {
                outputs.set(tensor, data.clone());
            }
            let _ = (outputs.head(problem, *tensor, *batch, *head), problem.name(), problem.check());
            let heads = inspect::heads(measures, &outputs);
            assert!(heads.len() <= data.len());
            let regions = PatchRegions::new(*batch, *head);
            let _ = regions.region_to_region(measures, &outputs, (0..*batch, 0..(*head).min(16)));
            let _ = (
                HeatMap::pooled(measures, data),
                measures.cell(),
                measures.spec().band(),
                measures.spec().dropped(&[*head]),
            );
        },
    );
}
