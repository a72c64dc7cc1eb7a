#!/usr/bin/env python3
"""Times PyTorch's scaled_dot_product_attention beside examples/bench.rs, on the same GPU in the same run.

    python3 benches/beside_pytorch.py [--shapes G1,G4] [--bench target/release/examples/bench] [--seconds 2]
    python3 benches/beside_pytorch.py --rows FILE    beside rows that `bench --json FILE` measured before

Needs PyTorch with CUDA, and a Vulkan driver for the same GPU. Prints, for each shape and type: the best time of this crate and of
which kernel, PyTorch's best time and of which backend, and the ratio (above 1: this crate is faster). Wall time of one submission
on both sides: for PyTorch the call and a synchronisation, inputs on the device, the best of many runs.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# batch, q heads, kv heads, q_len, kv_len, head_dim, causal: as in examples/support/bench/workload.rs
SHAPES = {
    "P1": (1, 8, 8, 512, 512, 64, False),
    "P2": (1, 8, 8, 1024, 1024, 64, True),
    "P3": (1, 8, 2, 1024, 1024, 128, True),
    "P4": (1, 32, 8, 1, 4096, 128, False),
    "P5": (1, 2, 2, 4096, 4096, 64, True),
    "P6": (2, 8, 8, 128, 1500, 64, False),
    "P7": (1, 12, 12, 16, 16, 64, False),
    "G1": (4, 32, 8, 4096, 4096, 128, True),
    "G2": (1, 32, 32, 16384, 16384, 128, True),
    "G3": (64, 32, 8, 1, 8192, 128, False),
    "G4": (8, 16, 16, 2048, 2048, 64, False),
    "G5": (1, 1, 1, 65536, 65536, 64, True),
}


def measured(options):
    """Rows of the bench: those of a file, or new ones."""
    if options.rows:
        return options.rows.read_text()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.json"
        command = [*options.bench.split(), "--json", str(file), "--seconds", str(options.seconds), "--shapes", options.shapes]
        if subprocess.run(command).returncode != 0:
            print("the bench failed; what it measured is compared all the same", file=sys.stderr)
        return file.read_text()


def best_rows(text):
    """The fastest row of each shape and type of attention."""
    best = {}
    for row in map(json.loads, text.splitlines()):
        key = (row["shape"], row["dtype"])
        if row["shape"] in SHAPES and row["min_ms"] < best.get(key, {"min_ms": float("inf")})["min_ms"]:
            best[key] = row
    return best


def pytorch_ms(torch, name, dtype, seconds):
    """The best time of each backend that takes the problem."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.functional import scaled_dot_product_attention as attention

    batch, q_heads, kv_heads, q_len, kv_len, dim, causal = SHAPES[name]
    kind = {"f16": torch.float16, "f32": torch.float32}[dtype]
    random = lambda heads, length: torch.randn(batch, heads, length, dim, device="cuda", dtype=kind)
    q, k, v = random(q_heads, q_len), random(kv_heads, kv_len), random(kv_heads, kv_len)
    found = {}
    for backend in (SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.CUDNN_ATTENTION, SDPBackend.MATH):
        try:
            with sdpa_kernel(backend):
                run = lambda: attention(q, k, v, is_causal=causal, enable_gqa=q_heads != kv_heads)
                for _ in range(3):
                    run()
                torch.cuda.synchronize()
                end, best = time.monotonic() + seconds, float("inf")
                while time.monotonic() < end:
                    start = time.perf_counter()
                    run()
                    torch.cuda.synchronize()
                    best = min(best, time.perf_counter() - start)
                found[backend.name.lower()] = best * 1e3
        except RuntimeError:  # the backend does not take this problem, or has no memory for it
            torch.cuda.empty_cache()
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", default="G1,G2,G3,G4,G5")
    parser.add_argument("--bench", default="cargo run --release --example bench --")
    parser.add_argument("--rows", type=Path, metavar="FILE")
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    if unknown := set(options.shapes.split(",")) - set(SHAPES):
        parser.error(f"no shape {', '.join(sorted(unknown))}; there are: {', '.join(SHAPES)}")
    try:
        import torch
    except ImportError:
        parser.error("PyTorch is not installed")
    if not torch.cuda.is_available():
        parser.error("PyTorch sees no GPU")
    rows = best_rows(measured(options))
    if not rows:
        parser.error("the bench measured no attention")
    print(f"\nPyTorch {torch.__version__} on {torch.cuda.get_device_name()}; this crate on {next(iter(rows.values()))['adapter']}")
    print(f"{'shape':6}{'dtype':6}{'kernel':10}{'ms':>10}   {'PyTorch':22}{'ms':>10}{'ratio':>8}")
    for (name, dtype), row in rows.items():
        for backend, ms in pytorch_ms(torch, name, dtype, options.seconds).items():
            ratio = ms / row["min_ms"]
            print(f"{name:6}{dtype:6}{row['kernel']:10}{row['min_ms']:10.3f}   {backend:22}{ms:10.3f}{ratio:8.2f}", flush=True)


if __name__ == "__main__":
    main()
