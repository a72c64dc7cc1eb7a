//! Grids: what is refused, and which places are near a query.

use wgpu_attention::{Grid, Shape, Spec, Tensor};

use super::{SHAPE, message};

#[test]
fn grids_are_checked() {
    let spec = Spec::new(Shape { q_len: 20, kv_len: 20, ..SHAPE });
    let said = |grid| spec.clone().grid(grid).check().map_err(|error| error.to_string());
    assert_eq!((said(Grid::neighbourhood(4, 5, 3)), said(Grid::windows(4, 5, 9, 8).biased())), (Ok(()), Ok(())));
    for (grid, text) in [
        (Grid::neighbourhood(0, 5, 3), "rows of the grid is 0"),
        (Grid::neighbourhood(4, 6, 3), "a grid does not go with q_len or kv_len other than its rows times its columns"),
        (Grid::neighbourhood(4, 5, 2), "a neighbourhood does not go with an even window, which has no middle"),
        (Grid::neighbourhood(4, 5, 5), "window of the grid 5 is above 4"),
        (Grid::windows(4, 5, 0, 0), "window of the grid is 0"),
        (Grid::windows(4, 5, 3, 3), "shift of the windows 3 is above 2"),
    ] {
        assert_eq!(said(grid), Err(text.into()));
    }
    let lengths = spec.clone().grid(Grid::neighbourhood(4, 5, 3)).kv_lens();
    assert_eq!(message(&lengths), "a grid does not go with lengths that the device reads");
    let table = spec.grid(Grid::windows(4, 5, 3, 1).biased()).view(Tensor::GridBias).map(|view| view.sizes);
    assert_eq!(table, Some([1, 4, 5, 5]));
}

/// What a query sees, against the papers' words, one place at a time.
#[test]
fn places_near_a_query_are_those_of_the_papers() {
    for (rows, columns, window) in [(4, 5, 3), (7, 7, 7), (9, 5, 5), (1, 1, 1)] {
        for i in 0..rows * columns {
            let [down, across] = Grid::neighbourhood(rows, columns, window).near(i);
            for (range, x, len) in [(down, i / columns, rows), (across, i % columns, columns)] {
                assert_eq!((range.end - range.start, range.contains(&x), range.end <= len), (window, true, true));
                let inside = x >= window / 2 && x + window / 2 < len;
                assert!(!inside || range.start + window / 2 == x, "{i} is in the middle of {range:?}");
            }
        }
        for shift in 0..window {
            // A cyclic shift, windows from the corner, and a mask between what was not side by side.
            let place = |x: u32, len: u32| (x + len - shift % len) % len;
            for i in 0..rows * columns {
                let [down, across] = Grid::windows(rows, columns, window, shift).near(i);
                for (range, x, len) in [(down, i / columns, rows), (across, i % columns, columns)] {
                    if len % window != 0 {
                        continue; // the paper pads
                    }
                    let seen = |y: u32| {
                        let (a, b) = (place(x, len), place(y, len));
                        a / window == b / window && (x < shift) == (y < shift)
                    };
                    assert!((0..len).all(|y| seen(y) == range.contains(&y)), "{x} of {len}, {window}, {shift}");
                }
            }
        }
    }
}
