#!/usr/bin/env python3
"""Trains the small translator of examples/translate.rs, on sentences that a grammar makes: English to French.

pip install torch safetensors numpy; python3 train.py ../data/translate.safetensors

A transformer as Vaswani et al. 2017 have it, with one head of the last cross-attention taught where words come from (Garg et al. 2019,
"Jointly Learning to Align and Translate"), which the grammar knows. Everything is made here; there is no other corpus.
"""

import json
import math
import random
import sys

import torch
from safetensors.torch import save_file
from torch import nn

DIM, HEADS, WIDE, LAYERS, STEPS, BATCH = 64, 4, 128, 2, 900, 64
SPECIAL = ["<pad>", "<start>", "<end>", "<unknown>"]

# English, French, feminine; French with a vowel at its start takes l'.
NOUNS = [
    ("cat", "chat", 0), ("dog", "chien", 0), ("bird", "oiseau", 0), ("horse", "cheval", 0), ("mouse", "souris", 1),
    ("house", "maison", 1), ("car", "voiture", 1), ("table", "table", 1), ("apple", "pomme", 1), ("tree", "arbre", 0),
    ("child", "enfant", 0), ("girl", "fille", 1), ("boy", "garçon", 0), ("woman", "femme", 1), ("man", "homme", 0),
    ("book", "livre", 0), ("letter", "lettre", 1), ("door", "porte", 1), ("garden", "jardin", 0), ("street", "rue", 1),
    ("bridge", "pont", 0), ("flower", "fleur", 1), ("bread", "pain", 0), ("cheese", "fromage", 0),
]
# English, masculine, feminine, before the noun.
ADJECTIVES = [
    ("black", "noir", "noire", 0), ("white", "blanc", "blanche", 0), ("green", "vert", "verte", 0), ("red", "rouge", "rouge", 0),
    ("blue", "bleu", "bleue", 0), ("tired", "fatigué", "fatiguée", 0), ("small", "petit", "petite", 1), ("big", "grand", "grande", 1),
    ("young", "jeune", "jeune", 1), ("happy", "heureux", "heureuse", 0), ("round", "rond", "ronde", 0), ("slow", "lent", "lente", 0),
]
# Base, third person, French.
VERBS = [
    ("see", "sees", "voit"), ("eat", "eats", "mange"), ("want", "wants", "veut"), ("find", "finds", "trouve"), ("follow", "follows", "suit"),
    ("carry", "carries", "porte"), ("draw", "draws", "dessine"), ("lose", "loses", "perd"), ("cross", "crosses", "traverse"),
    ("watch", "watches", "regarde"), ("hide", "hides", "cache"), ("like", "likes", "aime"),
]
ADVERBS = [("today", "aujourd'hui"), ("often", "souvent"), ("now", "maintenant"), ("here", "ici"), ("slowly", "lentement")]
VOWELS = "aeéiouh"


def noun_phrase(rng, english, french, links):
    """Appends a noun phrase to both sides; links are pairs of a French and an English place."""
    noun, nom, feminine = rng.choice(NOUNS)
    definite = rng.random() < 0.6
    adjective = rng.choice(ADJECTIVES) if rng.random() < 0.6 else None
    at = len(english)
    english += ["the" if definite else "a"] + ([adjective[0]] if adjective else []) + [noun]
    of_noun = at + (2 if adjective else 1)
    words = [(nom, of_noun)]
    if adjective:
        word = (adjective[2 if feminine else 1], at + 1)
        words = [word, *words] if adjective[3] else [*words, word]
    if definite:
        article = "l'" if words[0][0][0] in VOWELS else "la" if feminine else "le"
    else:
        article = "une" if feminine else "un"
    for word, source in [(article, at), *words]:
        links.append((len(french), source))
        french.append(word)


def sentence(rng):
    english, french, links = [], [], []

    def add(word, source):
        links.append((len(french), source))
        french.append(word)

    if rng.random() < 0.25:
        pronoun = rng.choice([("he", "il"), ("she", "elle")])
        english.append(pronoun[0])
        add(pronoun[1], 0)
    else:
        noun_phrase(rng, english, french, links)
    base, third, verb = rng.choice(VERBS)
    at = len(english)
    if rng.random() < 0.3:
        english += ["does", "not", base]
        elided = verb[0] in VOWELS
        add("n'" if elided else "ne", at)
        add(verb, at + 2)
        add("pas", at + 1)
    else:
        english.append(third)
        add(verb, at)
    noun_phrase(rng, english, french, links)
    if rng.random() < 0.3:
        adverb = rng.choice(ADVERBS)
        english.append(adverb[0])
        add(adverb[1], len(english) - 1)
    english.append(".")
    add(".", len(english) - 1)
    return english, french, links


