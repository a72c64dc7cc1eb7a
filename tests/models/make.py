#!/usr/bin/env python3
"""Makes the small random models of this folder, and what the library that published their formats computes with them.

pip install torch transformers tokenizers safetensors numpy pillow; python3 make.py
"""

import json
import pathlib

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import save_file
from safetensors.torch import load_file, save_file as save_torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
import transformers as hf

HERE = pathlib.Path(__file__).parent
TEXT = "The cat sat on the mat, didn't it? Ångström naïve."
CORPUS = [TEXT, "the cat sees the dog", "a mat is on the floor", "naïve cats sit on mats"]
SMALL = dict(vocab_size=0, max_position_embeddings=40)


def sizes(names=("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")):
    return dict(zip(names, (24, 40, 2, 3)))


def limited(tokenizer):
    """A fixed length, as some publish: whoever runs the model on one text must switch it off."""
    tokenizer.enable_truncation(max_length=4)
    tokenizer.enable_padding(length=30)
    return tokenizer


def word_piece(lower):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lower)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=80, special_tokens=special))
    pairs = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=pairs)
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]


def byte_level():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=SPECIAL, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def unigram():
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=60, special_tokens=SPECIAL, unk_token="<unk>")
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


def randomised(model):
    """Every tensor random, so that a bias or a gain left out shows."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            gain = name.lower().endswith("norm.weight") or "layernorm" in name and name.endswith("weight")
            tensor.copy_(torch.randn(tensor.shape, generator=generator) * (0.1 if gain else 0.4) + (1.0 if gain else 0.0))
    return model.eval()


def compute(model, base, folder, **inputs):
    model.set_attn_implementation("eager")
    model.double()
    with torch.no_grad():
        inner = base(**inputs, output_attentions=True)
        outer = model(**inputs)
    out = dict(
        weights=torch.cat(inner.attentions).numpy().astype(np.float32),
        last_hidden_state=inner.last_hidden_state[0].numpy().astype(np.float32),
    )
    if getattr(outer, "logits", None) is not None:
        out["logits"] = outer.logits[0].numpy().astype(np.float32)
    save_file({name: np.ascontiguousarray(data) for name, data in out.items()}, folder / "expected.safetensors")
    print(folder.name, {name: data.shape for name, data in out.items()})


def text(name, config, kind, tokenizer, change=None, dtype=torch.float32):
    folder = HERE / name
    tokenizer_ids = tokenizer.encode(TEXT)
    model = randomised(kind(config(vocab_size=tokenizer.get_vocab_size())).to(dtype)).float()
    model.to(dtype).save_pretrained(folder)
    finish(folder, change)
    limited(tokenizer).save(str(folder / "tokenizer.json"))
    ids = torch.tensor([tokenizer_ids.ids])
    base = getattr(model, model.base_model_prefix, model)
    compute(model, base, folder, input_ids=ids, attention_mask=torch.ones_like(ids))


def finish(folder, change):
    path = folder / "model.safetensors"
    tensors = {(change or str)(key): tensor for key, tensor in load_file(path).items()}
    save_torch(tensors, path)
    for extra in folder.glob("*.md"):
        extra.unlink()


def picture(name, config, kind, **preprocessor):
    folder = HERE / name
    model = randomised(kind(config))
    model.save_pretrained(folder)
    finish(folder, None)
    mean, deviation = np.array([0.4, 0.5, 0.6]), np.array([0.2, 0.3, 0.25])
    preprocessor |= dict(do_resize=False, do_normalize=True, image_mean=mean.tolist(), image_std=deviation.tolist())
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor, indent=2) + "\n")
    pixels = np.random.default_rng(2).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(HERE / "noise.png")
    values = torch.tensor((pixels / 255 - mean) / deviation).permute(2, 0, 1)[None]
    base = getattr(model, model.base_model_prefix)
    compute(model, base, folder, pixel_values=values)


labels = dict(id2label={0: "no", 1: "perhaps", 2: "yes"}, label2id={"no": 0, "perhaps": 1, "yes": 2})
grid = dict(image_size=32, patch_size=8, **sizes(), **labels)


def bert(**more):
    return hf.BertConfig(**sizes(), **labels, max_position_embeddings=40, **more)


def roberta(kind, **more):
    return kind(**sizes(), **more, max_position_embeddings=42, type_vocab_size=1, pad_token_id=1)


def distilbert(**more):
    names = ("dim", "hidden_dim", "n_layers", "n_heads")
    return hf.DistilBertConfig(**sizes(names), **labels, max_position_embeddings=40, activation="gelu", **more)


def old(name):
    """Norms as old files name them."""
    return name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")


text("bert", bert, hf.BertForSequenceClassification, word_piece(True), old)
text("roberta", lambda **more: roberta(hf.RobertaConfig, **more, **labels), hf.RobertaForSequenceClassification, byte_level())
text("xlm-roberta", lambda **more: roberta(hf.XLMRobertaConfig, **more, hidden_act="gelu_new"), hf.XLMRobertaModel,
     unigram(), dtype=torch.float16)
text("distilbert", distilbert, hf.DistilBertForSequenceClassification, word_piece(False))
picture("vit", hf.ViTConfig(**grid, qkv_bias=False), hf.ViTForImageClassification)
picture("deit", hf.DeiTConfig(**grid), hf.DeiTForImageClassificationWithTeacher)
