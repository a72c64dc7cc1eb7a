//! Each feature against numbers from elsewhere.

use wgpu_attention::{Align, Layout, Mask, ScoreStage, Slopes, reference::attention};

use super::{NO, NONE};
use crate::reference::{SMALL, same, small};

/// Rows of three numbers.
const ROWS: Layout = Layout { offset: 0, batch: 0, head: 0, row: 3 };

/// The program of `SMALL` with, after the first line,
///
/// ```python
/// x = cap * tanh(x / cap); x += bias[i][j]; x -= slope * abs(i + off - j)
/// ```
///
/// and `exp(sink - m)` added to the sum that divides, not to that in the lse.
#[test]
fn softcap_gives_the_numbers_of_another_program() {
    same(
        &attention(&small().scale(0.5).softcap(0.75), &SMALL),
        &[-1.2951510009908112, 0.09994382935874063, 0.19146079515685174, 0.13439307793448418],
        &[1.2891276746590536, 1.2875563926913562],
        &[
            [0.30244285654770997, 0.14145073509095682, 0.5561064083613332],
            [0.540878785095847, 0.29369875850670396, 0.16542245639744907],
        ]
        .concat(),
        &[
            0.09326475132869715,
            -0.6666761097635824,
            0.7023320535611547,
            0.6729963103270257,
            0.062355724825199826,
            -0.5116963426786274,
        ],
    );
}

#[test]
fn a_bias_gives_the_numbers_of_another_program() {
    // The second row sees nothing.
    same(
        &attention(&small().scale(0.5).bias(ROWS, 3), &SMALL.bias(&[0.5, NO, -1.0, NO, NO, NO])),
        &[-0.6900185392567529, -1.0493645716680766, 0.0, 0.0],
        &[1.1428048622706681, NONE],
        &[0.5774953651858118, 0.0, 0.42250463481418826, 0.0, 0.0, 0.0],
        &[0.59375, NONE, 0.28125, NONE, NONE, NONE],
    );
    // Two columns: the third key is hidden.
    let short = small().scale(0.5).softcap(2.0).bias(Layout { row: 2, ..ROWS }, 2);
    same(
        &attention(&short, &SMALL.bias(&[0.5, -0.25, 1.0, 2.0])),
        &[0.9300639959994297, -1.1607679519931549, 0.7417366599708326, 1.0991600803500106],
        &[0.7443554686480035, 2.723107999162961],
        &[0.8601279919988593, 0.13987200800114089, 0.0, 0.483473319941665, 0.5165266800583351, 0.0],
        &[0.5936813957452961, -1.2226720344499244, NONE, 1.9963488524589101, 2.0624796628920623, NONE],
    );
}

#[test]
fn alibi_gives_the_numbers_of_another_program() {
    same(
        &attention(&small().scale(0.5).align(Align::At(-1)).alibi(Slopes::Head), &SMALL.slopes(&[0.625])),
        &[-0.8226549454425576, -0.5177985650969776, 0.7577752815808951, -0.98512659867583],
        &[0.2144139845977482, 1.3106507611310714],
        &[
            [0.47441918830294344, 0.07990522895590536, 0.4456755827411512],
            [0.8050098536084704, 0.15363881918486094, 0.041351327206668606],
        ]
        .concat(),
        &[-0.53125, -2.3125, -0.59375, 1.09375, -0.5625, -1.875],
    );
}

#[test]
fn sinks_give_the_numbers_of_another_program() {
    same(
        &attention(&small().scale(0.5).sinks(), &SMALL.sinks(&[0.75])),
        &[-1.3309572091190167, 0.012018590134909746, 0.28526606423440665, -0.23560962654325537],
        &[1.6184004742489637, 1.522834690712802],
        &[
            [0.1533486394496554, 0.048253290306020095, 0.5028108312405607],
            [0.44544277402618626, 0.1588275123364459, 0.07986348865333419],
        ]
        .concat(),
        &[0.09375, -1.0625, 1.28125, 1.09375, 0.0625, -0.625],
    );
}

#[test]
fn all_of_it_at_once_gives_the_numbers_of_another_program() {
    let spec = small().scale(0.5).softcap(1.5).bias(ROWS, 3).alibi(Slopes::Head).sinks();
    let spec = spec.mask(Mask::causal()).align(Align::At(1));
    let inputs = SMALL.bias(&[0.5, NO, -1.0, 0.25, 1.0, 2.0]).slopes(&[0.375]).sinks(&[-0.5]);
    let weights = [0.672304848260453, 0.0, 0.0, 0.18751596701460888, 0.24165110355136857, 0.49713084297948495];
    let last = [0.43383289029918637, 0.6874638561182289, 1.408822148103778];
    same(
        &attention(&spec, &inputs),
        &[0.672304848260453, -1.344609696520906, -1.1830510101481617, 0.7158551909211277],
        &[0.21862812012126875, 2.0311647948996985],
        &weights,
        &[[0.21862812012126875, NONE, NONE], last].concat(),
    );
    // The stages before: the same numbers as without what comes later.
    for stage in [ScoreStage::Scaled, ScoreStage::Capped] {
        let found = attention(&spec.clone().scores(stage), &inputs);
        let plain = if stage == ScoreStage::Scaled { small().scale(0.5) } else { small().scale(0.5).softcap(1.5) };
        assert_eq!(found.scores(), attention(&plain, &SMALL).scores(), "{stage:?}");
        assert_eq!(found.weights(), Some(&weights[..]), "{stage:?}");
    }
}