def positions(count):
    """Vaswani et al. 2017, section 3.5."""
    rate = torch.exp(torch.arange(0, DIM, 2) * (-math.log(10000.0) / DIM))
    angles = torch.arange(count)[:, None] * rate
    return torch.stack([angles.sin(), angles.cos()], dim=2).reshape(count, DIM)


class Translator(nn.Module):
    def __init__(self, sources, targets):
        super().__init__()
        self.source_embedding = nn.Embedding(sources, DIM)
        self.target_embedding = nn.Embedding(targets, DIM)
        layer = dict(d_model=DIM, nhead=HEADS, dim_feedforward=WIDE, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(**layer), LAYERS, nn.LayerNorm(DIM), enable_nested_tensor=False)
        self.decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(**layer), LAYERS, nn.LayerNorm(DIM))
        self.generator = nn.Linear(DIM, targets)
        for weight in (self.source_embedding.weight, self.target_embedding.weight):
            nn.init.normal_(weight, std=DIM**-0.5)

    def forward(self, source, target):
        place = positions(64)
        embed = lambda table, ids: table(ids) * math.sqrt(DIM) + place[: ids.shape[1]]
        ignored = source == 0
        memory = self.encoder(embed(self.source_embedding, source), src_key_padding_mask=ignored)
        causal = torch.triu(torch.ones(target.shape[1], target.shape[1], dtype=torch.bool), 1)
        seen = {}
        last = self.decoder.layers[-1].multihead_attn
        plain = last.forward

        def watched(*given, **named):
            out, seen["weights"] = plain(*given, **{**named, "need_weights": True, "average_attn_weights": False})
            return out, None

        last.forward = watched
        x = self.decoder(embed(self.target_embedding, target), memory, tgt_mask=causal, memory_key_padding_mask=ignored)
        last.forward = plain
        return self.generator(x), seen["weights"]


def batch(rng, vocabulary, size):
    rows = [sentence(rng) for _ in range(size)]
    wide = max(len(english) for english, _, _ in rows)
    tall = max(len(french) for _, french, _ in rows) + 1
    source = torch.zeros(size, wide, dtype=torch.long)
    target = torch.zeros(size, tall + 1, dtype=torch.long)
    align = torch.zeros(size, tall, wide)
    for n, (english, french, links) in enumerate(rows):
        source[n, : len(english)] = torch.tensor([vocabulary[0][word] for word in english])
        ids = [1, *(vocabulary[1][word] for word in french), 2]
        target[n, : len(ids)] = torch.tensor(ids)
        for row, column in links:
            align[n, row, column] = 1.0
    return source, target, align


def main(path):
    torch.manual_seed(1)
    rng = random.Random(1)
    words = [sentence(rng) for _ in range(4000)]
    lists = [SPECIAL + sorted({word for row in words for word in row[side]}) for side in (0, 1)]
    vocabulary = [{word: n for n, word in enumerate(words)} for words in lists]
    model = Translator(*map(len, lists))
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, STEPS)
    for step in range(STEPS):
        source, target, align = batch(rng, vocabulary, BATCH)
        logits, weights = model(source, target[:, :-1])
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), target[:, 1:].flatten(), ignore_index=0)
        guided = -(align * (weights[:, 0] + 1e-9).log()).sum() / align.sum()
        optimiser.zero_grad()
        (loss + 0.1 * guided).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        rate.step()
        if step % 200 == 0 or step == STEPS - 1:
            right = (logits.argmax(2) == target[:, 1:])[target[:, 1:] > 0].float().mean()
            print(f"step {step}: loss {loss:.4f}, alignment {guided:.4f}, right {right:.4f}", flush=True)
    # The factor on embeddings is folded into them.
    tensors = {name: tensor.half().contiguous() for name, tensor in model.state_dict().items()}
    for name in ("source_embedding.weight", "target_embedding.weight"):
        tensors[name] = (model.state_dict()[name] * math.sqrt(DIM)).half()
    metadata = {"source": json.dumps(lists[0]), "target": json.dumps(lists[1]), "heads": str(HEADS), "layers": str(LAYERS)}
    save_file(tensors, path, metadata)


main(sys.argv[1])
