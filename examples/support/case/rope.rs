//! Op `rope`, as a [`Rope`].

use wgpu_attention::{Angles, Pairs, Rope, Rotary, Tensor};

use super::{
    Result,
    file::DTYPES,
    given::{Given, Source},
    inputs::{Asked, FORMS, Inputs, is},
    json::Fields,
};

pub(super) fn ask<'a>(json: &mut Fields, inputs: &mut Inputs<'a>, outputs: &[String]) -> Result<Asked<'a>> {
    if let Some(name) = outputs.iter().find(|name| *name != "out") {
        return Err(format!("output {name} is unknown").into());
    }
    let form = json.word("layout", &FORMS[..3])?;
    json.word("dtype", &DTYPES)?;
    let x = inputs.floats("x")?;
    let sizes = form.sizes("x", &x.shape, json.count("heads")?)?;
    let pairs = if json.flag("interleaved")? { Pairs::Interleaved } else { Pairs::Halves };
    let dim: u32 = json.count("rotary_dim")?;
    let [cos, sin] = [inputs.floats("cos")?, inputs.floats("sin")?];
    let ids = positions(inputs, sizes, &cos)?;
    let (angles, table) = match &ids {
        Some((positions, _)) => (Angles::Ids { positions: *positions }, vec![*positions, dim / 2]),
        None => (Angles::Rows, vec![sizes[0], sizes[2], dim / 2]),
    };
    for (name, source) in [("cos", &cos), ("sin", &sin)] {
        if !is(&source.shape, &table) {
            return Err(format!("{name} is {:?}, not {table:?}", source.shape).into());
        }
    }
    let rope = Rope::new(sizes, Rotary { dim, pairs, angles }).order(form.order()).q_type(x.dtype);
    let outputs = vec![("out", Tensor::Out, x.shape.clone())];
    let floats = [(Tensor::Q, x), (Tensor::Cos, cos), (Tensor::Sin, sin)];
    let mut given: Vec<_> = floats.into_iter().map(|(tensor, source)| (tensor, Given::Floats(source))).collect();
    given.extend(ids.map(|(_, ids)| (Tensor::Positions, Given::Counts(ids))));
    Ok(Asked { problem: rope.into(), given, outputs })
}

/// How many rows the tables have, and which of them each row of `x` turns by; `None` where each has its own.
fn positions(inputs: &mut Inputs<'_>, sizes: [u32; 4], cos: &Source<'_>) -> Result<Option<(u32, Vec<u32>)>> {
    let rows = cos.shape.first().map_or(Ok(0), |&rows| u32::try_from(rows));
    let rows = rows.map_err(|_| format!("cos {:?} is too large", cos.shape))?;
    let ids = inputs.counts("position_ids", &[sizes[0], sizes[2]], rows)?;
    Ok(ids.map(|ids| (rows, ids)))
}
