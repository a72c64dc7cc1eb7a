// 16-bit floats in 32-bit words, the lower half first.
//
// Host       src/shader/mod.rs

fn floats_of_f16(words: vec2<u32>) -> vec4<f32> {
  return vec4(unpack2x16float(words.x), unpack2x16float(words.y));
}

fn floats_of_bf16(words: vec2<u32>) -> vec4<f32> {
  return bitcast<vec4<f32>>(vec4(words.x << 16, words.x & 0xffff0000, words.y << 16, words.y & 0xffff0000));
}

// Element i of an array whose word i / 2 is given.
fn float_of_f16(word: u32, i: u32) -> f32 {
  return unpack2x16float(word >> (16 * (i % 2))).x;
}

fn float_of_bf16(word: u32, i: u32) -> f32 {
  return bitcast<f32>((word >> (16 * (i % 2))) << 16);
}

// What is too large for f16 becomes its largest number.
fn in_f16(x: vec4<f32>) -> vec4<f32> {
  return clamp(x, vec4(-65504.0), vec4(65504.0));
}

fn f16_of(x: vec4<f32>) -> vec2<u32> {
  let y = in_f16(x);
  return vec2(pack2x16float(y.xy), pack2x16float(y.zw));
}

// To the nearest, ties to even.
fn bf16_of(x: vec4<f32>) -> vec2<u32> {
  let bits = bitcast<vec4<u32>>(x);
  let halves = (bits + 0x7fff + ((bits >> vec4(16u)) & vec4(1u))) >> vec4(16u);
  return vec2(halves.x | (halves.y << 16), halves.z | (halves.w << 16));
}
