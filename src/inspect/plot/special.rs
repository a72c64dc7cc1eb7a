//! Tokens that stand for no text.

/// Whether a token marks the start, the end or the padding of a text and stands for none of its words: `[CLS]`, `[DIST]`, `[SEP]`, `[PAD]`, `<s>`,
/// `</s>`, `<pad>`, `<bos>`, `<eos>`, and what stands between `<|` and `|>`. Many heads look at such tokens when they have nothing else to
/// look at (Clark et al. 2019, "What does BERT look at?"). `[MASK]` and `[UNK]` stand in the place of a word, and are not among them.
///
/// ```
/// use wgpu_attention::inspect::plot::is_special;
/// assert!(is_special("[CLS]") && is_special("<|endoftext|>"));
/// assert!(!is_special("[MASK]") && !is_special("cat"));
/// ```
#[must_use]
pub fn is_special(token: &str) -> bool {
    const NAMES: [&str; 9] = ["[CLS]", "[DIST]", "[SEP]", "[PAD]", "<s>", "</s>", "<pad>", "<bos>", "<eos>"];
    NAMES.contains(&token) || (token.len() > 4 && token.starts_with("<|") && token.ends_with("|>"))
}

/// The places of the tokens that are left out.
pub(super) fn places<T: AsRef<str>>(tokens: &[T], is_left_out: impl Fn(&str) -> bool) -> Vec<usize> {
    (0..).zip(tokens).filter(|(_, token)| is_left_out(token.as_ref())).map(|(place, _)| place).collect()
}
